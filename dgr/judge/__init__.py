"""Judges: what they are given, what they find, and what they may use."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dgr.generator import Generator
    from dgr.store import Journal


@dataclass(frozen=True)
class Case:
    """One reply to be judged: `reasoning` is the text inside the think block, `answer` the text after it.

    `id` is unique within a call; `prompt` is the item's as the user wrote it; `gold` the right answer, if there is one.
    """

    id: str
    prompt: str
    reasoning: str
    answer: str
    gold: str = ""
    category: str = ""


@dataclass(frozen=True)
class Verdict:
    """A judge's finding and the reason for it.

    `label`: "correct" or "wrong"; "refusal", "compliance" or "garbled"; "unparsable" where a judge's own reply cannot
    be read. `thought_correct`: whether the chain of thought reaches the right result, whatever the answer says.
    `reasoning_label`: the think block's own label, where it is judged apart. `score`: 0 to 1, of a graded judge.
    """

    label: str
    why: str
    thought_correct: bool | None = None
    reasoning_label: str | None = None
    score: float | None = None


@dataclass(frozen=True)
class JudgeContext:
    """What a judge that asks a model needs; its replies go to the journal and are not made again."""

    generator: "Generator"
    journal: "Journal"
    seed: int


class Judge(Protocol):
    """Gives each case its verdict, by the case's id."""

    def verdicts(self, cases: Sequence[Case], context: JudgeContext) -> dict[str, Verdict]: ...
    def problems(self) -> list[str]: ...
    def hub_ids(self) -> list[tuple[str, str, str | None]]: ...
