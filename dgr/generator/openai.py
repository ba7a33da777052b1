"""Replies by a server with OpenAI's interface: vLLM, SGLang, llama.cpp, transformers serve, or a hosted one."""

import asyncio
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from typing import Any, ClassVar
from urllib.parse import urlsplit

from dgr.chat import Chat
from dgr.generator import LENGTH, STOP, Generator, Reply, Request, Sampling
from dgr.generator.endpoint import Endpoint, Unavailable
from dgr.generator.resume import Keep, resumed
from dgr.model import TargetModel
from dgr.progress import Progress, progress
from dgr.sample import digest, seed_for
from dgr.store import Journal

log = logging.getLogger(__name__)

COMPLETIONS, CHAT = "completions", "chat"
PATHS = {COMPLETIONS: "completions", CHAT: "chat/completions"}
SEEDS = 2**31  # servers differ in what they take; all take a positive int32
FINISHED = {"stop": STOP, "length": LENGTH, "content_filter": LENGTH}  # a filtered reply was cut


@dataclass(frozen=True)
class OpenAI:
    """Asynchronous requests, at most `concurrency` at once, each tried up to `max_attempts` times.

    `serves` is the `path` of the model behind `base_url`, `model` its name there (None: the path itself). Every other
    model, such as one just trained, is asked with the generator `local`. `completions` sends our own rendered prompt,
    so the think block is exactly ours; `chat` sends the user's text and the server renders. The key is read from the
    environment variable that `api_key_env` names. `extra_body` is added to every request.
    """

    name: str
    base_url: str
    api_key_env: str | None
    serves: str
    model: str | None
    endpoint: str
    concurrency: int
    timeout: float
    max_attempts: int
    extra_body: dict[str, Any]
    local: Generator
    speed_only: ClassVar[tuple[str, ...]] = ("api_key_env", "concurrency", "timeout", "max_attempts")

    def fingerprint(self) -> str:
        """Digest of the server, what it is asked for and how, and of the generator of the other models."""
        settings = (self.base_url, self.serves, self.model, self.endpoint, sorted(self.extra_body.items()))
        return f"openai {digest(*settings, self.local.fingerprint())}"

    def problems(self) -> list[str]:
        found = [*self._url_problems(), *self._key_problems()]
        if self.endpoint not in PATHS:
            found.append(f"generator.endpoint={self.endpoint}: choose {COMPLETIONS} or {CHAT}")
        for key in ("concurrency", "max_attempts"):
            if getattr(self, key) < 1:
                found.append(f"generator.{key}={getattr(self, key)}: must be at least 1")
        if self.timeout <= 0:
            found.append(f"generator.timeout={self.timeout}: must be above 0 seconds")
        if not all(map(find_spec, ("httpx2", "tenacity"))):
            found.append("generator=openai needs a package that is not installed: pip install 'dgr[openai]'")
        return found + self.local.problems()

    def _url_problems(self) -> Iterator[str]:
        try:
            url = urlsplit(self.base_url)
            valid = url.scheme in ("http", "https") and bool(url.hostname) and (url.port or 1) > 0
        except ValueError:
            valid = False
        if not valid:
            yield f"generator.base_url={self.base_url}: give a URL such as http://127.0.0.1:8000/v1"
        elif url.username or url.password or url.query or url.fragment:
            yield (
                f"generator.base_url (host {url.hostname}): no user, password or query may be in it, it is written to "
                "files; put the key into the variable that generator.api_key_env names"
            )
        elif url.path.rstrip("/").endswith("completions"):
            yield f"generator.base_url={self.base_url}: give it without the endpoint, up to /v1"

    def _key_problems(self) -> Iterator[str]:
        if self.api_key_env is None:
            return
        if not self.api_key_env.isidentifier():  # somebody may have put the key itself here: do not repeat it
            yield "generator.api_key_env is no name of a variable; give the name, never the key (null: no key)"
        elif not os.environ.get(self.api_key_env):
            yield (
                f"generator.api_key_env={self.api_key_env}: that variable is not set; export it with the API key, or "
                "set generator.api_key_env=null for a server without one"
            )
        elif not _is_header(os.environ[self.api_key_env]):
            yield f"generator.api_key_env={self.api_key_env}: the key in it holds blanks or characters no key has"

    def generate(
        self, target: TargetModel, requests: list[Request], sampling: Sampling, seed: int, journal: Journal
    ) -> dict[str, Reply]:
        """Replies by request id, in the order of the requests; those in the journal are not asked for again.

        Raises ValueError where the server refuses, RuntimeError where it stays away; the replies until then are kept.
        """
        if target.path != self.serves or target.adapter:
            _say_once(target.path, self.base_url)
            return self.local.generate(target, requests, sampling, seed, journal)

        def make(missing: list[Request], keep: Keep) -> None:
            dialogue = Dialogue(target.chat(), self.model or target.location, self.endpoint, sampling, self.extra_body)
            dialogue.check(missing)
            with progress("replies", len(missing)) as shown:
                asyncio.run(self._ask_all(dialogue, missing, seed, keep, shown))

        return resumed(requests, journal, make)

    async def _ask_all(
        self, dialogue: "Dialogue", requests: list[Request], seed: int, keep: Keep, shown: Progress
    ) -> None:
        waiting = iter(requests)
        url = f"{self.base_url.rstrip('/')}/{PATHS[self.endpoint]}"
        async with Endpoint(url, self._key(), self.concurrency, self.timeout, self.max_attempts) as endpoint:

            async def ask_in_turn() -> None:
                for request in waiting:
                    body = dialogue.body(request, seed_for(seed, "generate", request.id) % SEEDS)
                    reply = await endpoint.post(body, partial(dialogue.reply, request))
                    keep([reply])
                    shown.add(done=1, tokens=reply.n_tokens)

            await asyncio.gather(*(ask_in_turn() for _ in range(min(self.concurrency, len(requests)))))

    def _key(self) -> str | None:
        found = [*self._key_problems()]
        if found:
            raise ValueError(found[0])
        return os.environ[self.api_key_env] if self.api_key_env else None


