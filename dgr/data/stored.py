"""Rows of a hub dataset at one revision, or of a local copy of it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from dgr.data.hub import load_table
from dgr.data.rows import Table, file_problem, read_table


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Where the rows are: on the hub, or in a local file where `path` is set.

    `config` is the hub dataset's configuration; `revision` a commit, or a branch that is resolved and reported.
    """

    hub: str | None
    revision: str
    split: str
    config: str | None
    path: str | None

    @property
    def key(self) -> str:
        """How the command line calls this component, for error messages."""
        return "data"

    @property
    def options(self) -> dict:
        """Further arguments of `datasets.load_dataset`."""
        return {}

    @property
    def file(self) -> Path:
        return Path(self.path).expanduser()

    def table(self) -> Table:
        """Every row; ValueError if they cannot be had."""
        if self.path is not None:
            return read_table(self.file, self.key)
        if self.hub is None:
            raise ValueError(self._nowhere())
        return load_table(self.hub, self.revision, self.split, self.config, self.key, self.options)

    def columns_needed(self) -> tuple[str, ...]:
        """Columns without which no row can be read."""
        return ()

    def fingerprint(self) -> str:
        if self.path is None:
            return f"hub:{self.hub}@{self.revision}/{self.config or 'default'}/{self.split}"
        problem = file_problem(self.file, self.key)
        if problem:
            raise ValueError(problem)
        return f"sha256:{hashlib.sha256(self.file.read_bytes()).hexdigest()}"

    def problems(self) -> list[str]:
        """What would make `table` fail, as far as it can be seen without asking the hub."""
        if self.path is None:
            return [] if self.hub else [self._nowhere()]
        problem = file_problem(self.file, self.key)
        if problem:
            return [problem]
        try:
            rows = self.table().rows
        except ValueError as error:
            return [str(error)]
        if not rows:
            return [f"{self.key}.path={self.path} has no rows"]
        first = next((row for _, row in rows if isinstance(row, dict)), {})
        has = ", ".join(map(str, first)) or "none"
        return [
            f"{self.key}.path={self.path} has no column {column!r}, which {self._called()} needs; its columns: {has}"
            for column in self.columns_needed()
            if column not in first
        ]

    def hub_ids(self) -> list[tuple[str, str, str]]:
        """(repository, "dataset", revision) of everything that is fetched from the hub."""
        return [(self.hub, "dataset", self.revision)] if self.path is None and self.hub else []

    def _called(self) -> str:
        return f"{self.key}={self.name}"

    def _nowhere(self) -> str:
        return (
            f"{self._called()} has no rows to read: set {self.key}.path=FILE (or {self.key}.hub=ORGANISATION/DATASET)"
        )
