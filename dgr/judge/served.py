"""A judging model behind an endpoint with OpenAI's chat interface: a hosted one, or any server of one's own."""

import asyncio
import os
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any, ClassVar

from dgr.generator import Reply, Request, Sampling
from dgr.generator.endpoint import Endpoint, Unavailable
from dgr.generator.openai import FINISHED, OpenAI
from dgr.generator.resume import Keep, resumed
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
        # The generator of the same interface knows what a URL and a key must be like, and never repeats a key.
        found = [*OpenAI._url_problems(self), *OpenAI._key_problems(self)]
        for key in ("concurrency", "max_attempts"):
            if getattr(self, key) < 1:
                found.append(f"generator.{key}={getattr(self, key)}: must be at least 1")
        if self.timeout <= 0:
            found.append(f"generator.timeout={self.timeout}: must be above 0 seconds")
        if not all(map(find_spec, ("httpx2", "tenacity"))):
            found.append("an endpoint needs a package that is not installed: pip install 'dgr[openai]'")
        return [problem.replace("generator.", "model.") for problem in found]

    def hub_ids(self) -> list[tuple[str, str, str | None]]:
        return []

    def prepare(self, texts: dict[str, str], clip: int | None) -> dict[str, str | None]:
        """The texts as they are: the server keeps messages and control tokens apart. `clip` needs a tokenizer."""
        return dict(texts)

    def ask(self, asked: dict[str, str], system: str, sampling: Sampling, context: JudgeContext) -> dict[str, Reply]:
        """Replies by id to messages of a user; those in the journal are not asked for again."""

        def make(missing: list[Request], keep: Keep) -> None:
            asyncio.run(self._ask_all(missing, system, sampling, keep))

        return resumed([Request(name, text, text) for name, text in asked.items()], context.journal, make)

    async def _ask_all(self, requests: list[Request], system: str, sampling: Sampling, keep: Keep) -> None:
        found = self.problems()
        if found:
            raise ValueError(found[0])
        waiting = iter(requests)
        url, key = f"{self.base_url.rstrip('/')}/chat/completions", os.environ.get(self.api_key_env or "")
        with progress("verdicts", len(requests)) as shown:
            async with Endpoint(url, key, self.concurrency, self.timeout, self.max_attempts) as endpoint:

                async def ask_in_turn() -> None:
                    for request in waiting:
                        reply = await endpoint.post(self._body(request, system, sampling), partial(_reply, request))
                        keep([reply])
                        shown.add(done=1, tokens=reply.n_tokens)

                await asyncio.gather(*(ask_in_turn() for _ in range(min(self.concurrency, len(requests)))))

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
