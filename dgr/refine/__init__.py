"""Refinement: what a strategy is given, what it gives for each sample, and the numbers that sum it up."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from dgr.generator import Generator, Reply
from dgr.model import TargetModel
from dgr.sample import Sample
from dgr.store import Store

if TYPE_CHECKING:
    from dgr.chat import Chat


@dataclass(frozen=True)
class RefineContext:
    """What a strategy may use. Its seed and store are the run's.

    `reserve` gives the samples of the source that come after the subset, in the same nested order; they are read only
    if a strategy asks.
    """

    target: TargetModel
    generator: Generator
    seed: int
    store: Store
    reserve: Callable[[], Sequence[Sample]] = list


@dataclass(frozen=True)
class Tried:
    """One attempt at a sample after its checks: the reply, the sample it makes, and reasons by failed check.

    `prompt_id` is the digest of the prompt file's content; `tokens_in` counts the tokens of the rendered prompt.
    """

    number: int
    prompt_id: str
    reply: Reply
    rewrite: Sample
    failed: dict[str, str]
    tokens_in: int


@dataclass(frozen=True)
class Refined:
    """A source sample and what became of it. `sample` is what is trained on; None if it was dropped.

    `accepted`: the sample is a rewrite that passed the checks. `fallback`: it was to be rewritten, no attempt passed,
    and it is the source. Both are False where nothing was rewritten, and for a dropped sample.
    """

    source: Sample
    sample: Sample | None
    accepted: bool = False
    fallback: bool = False
    tries: list[Tried] = field(default_factory=list)

    @property
    def dropped(self) -> bool:
        return self.sample is None

    @property
    def attempts(self) -> list[list[str]]:
        """Names of the failed checks of every attempt; an empty list is an attempt that passed."""
        return [list(tried.failed) for tried in self.tries]

    @property
    def tokens_in(self) -> int:
        """Prompt tokens of all attempts."""
        return sum(tried.tokens_in for tried in self.tries)

    @property
    def tokens_out(self) -> int:
        """Reply tokens of all attempts."""
        return sum(tried.reply.n_tokens for tried in self.tries)

    def row(self, nll: Mapping[str, dict] | None = None) -> dict[str, Any]:
        """One line of samples.jsonl: the sample with its provenance; ValueError for a dropped one.

        `nll` holds the rows of `dgr.gap.sample_nll` by content; nats per token before and after stand in the line then.
        """
        if self.sample is None:
            raise ValueError(f"sample {self.source.id} was dropped; it is not trained on")
        return {
            **asdict(self.sample),
            "source_reasoning": self.source.reasoning,
            "source_answer": self.source.answer,
            "accepted": self.accepted,
            "fallback": self.fallback,
            "attempts": len(self.tries),
            "failed": self.attempts,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            **({} if nll is None else {"nll_before": _digits(nats_per_token(nll[self.source.content]))}),
            **({} if nll is None else {"nll_after": _digits(nats_per_token(nll[self.sample.content]))}),
        }

    def attempt_rows(self) -> list[dict[str, Any]]:
        """Lines of attempts.jsonl: every attempt with its reply, rejected ones too.

        A sample that was dropped without an attempt has one line with the number 0.
        """
        outcome = "accepted" if self.accepted else "dropped" if self.dropped else "fallback"
        head = {"id": self.source.id, "prompt": self.source.prompt, "outcome": outcome}
        kept = next((tried.number for tried in self.tries if self.accepted and tried.rewrite == self.sample), None)
        rows = [
            {
                **head,
                "attempt": tried.number,
                "kept": tried.number == kept,
                "prompt_id": tried.prompt_id,
                "reply": tried.reply.text,
                "finish_reason": tried.reply.finish_reason,
                "failed": tried.failed,
                "tokens_in": tried.tokens_in,
                "tokens_out": tried.reply.n_tokens,
            }
            for tried in self.tries
        ]
        return rows or ([{**head, "attempt": 0, "kept": False}] if self.dropped else [])


class Refiner(Protocol):
    """A strategy: one Refined for each sample, in the samples' order, then one for each it drew from the reserve.

    A strategy that depends on the target may also have `problems_with(target) -> list[str]` for the preflight.
    """

    name: str

    def refine(self, samples: list[Sample], context: RefineContext) -> list[Refined]: ...

    def problems(self) -> list[str]: ...


def nats_per_token(row: Mapping[str, float]) -> float:
    """Mean over all tokens of a sample's reasoning and answer; `row` is one of `dgr.gap.sample_nll`."""
    return (row["reasoning_nll"] + row["answer_nll"]) / (row["reasoning_tokens"] + row["answer_tokens"])


def texts(refined: Sequence[Refined]) -> list[Sample]:
    """The source's and the new text of every sample that is trained on."""
    return [sample for entry in refined if entry.sample for sample in (entry.source, entry.sample)]


def summary(
    refined: Sequence[Refined], chat: "Chat | None" = None, nll: Mapping[str, dict] | None = None
) -> dict[str, Any]:
    """refine.json: rates with n and standard error, counts by reason, attempts used, mean lengths, nats per token.

    `n_source` samples were looked at, `n` are trained on. The rates are over the samples that were to be rewritten and
    are absent where there are none. `failed` counts, for the first attempt, the second, ..., how often each check
    failed. Lengths are in characters, and in tokens too if a chat is given.
    """
    tried = [entry for entry in refined if entry.tries]
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
        **_likelihoods(refined, nll),
        "tokens_in": sum(entry.tokens_in for entry in refined),
        "tokens_out": sum(entry.tokens_out for entry in refined),
    }


def _rate(name: str, hits: Sequence[bool]) -> dict[str, float]:
    p, n = sum(hits) / len(hits), len(hits)
    return {name: p, f"{name}/n": n, f"{name}/stderr": math.sqrt(p * (1 - p) / n)}


def _attempts(tried: Sequence[Refined]) -> dict[str, Any]:
    """Attempts used, as a histogram and a mean, and failed checks by attempt."""
    used = Counter(len(entry.tries) for entry in tried)
    failed: dict[str, Counter[str]] = {}
    for entry in tried:
        for number, names in enumerate(entry.attempts, start=1):
            failed.setdefault(str(number), Counter()).update(names)
    found: dict[str, Any] = {"attempts": {str(number): used[number] for number in sorted(used)}}
    found["failed"] = {number: dict(names.most_common()) for number, names in failed.items()}
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


def _likelihoods(refined: Sequence[Refined], nll: Mapping[str, dict] | None) -> dict[str, float]:
    """Nats per token before and after, samples weighed alike, over the samples that are trained on."""
    pairs = [(entry.source, entry.sample) for entry in refined if entry.sample]
    found = {}
    for side, name in enumerate(("nll_before", "nll_after")) if pairs and nll is not None else ():
        values = [nats_per_token(nll[pair[side].content]) for pair in pairs]
        n, mean = len(values), math.fsum(values) / len(values)
        spread = math.fsum((value - mean) ** 2 for value in values) / (n - 1) if n > 1 else math.nan
        found |= {name: _digits(mean), f"{name}/n": n, f"{name}/stderr": _digits(math.sqrt(spread / n))}
    return found


def _digits(value: float) -> float:
    """Six decimals: what the batch that a text was scored in changes is far below, so files repeat byte for byte."""
    return round(value, 6)
