"""The published safety datasets, and any dataset of the user's own by a column map."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from dgr.data import parsers
from dgr.data.parsers import Row
from dgr.data.source import StoredSource
from dgr.sample import COMPLY, REFUSE, Sample

FIELDS = ("prompt", "reasoning", "answer", "id", "category", "stance")
REQUIRED = ("prompt", "answer")


@dataclass(frozen=True, kw_only=True)
class DirectRefusal(StoredSource):
    """Harmful questions refused at once; every trace is the one sentence `reasoning`."""

    reasoning: str

    needed: ClassVar[tuple[str, ...]] = ("refusal",)

    def parse(self, row: Row) -> Sample:
        return parsers.direct_refusal(row, self.reasoning)


@dataclass(frozen=True, kw_only=True)
class R1Act(StoredSource):
    """Harmful instructions with a structured trace that ends in a refusal."""

    needed: ClassVar[tuple[str, ...]] = ("instruction", "response")

    def parse(self, row: Row) -> Sample:
        return parsers.r1_act(row)


@dataclass(frozen=True, kw_only=True)
class SafeChain(StoredSource):
    """Harmful and benign instructions, plain and adversarial, with R1's own traces."""

    needed: ClassVar[tuple[str, ...]] = ("instruction", "response", "label")

    def parse(self, row: Row) -> Sample:
        return parsers.safechain(row)


@dataclass(frozen=True, kw_only=True)
class Star1(StoredSource):
    """Harmful questions with policy-grounded traces, filtered by score."""

    needed: ClassVar[tuple[str, ...]] = ("id", "question", "response")

    def parse(self, row: Row) -> Sample:
        return parsers.star1(row)


@dataclass(frozen=True, kw_only=True)
class Jsonl(StoredSource):
    """A dataset of any shape: `columns` maps the fields of a Sample to the rows' columns; null leaves a field out.

    Prompt and answer must be mapped. A column that bears its field's own name may be absent, one with another name may
    not: whoever wrote the name wants it read. `reasoning` and `stance` stand in for rows without.
    """

    columns: Mapping[str, str | None]
    reasoning: str | None
    stance: str

    def parse(self, row: Row) -> Sample:
        return parsers.mapped(row, self.columns, self.reasoning, self.stance)

    def columns_needed(self) -> tuple[str, ...]:
        return tuple(
            column
            for field, column in self.columns.items()
            if column is not None and (field in REQUIRED or column != field)
        )

    def problems(self) -> list[str]:
        """Mistakes in the map first: with them the file's columns cannot be judged."""
        found = [
            f"data.columns.{field} is no field of a sample; the fields are {', '.join(FIELDS)}"
            for field in self.columns
            if field not in FIELDS
        ]
        found += [
            f"data.columns.{field} is not set; name the column that holds each row's {field}"
            for field in REQUIRED
            if not self.columns.get(field)
        ]
        if self.stance not in (REFUSE, COMPLY):
            found.append(f"data.stance={self.stance!r} must be {REFUSE!r} or {COMPLY!r}")
        return found or super().problems()