@dataclass(frozen=True)
class Dialogue:
    """What is said to one endpoint about one model: bodies of requests, and replies out of answers."""

    chat: Chat
    model: str
    endpoint: str
    sampling: Sampling
    extra_body: dict[str, Any]

    def check(self, requests: list[Request]) -> None:
        """ValueError where the endpoint would not see the prompt, or not show the reply, as they are."""
        if self.endpoint == CHAT:
            log.warning(
                "endpoint=chat: the server renders the prompt and may take the think block apart; "
                "what the model saw can differ from what it is trained on (endpoint=completions where it is offered)"
            )
            for request in requests:
                if request.user is None or self.chat.render_prompt(request.user) != request.prompt:
                    raise ValueError(
                        f"request {request.id!r} is more than the text of one user message, and endpoint=chat can "
                        "send nothing else; use generator.endpoint=completions"
                    )
        special = special_delimiters(self.chat)
        if special and self.extra_body.get("skip_special_tokens") is not False:
            raise ValueError(
                f"this model's think block is marked by special tokens ({', '.join(sorted(special))}), which servers "
                "leave out of their replies; set +generator.extra_body.skip_special_tokens=false (vLLM, SGLang)"
            )

    def body(self, request: Request, seed: int) -> dict[str, Any]:
        said: dict[str, Any] = {"prompt": request.prompt}
        if self.endpoint == CHAT:
            said = {"messages": [{"role": "user", "content": self.chat.neutralise(request.user)}]}
        settings = {"temperature": self.sampling.temperature, "top_p": self.sampling.top_p, "seed": seed}
        if self.sampling.top_k > 0:
            settings["top_k"] = self.sampling.top_k  # OpenAI's own interface has none
        limit = {"max_tokens": self.sampling.max_new_tokens}
        return {"model": self.model, **said, **limit, **settings, **self.extra_body}

    def reply(self, request: Request, answer: Any) -> Reply:
        """Unavailable (it is tried again) for a reply that was broken off, ValueError for what is no reply."""
        try:
            choice, usage = answer["choices"][0], answer["usage"]
            n_read, n_tokens = usage["prompt_tokens"], usage["completion_tokens"]
            text = self._said(request, choice["message"]) if self.endpoint == CHAT else choice["text"] or ""
            finish_reason = choice["finish_reason"]
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(
                f"the answer to request {request.id!r} is no reply of OpenAI's {self.endpoint} interface "
                f"({error!r} is missing): {str(answer)[:200]}"
            ) from None
        if finish_reason not in FINISHED:
            raise Unavailable(f"finish_reason {finish_reason!r}")
        if self.endpoint == COMPLETIONS:
            self._check_prompt(request, n_read)
        if FINISHED[finish_reason] == STOP:
            text = text.removesuffix(self.chat.end_token)
        return Reply(request.id, text, FINISHED[finish_reason], n_tokens)

    def _check_prompt(self, request: Request, n_read: int) -> None:
        """The server read our prompt as it stands: nothing added, as a second BOS, and nothing cut."""
        n_sent = len(self.chat.tokenize(request.prompt))
        if n_read != n_sent:
            raise ValueError(
                f"request {request.id!r}: the server read {n_read} tokens, its prompt has {n_sent}; one more is a "
                "second BOS (+generator.extra_body.add_special_tokens=false prevents it with vLLM and SGLang), fewer "
                "mean that the server's context is too short"
            )

    def _said(self, request: Request, message: dict[str, Any]) -> str:
        """A chat message as the model would have written it after our prompt, think block included."""
        form, content = self.chat.format, message["content"] or ""
        opened = self.chat.opens(request.prompt)
        reasoning = message.get("reasoning_content") or message.get("reasoning")
        if reasoning:  # the server took the reply apart
            answer = form.before_closing + form.closing + form.after_closing + content if content else ""
            return ("" if opened else form.opening + form.after_opening) + reasoning + answer
        if opened and content.lstrip().startswith(form.opening):
            return content.lstrip().removeprefix(form.opening)
        return content


@cache
def _say_once(path: str, url: str) -> None:
    """A line for each model, not for each benchmark."""
    log.info("%s is not what %s serves: generator.local answers", path, url)


def special_delimiters(chat: Chat) -> set[str]:
    """Delimiters of the think block that are lost when a decoder skips special tokens."""
    special = chat.tokenizer.all_special_tokens
    delimiters = (chat.format.opening, chat.format.closing)
    return {text for text in delimiters if any(token in text for token in special)}


def _is_header(key: str) -> bool:
    """Characters that a header may hold: an error about any other would quote the key."""
    return key.isascii() and key.isprintable() and " " not in key
