"""A dataset of safety samples: rows from somewhere, one parser, ids that stay."""

import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from dgr.data.parsers import BadRow, Row
from dgr.data.rows import Table
from dgr.data.stored import Stored
from dgr.sample import Sample

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """What every dataset has; a subclass says where the rows are (`table`) and how one is read (`parse`).

    A sample's id is the row's own, else `<name>/<row number>`, so it depends on nothing that is skipped or subset.
    """

    name: str
    language: str
    skip_bad: bool

    @abstractmethod
    def table(self) -> Table:
        """Every row, from wherever they are."""

    @abstractmethod
    def parse(self, row: Row) -> Sample:
        """One row as a Sample; BadRow for a row of another shape."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Identifies the rows: equal fingerprints mean equal data."""

    def problems(self) -> list[str]:
        """What would make `load` fail, as far as it can be seen in milliseconds."""
        return []

    def hub_ids(self) -> list[tuple[str, str, str]]:
        """(repository, "dataset", revision) of everything that `load` fetches from the hub."""
        return []

    def load(self) -> list[Sample]:
        """All samples in the rows' order; ValueError names the first bad row, or two rows with one id."""
        return self.load_with_report()[0]

    def load_with_report(self) -> tuple[list[Sample], dict]:
        """The samples, and how many rows there were, which were skipped, and which revision they came from."""
        table = self.table()
        samples: dict[str, Sample] = {}
        numbers: dict[str, int] = {}
        skipped: list[str] = []
        for number, row in table.rows:
            where = f"{table.origin}, {table.unit} {number}"
            try:
                sample = self._sample(number, row)
            except BadRow as error:
                skipped.append(f"{where}: {error}")
                if not self.skip_bad:
                    raise ValueError(f"{skipped[0]}; data.skip_bad=true leaves such rows out and counts them") from None
                continue
            if sample.id in samples:
                raise ValueError(
                    f"{where}: id {sample.id!r} is also that of {table.unit} {numbers[sample.id]}; "
                    "ids must differ, or the file must have none"
                )
            samples[sample.id], numbers[sample.id] = sample, number
        if not samples:
            raise ValueError(
                f"{table.origin} has no usable row" + (f"; the first is bad: {skipped[0]}" if skipped else "")
            )
        return list(samples.values()), self._report(table, samples.values(), skipped)

    def _sample(self, number: int, row: dict | BadRow) -> Sample:
        if isinstance(row, BadRow):
            raise row
        sample = self.parse(row)
        return sample if sample.id else replace(sample, id=f"{self.name}/{number:05d}")

    def _report(self, table: Table, samples: Iterable[Sample], skipped: list[str]) -> dict:
        stances = Counter(sample.stance for sample in samples)
        log.info("%s: %d samples %s, %d bad rows skipped", table.origin, stances.total(), dict(stances), len(skipped))
        for message in skipped[:5]:
            log.warning("skipped %s", message)
        return {
            "origin": table.origin,
            "revision": table.revision,
            "rows": len(table.rows),
            "samples": stances.total(),
            "stances": dict(stances),
            "skipped": len(skipped),
            "skipped_rows": skipped[:20],
        }


@dataclass(frozen=True, kw_only=True)
class StoredSource(Stored, Source):
    """Rows of a hub dataset, or of a local copy of it where `path` is set."""

    needed: ClassVar[tuple[str, ...]] = ()

    def columns_needed(self) -> tuple[str, ...]:
        return self.needed
