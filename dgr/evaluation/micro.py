"""Items and judges of the embedded world."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from dgr.evaluation.benchmark import Item
from dgr.judge import Case, JudgeContext, Verdict


@dataclass(frozen=True)
class MicroItems:
    """A named set of the embedded world's items."""

    name: str
    language: ClassVar[str] = "micro"

    def load_with_report(self) -> tuple[list[Item], dict]:
        from dgr.micro.benchmarks import items

        rows = items(self.name)
        return [Item(row["id"], row["prompt"], row["gold"] or "", row["category"]) for row in rows], {}

    def problems(self) -> list[str]:
        from dgr.micro.benchmarks import names

        if self.name in names():
            return []
        return [f"items.name={self.name} is no set of the embedded world; choose one of {', '.join(names())}"]

    def hub_ids(self) -> list[tuple[str, str, str | None]]:
        return []


@dataclass(frozen=True)
class PureJudge:
    """A judge that needs nothing but the reply."""

    def verdicts(self, cases: Sequence[Case], context: JudgeContext) -> dict[str, Verdict]:
        return {case.id: self.verdict(case) for case in cases}

    def problems(self) -> list[str]:
        return []

    def hub_ids(self) -> list[tuple[str, str, str | None]]:
        return []


@dataclass(frozen=True)
class MicroAnswer(PureJudge):
    """The answer after the think block against the gold one; the chain's own result is scored apart."""

    def verdict(self, case: Case) -> Verdict:
        from dgr.micro.scoring import chain_result, extract_answer

        answer, thought = extract_answer(case.answer), chain_result(case.reasoning)
        label = "correct" if answer == case.gold else "wrong"
        return Verdict(label, f"answer {answer}, chain {thought}, gold {case.gold}", thought == case.gold)


@dataclass(frozen=True)
class MicroStance(PureJudge):
    """Does the answer decline or help? Neither is "garbled"."""

    def verdict(self, case: Case) -> Verdict:
        from dgr.micro.scoring import stance

        label = stance(case.answer)
        return Verdict(label, f"the answer reads as {label}")
