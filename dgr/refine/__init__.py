"""Refinement: what a strategy is given, what it gives for each sample, and the numbers that sum it up."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from dgr.generator import Generator
from dgr.model import TargetModel
from dgr.sample import Sample
from dgr.store import Store

if TYPE_CHECKING:
    from dgr.chat import Chat


@dataclass(frozen=True)
class RefineContext:
    """What a strategy may use. Its seed and store are the run's."""

    target: TargetModel
    generator: Generator
    seed: int
    store: Store


@dataclass(frozen=True)
class Refined:
    """A source sample and what became of it. `sample` is what is trained on; None if it was dropped.

    `accepted`: the sample is a rewrite that passed the checks. `fallback`: it was to be rewritten, no attempt passed,
    and it is the source. Both are False where nothing was rewritten, and for a dropped sample. `attempts` holds the
    names of the failed checks of every attempt; `tokens_in` and `tokens_out` count prompt and reply tokens of them all.
    """

    source: Sample
    sample: Sample | None
    accepted: bool = False
    fallback: bool = False
    attempts: list[list[str]] = field(default_factory=list)
    tokens_in: int = 0
    tokens_out: int = 0

    @property
    def dropped(self) -> bool:
        return self.sample is None

    def row(self) -> dict[str, Any]:
        """One line of samples.jsonl: the sample with its provenance; ValueError for a dropped one."""
        if self.sample is None:
            raise ValueError(f"sample {self.source.id} was dropped; it is not trained on")
        return {
            **asdict(self.sample),
            "source_reasoning": self.source.reasoning,
            "source_answer": self.source.answer,
            "accepted": self.accepted,
            "fallback": self.fallback,
            "attempts": len(self.attempts),
            "failed": self.attempts,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
        }


class Refiner(Protocol):
    """A strategy: one Refined for each sample, in the samples' order."""

    name: str

    def refine(self, samples: list[Sample], context: RefineContext) -> list[Refined]: ...

    def problems(self) -> list[str]: ...


def summary(refined: Sequence[Refined], chat: "Chat | None" = None) -> dict[str, Any]:
    """refine.json: rates with n and standard error, counts by reason, attempts used, mean lengths.

    `n_source` samples came in, `n` are trained on. The rates are over the samples that were to be rewritten and are
    absent where there are none. `failed` counts, for the first attempt, the second, ..., how often each check failed.
    Lengths are in characters, and in tokens too if a chat is given.
    """
    tried = [entry for entry in refined if entry.attempts]
    counts = {"n_source": len(refined), "n": sum(not entry.dropped for entry in refined), "tried": len(tried)}
    outcomes = {
        "accepted": [entry.accepted for entry in tried],
        "fallback_rate": [entry.fallback for entry in tried],
        "dropped_rate": [entry.dropped for entry in tried],
    }
    counts |= {f"{name.removesuffix('_rate')}_count": sum(hits) for name, hits in outcomes.items()}
    rates: dict[str, float] = {}
    for name, hits in outcomes.items() if tried else ():
        rates |= _rate(name, hits)
    return {
        **counts,
        **rates,
        **_attempts(tried),
        **_lengths(refined, chat),
        "tokens_in": sum(entry.tokens_in for entry in refined),
        "tokens_out": sum(entry.tokens_out for entry in refined),
    }


def _rate(name: str, hits: Sequence[bool]) -> dict[str, float]:
    p, n = sum(hits) / len(hits), len(hits)
    return {name: p, f"{name}/n": n, f"{name}/stderr": math.sqrt(p * (1 - p) / n)}


def _attempts(tried: Sequence[Refined]) -> dict[str, Any]:
    """Attempts used, as a histogram and a mean, and failed checks by attempt."""
    used = Counter(len(entry.attempts) for entry in tried)
    failed: dict[str, Counter[str]] = {}
    for entry in tried:
        for number, names in enumerate(entry.attempts, start=1):
            failed.setdefault(str(number), Counter()).update(names)
    found: dict[str, Any] = {"attempts": {str(number): used[number] for number in sorted(used)}}
    found["failed"] = {number: dict(names.most_common()) for number, names in sorted(failed.items())}
    if tried:
        found["attempts_mean"] = sum(number * count for number, count in used.items()) / len(tried)
    return found


def _lengths(refined: Sequence[Refined], chat: "Chat | None") -> dict[str, float]:
    """Mean lengths of the source's and the new texts, over the samples that are trained on."""
    pairs = [(entry.source, entry.sample) for entry in refined if entry.sample]
    units = {"characters": len} | ({"tokens": lambda text: len(chat.tokenize(text))} if chat else {})
    found = {}
    for unit, measure in units.items() if pairs else ():
        for part in ("reasoning", "answer"):
            for side, name in enumerate(("source", "refined")):
                total = sum(measure(getattr(pair[side], part)) for pair in pairs)
                found[f"{part}/{unit}/{name}"] = total / len(pairs)
    return found
