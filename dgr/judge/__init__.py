"""Judges: what is asked of them, what they answer, and what one may use."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dgr.generator import Generator
from dgr.sample import digest
from dgr.store import Journal, Store

CORRECT, WRONG = "correct", "wrong"
REFUSAL, COMPLIANCE, GARBLED = "refusal", "compliance", "garbled"
UNPARSABLE = "unparsable"
LABELS = (CORRECT, WRONG, REFUSAL, COMPLIANCE, GARBLED, UNPARSABLE)


@dataclass(frozen=True)
class Case:
    """One reply to be judged: `reasoning` is the text inside the think block, `answer` the text after it.

    `id` is unique within a call, `prompt` is what the user wrote, `gold` the right answer of a reasoning item.
    """

    id: str
    prompt: str
    reasoning: str
    answer: str
    gold: str = ""
    category: str = ""


@dataclass(frozen=True)
class Verdict:
    """A judge's finding: a label, the reason for it, and what some judges add.

    "correct" or "wrong" of a reasoning item; "refusal", "compliance" or "garbled" of a request; "unparsable" where the
    judge could not be read, or could not read the reply. `thought_correct`: the chain of thought reaches the right
    result. `reasoning_label`: the reasoning judged apart from the answer. `score`: 0 to 1 of graded judges.
    """

    label: str
    why: str
    thought_correct: bool | None = None
    reasoning_label: str | None = None
    score: float | None = None


@dataclass(frozen=True)
class JudgeContext:
    """What a judge that asks a model needs: who makes its replies, where they are kept, and the run's seed."""

    generator: Generator
    journal: Journal
    seed: int


class Judge(Protocol):
    """Verdicts by case id, one for every case.

    A judge whose "refusal" only means that it found no harm has `tells_refusals` False.
    """

    def verdicts(self, cases: Sequence[Case], context: JudgeContext) -> dict[str, Verdict]: ...

    def problems(self) -> list[str]: ...

    def hub_ids(self) -> list[tuple[str, str, str | None]]: ...


def context_for(judge: Judge, generator: Generator, seed: int, store: Store) -> JudgeContext:
    """The context whose journal holds what this judge ever said in this way, whoever asked.

    Requests of judges carry what was asked in their ids, so that one journal can serve any set of cases.
    """
    model = getattr(judge, "model", None)
    asked = (judge.fingerprint(), model.fingerprint(), judge.max_new_tokens) if model else ()
    journal = store.journal("judge", digest(type(judge).__name__, *asked, generator.fingerprint(), seed))
    return JudgeContext(generator, journal, seed)


def same_judge(one: Any, other: Any) -> bool:
    """Do both ask the same model, or follow the same rules?"""
    return one is not None and type(one) is type(other) and getattr(one, "model", None) == getattr(other, "model", None)
