"""A judging model behind an endpoint with OpenAI's chat interface: a hosted one, or any server of one's own."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from dgr.generator import Reply, Request, Sampling
from dgr.generator.endpoint import Unavailable
from dgr.generator.openai import CHAT, FINISHED, PATHS
from dgr.generator.resume import Keep, resumed
from dgr.generator.server import ask_all, server_problems
from dgr.judge import JudgeContext
from dgr.progress import progress
from dgr.sample import digest


@dataclass(frozen=True)
class Served:
    """The model `model` of the server at `base_url`; messages go there as they are, and no tokenizer is needed.

    The key is read from the environment variable that `api_key_env` names; null is for a server without one.
    `extra_body` is added to every request.
    """

    base_url: str
    model: str
    api_key_env: str | None
    concurrency: int
    timeout: float
    max_attempts: int
    extra_body: dict[str, Any]

    speed_only: ClassVar[tuple[str, ...]] = ("api_key_env", "concurrency", "timeout", "max_attempts")

    def fingerprint(self) -> str:
        return digest(self.base_url, self.model, sorted(self.extra_body.items()))

    def problems(self) -> list[str]:
        return server_problems(self, "model")

    def hub_ids(self) -> list[tuple[str, str, str | None]]:
        return []

    def prepare(self, texts: dict[str, str], clip: int | None) -> dict[str, str | None]:
        """The texts as they are: the server keeps messages and control tokens apart. `clip` needs a tokenizer."""
        return dict(texts)

    def ask(self, asked: dict[str, str], system: str, sampling: Sampling, context: JudgeContext) -> dict[str, Reply]:
        """Replies by id to messages of a user; those in the journal are not asked for again."""

        def make(missing: list[Request], keep: Keep) -> None:
            with progress("verdicts", len(missing)) as shown:

                def answered(reply: Reply) -> None:
                    keep([reply])
                    shown.add(done=1, tokens=reply.n_tokens)

                body = partial(self._body, system=system, sampling=sampling)
                ask_all(self, PATHS[CHAT], "model", missing, body, _reply, answered)

        return resumed([Request(name, text, text) for name, text in asked.items()], context.journal, make)

    def _body(self, request: Request, system: str, sampling: Sampling) -> dict[str, Any]:
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": request.prompt})
        settings = {"temperature": sampling.temperature, "max_tokens": sampling.max_new_tokens}
        return {"model": self.model, "messages": messages, **settings, **self.extra_body}


def _reply(request: Request, answer: Any) -> Reply:
    """Unavailable (it is tried again) for a reply that was broken off, ValueError for what is no reply."""
    try:
        choice, n_tokens = answer["choices"][0], answer["usage"]["completion_tokens"]
        text, finish_reason = choice["message"]["content"] or "", choice["finish_reason"]
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(
            f"the answer to request {request.id!r} is no reply of OpenAI's chat interface ({error!r} is missing): "
            f"{str(answer)[:200]}"
        ) from None
    if finish_reason not in FINISHED:
        raise Unavailable(f"finish_reason {finish_reason!r}")
    return Reply(request.id, text, FINISHED[finish_reason], n_tokens)
