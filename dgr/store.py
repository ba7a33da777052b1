"""What several points share, computed once: append-only journals under `outputs/store/`."""

import json
import logging
import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from dgr.locks import lock_files, locked

__all__ = ["Journal", "Store", "locked"]

log = logging.getLogger(__name__)


class Journal:
    """An append-only JSONL file of records with an `id`; the first record of an id is the one that counts.

    A record is there once its line ends, so a killed writer loses at most the records of its last `append`.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def read(self) -> dict[str, dict]:
        """Records by id, in the order written; a damaged line is skipped and logged, an unfinished last one skipped."""
        if not self.path.exists():
            return {}
        records: dict[str, dict] = {}
        for number, line in enumerate(self.path.read_bytes().splitlines(keepends=True), start=1):
            if not line.endswith(b"\n"):
                break  # by a killed writer, or one that is just writing it
            try:
                record = json.loads(line)
                records.setdefault(record["id"], record)
            except (ValueError, TypeError, KeyError):
                log.warning("%s: line %d is damaged; its record is computed again", self.path, number)
        return records

    def append(self, records: Iterable[dict]) -> None:
        """Write records in one go and make them durable before returning; where that fails, none of them stays."""
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        if not lines:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            if size and file.seek(-1, os.SEEK_END) is not None and file.read(1) != b"\n":
                lines = "\n" + lines  # close the line that a killed writer left open
            left = memoryview(lines.encode("utf-8", "backslashreplace"))
            try:
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise

    def discard(self) -> None:
        """Remove the journal, once what it holds stands elsewhere."""
        for file in (self.path, *lock_files(self.path)):
            file.unlink(missing_ok=True)

    def locked(self) -> AbstractContextManager[None]:
        """Hold the journal's lock; wait for another process that holds it."""
        return locked(self.path)


@dataclass(frozen=True)
class Store:
    """The folder of journals; a journal's name holds the digest of everything that its records depend on."""

    root: Path

    def journal(self, kind: str, key: str) -> Journal:
        """The journal of one computation, e.g. `journal("attempts", digest(model, prompt, sampling, seed))`."""
        return Journal(self.root / kind / f"{key}.jsonl")
