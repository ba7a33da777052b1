"""What every generator takes and gives: requests in, replies out, each joined by id."""

from dataclasses import dataclass
from typing import Protocol

from dgr.model import TargetModel
from dgr.store import Journal

STOP, LENGTH = "stop", "length"


@dataclass(frozen=True)
class Request:
    """A rendered prompt, tokenised as it stands (no special tokens are added).

    `user` is the text that was rendered into it: for servers that only take messages and render them themselves.
    """

    id: str
    prompt: str
    user: str | None = None


@dataclass(frozen=True)
class Reply:
    """What the model wrote after the prompt, end token stripped, every other special token kept.

    `finish_reason` is "stop" (the end token was written) or "length"; `n_tokens` counts the end token.
    """

    id: str
    text: str
    finish_reason: str
    n_tokens: int


@dataclass(frozen=True)
class Sampling:
    """How replies are sampled; temperature 0 is greedy, top_k 0 and top_p 1 keep every token."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 256


class Generator(Protocol):
    """Replies to requests. Every finished reply goes to the journal at once; those already there are not made again.

    A reply depends on the model, the prompt, the sampling, the seed and the request's id, on nothing else: not on
    the batch, the order, or what was asked before.
    """

    def fingerprint(self) -> str:
        """What of this generator can change a reply; part of the key of every journal of replies."""
        ...

    def generate(
        self, target: TargetModel, requests: list[Request], sampling: Sampling, seed: int, journal: Journal
    ) -> dict[str, Reply]: ...
