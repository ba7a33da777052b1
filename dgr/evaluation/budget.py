"""A thinking budget: where it is used up, the think block is closed and the model goes on to its answer."""

from collections.abc import Callable
from dataclasses import replace

from dgr.chat import Chat
from dgr.generator import LENGTH, Reply, Request, Sampling

Ask = Callable[[list[Request], Sampling], dict[str, Reply]]


def sampled(
    ask: Ask, requests: list[Request], sampling: Sampling, chat: Chat, budget: int | None
) -> dict[str, tuple[Reply, bool]]:
    """Replies by request id, each with whether its thinking was ended for it.

    With a budget the first `budget` tokens are asked for alone. A reply that is not finished by then is continued, its
    open think block closed before; what follows may take the rest of `max_new_tokens`. The continuation is a request of
    its own, `<id>>rest`: any generator can make it.
    """
    if budget is None:
        return {key: (reply, False) for key, reply in ask(requests, sampling).items()}
    begun = ask(requests, replace(sampling, max_new_tokens=budget))
    kept = {}  # id -> what the continuation is written after, and whether it was closed
    for request in requests:
        reply = begun[request.id]
        if reply.finish_reason == LENGTH and reply.n_tokens >= budget:  # fewer: the model's context is full
            thinking = not chat.split(request.prompt, reply.text).closed
            kept[request.id] = (chat.end_thinking(reply.text) if thinking else reply.text, thinking)
    rest = [Request(f"{r.id}>rest", r.prompt + kept[r.id][0]) for r in requests if r.id in kept]
    written = ask(rest, replace(sampling, max_new_tokens=sampling.max_new_tokens - budget))
    return {r.id: _joined(begun[r.id], *kept.get(r.id, ("", False)), written.get(f"{r.id}>rest")) for r in requests}


def _joined(begun: Reply, kept: str, forced: bool, rest: Reply | None) -> tuple[Reply, bool]:
    if rest is None:
        return begun, False
    return Reply(begun.id, kept + rest.text, rest.finish_reason, begun.n_tokens + rest.n_tokens), forced
