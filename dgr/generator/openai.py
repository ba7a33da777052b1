"""Replies by a server with OpenAI's interface: vLLM, SGLang, llama.cpp, transformers serve, or a hosted one."""

import logging
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from dgr.chat import Chat
from dgr.generator import LENGTH, STOP, Generator, Reply, Request, Sampling
from dgr.generator.endpoint import Unavailable
from dgr.generator.resume import Keep, resumed
from dgr.generator.server import ask_all, server_problems
from dgr.model import TargetModel
from dgr.progress import progress
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
        found = server_problems(self, "generator")
        if self.endpoint not in PATHS:
            found.append(f"generator.endpoint={self.endpoint}: choose {COMPLETIONS} or {CHAT}")
        return found + self.local.problems()

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

            def body(request: Request) -> dict[str, Any]:
                return dialogue.body(request, seed_for(seed, "generate", request.id) % SEEDS)

            with progress("replies", len(missing)) as shown:

                def answered(reply: Reply) -> None:
                    keep([reply])
                    shown.add(done=1, tokens=reply.n_tokens)

                ask_all(self, PATHS[self.endpoint], "generator", missing, body, dialogue.reply, answered)

        return resumed(requests, journal, make)


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
