"""The floor: what the target itself replies to the bare prompts, made once and shared by all points."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dgr.generator import LENGTH, Generator, Reply, Request, Sampling
from dgr.model import TargetModel
from dgr.sample import Sample, digest
from dgr.store import Journal, Store

if TYPE_CHECKING:
    from dgr.chat import Chat

KEPT, UNFINISHED, MALFORMED = "kept", "unfinished", "malformed"


@dataclass(frozen=True)
class Own:
    """The target's reply in the place of a sample's texts; None, and why, where it cannot be laid out like them.

    `outcome` is "kept", "unfinished" (cut by max_new_tokens or the context) or "malformed" (not exactly one closed
    think block with text inside and after it).
    """

    sample: Sample | None
    outcome: str


def own_replies(
    samples: Sequence[Sample], target: TargetModel, generator: Generator, seed: int, store: Store
) -> dict[str, Own]:
    """By sample id. The target is asked the bare prompt with its own sampling settings; one reply a prompt and seed."""
    chat = target.chat()
    requests = {
        sample.id: Request(digest(sample.prompt), chat.render_prompt(sample.prompt), sample.prompt)
        for sample in samples
    }
    journal = own_journal(target, generator, seed, store)
    sampling = Sampling(**target.sampling)
    replies = generator.generate(target, list(dict.fromkeys(requests.values())), sampling, seed, journal)
    return {sample.id: judge(sample, requests[sample.id], replies[requests[sample.id].id], chat) for sample in samples}


def own_journal(target: TargetModel, generator: Generator, seed: int, store: Store) -> Journal:
    """The replies of one target, sampling, generator and seed, whatever the dataset, the subset or the arm."""
    key = digest(target.fingerprint(), Sampling(**target.sampling), generator.fingerprint(), seed)
    return store.journal("own", key)


def judge(sample: Sample, request: Request, reply: Reply, chat: "Chat") -> Own:
    """The reply as a sample. It is laid out as training text is, so that only the wording differs from that."""
    if reply.finish_reason == LENGTH:
        return Own(None, UNFINISHED)
    split = chat.split(request.prompt, reply.text)
    if split.blocks != 1 or not split.closed:
        return Own(None, MALFORMED)
    try:
        chat.render_target(request.prompt, split.reasoning, split.answer)
    except ValueError:  # a part is empty, or holds what cannot be written as text
        return Own(None, MALFORMED)
    return Own(replace(sample, reasoning=split.reasoning, answer=split.answer), KEPT)
