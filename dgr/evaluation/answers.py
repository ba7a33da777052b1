"""Judges of reasoning items: the answer after the think block against the right one."""

from collections.abc import Sequence
from dataclasses import dataclass

from dgr.evaluation.equivalence import equivalent
from dgr.evaluation.extraction import NOTHING, Found, final_letter, final_number
from dgr.judge import Case, JudgeContext, Verdict


def _verdict(found: Found, gold: str, right: bool | None) -> Verdict:
    """The finding with the step that found the answer; `right` is None where comparing took too long."""
    if found.step == NOTHING:
        return Verdict("wrong", f"{NOTHING}: no answer is stated, gold {gold}")
    relation = {True: "is", False: "is not", None: "could not be compared in time with"}[right]
    return Verdict("correct" if right else "wrong", f"{found.step}: {found.text} {relation} gold {gold}")


@dataclass(frozen=True)
class MathAnswer:
    """Free answers, compared by math-verify; a comparison that takes more than `seconds` counts as wrong."""

    seconds: float

    def verdicts(self, cases: Sequence[Case], context: JudgeContext) -> dict[str, Verdict]:
        found = {case.id: final_number(case.answer) for case in cases}
        right = equivalent([(case.gold, found[case.id].text) for case in cases if found[case.id].text], self.seconds)
        return {
            case.id: _verdict(found[case.id], case.gold, right.get((case.gold, found[case.id].text))) for case in cases
        }

    def problems(self) -> list[str]:
        return [] if self.seconds > 0 else [f"judge.seconds={self.seconds}: must be above 0"]

    def hub_ids(self) -> list[tuple[str, str, str | None]]:
        return []


@dataclass(frozen=True)
class ChoiceAnswer:
    """The letter of an option; `letters` are those that the items have."""

    letters: str

    def verdicts(self, cases: Sequence[Case], context: JudgeContext) -> dict[str, Verdict]:
        found = {case.id: final_letter(case.answer, self.letters) for case in cases}
        return {case.id: _verdict(found[case.id], case.gold, found[case.id].text == case.gold) for case in cases}

    def problems(self) -> list[str]:
        return []

    def hub_ids(self) -> list[tuple[str, str, str | None]]:
        return []
