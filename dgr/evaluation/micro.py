"""Items and judges of the embedded world."""

from dataclasses import dataclass
from typing import ClassVar

from dgr.chat import Split
from dgr.evaluation.benchmark import Item, Verdict


@dataclass(frozen=True)
class MicroItems:
    """A named set of the embedded world's items."""

    name: str
    language: ClassVar[str] = "micro"

    def load(self) -> list[Item]:
        from dgr.micro.benchmarks import items

        rows = items(self.name)
        return [Item(row["id"], row["prompt"], row["gold"] or "", row["category"]) for row in rows]

    def problems(self) -> list[str]:
        from dgr.micro.benchmarks import names

        if self.name in names():
            return []
        return [f"items.name={self.name} is no set of the embedded world; choose one of {', '.join(names())}"]

    def hub_ids(self) -> list[tuple[str, str, str | None]]:
        return []


@dataclass(frozen=True)
class MicroAnswer:
    """The answer after the think block against the gold one; the chain's own result is scored apart."""

    def verdict(self, item: Item, split: Split) -> Verdict:
        from dgr.micro.scoring import chain_result, extract_answer

        answer, thought = extract_answer(split.answer), chain_result(split.reasoning)
        label = "correct" if answer == item.gold else "wrong"
        return Verdict(label, f"answer {answer}, chain {thought}, gold {item.gold}", thought == item.gold)


@dataclass(frozen=True)
class MicroStance:
    """Does the answer decline or help? Neither is "garbled"."""

    def verdict(self, item: Item, split: Split) -> Verdict:
        from dgr.micro.scoring import stance

        label = stance(split.answer)
        return Verdict(label, f"the answer reads as {label}")
