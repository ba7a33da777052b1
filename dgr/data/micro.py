"""The datasets of the embedded world, in the shape of the real ones and read by the same parsers."""

from abc import abstractmethod
from dataclasses import dataclass
from functools import cache

from dgr.data import parsers
from dgr.data.parsers import Row
from dgr.data.rows import Table
from dgr.data.source import Source
from dgr.sample import Sample, digest


@dataclass(frozen=True, kw_only=True)
class EmbeddedSource(Source):
    """Rows that the package makes itself, the same ones every time."""

    @abstractmethod
    def rows(self) -> list[dict]:
        """Rows in the shape of the real dataset."""

    def table(self) -> Table:
        return Table(f"embedded {self.name}", list(enumerate(self.rows(), start=1)))

    def fingerprint(self) -> str:
        return _rows_digest(self)


@cache
def _rows_digest(source: EmbeddedSource) -> str:
    """The rows of a source never change while a process runs."""
    return f"embedded:{digest(*(source.parse(row).content for row in source.rows()), length=64)}"


@dataclass(frozen=True, kw_only=True)
class MicroDirectRefusal(EmbeddedSource):
    """Harmful requests refused in a labeller's words; every trace is one constant sentence."""

    def rows(self) -> list[dict]:
        from dgr.micro.sources import direct_refusal_rows

        return direct_refusal_rows()

    def parse(self, row: Row) -> Sample:
        from dgr.micro.sources import DIRECT_REFUSAL_TRACE

        return parsers.direct_refusal(row, DIRECT_REFUSAL_TRACE)


@dataclass(frozen=True, kw_only=True)
class MicroR1Act(EmbeddedSource):
    """Harmful requests with a structured trace of another model, then a refusal."""

    def rows(self) -> list[dict]:
        from dgr.micro.sources import r1_act_rows

        return r1_act_rows()

    def parse(self, row: Row) -> Sample:
        return parsers.r1_act(row)


@dataclass(frozen=True, kw_only=True)
class MicroGraded(EmbeddedSource):
    """Harmful requests declined for the same reasons, in the same order, in wordings from the target's own (`foreign`
    0) to another model's (1): between two of these sets nothing differs but the wording."""

    foreign: float

    def problems(self) -> list[str]:
        return [] if 0 <= self.foreign <= 1 else [f"data.foreign={self.foreign}: must be between 0 and 1"]

    def rows(self) -> list[dict]:
        from dgr.micro.sources import graded_rows

        return graded_rows(self.foreign)

    def parse(self, row: Row) -> Sample:
        return parsers.r1_act(row)
