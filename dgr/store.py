"""What several points share, computed once: append-only journals under `outputs/store/`."""

import json
import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)


def _lock_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock beside `path`; wait for another process that holds it, and say so, then once a minute."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(_lock_file(path))
    began, patience = time.monotonic(), 1
    while not lock.is_locked:
        try:
            lock.acquire(timeout=patience)
        except Timeout:
            patience = 60
            log.info("waiting for another process that computes %s (%.0f s)", path, time.monotonic() - began)
    try:
        yield
    finally:
        lock.release()


class Journal:
    """An append-only JSONL file of records with an `id`; the first record of an id is the one that counts.

    A record is there once its line ends, so a killed writer loses at most the records of its last `append`.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def read(self) -> dict[str, dict]:
        """Records by id, in the order written; an unfinished or damaged line is skipped and logged."""
        if not self.path.exists():
            return {}
        records: dict[str, dict] = {}
        for number, line in enumerate(self.path.read_bytes().splitlines(keepends=True), start=1):
            try:
                record = json.loads(line) if line.endswith(b"\n") else None
                records.setdefault(record["id"], record)
            except (ValueError, TypeError, KeyError):
                log.warning("%s: line %d is damaged; its record is computed again", self.path, number)
        return records

    def append(self, records: Iterable[dict]) -> None:
        """Write records in one go and make them durable before returning."""
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        if not lines:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) is not None and file.read(1) != b"\n":
                lines = "\n" + lines  # close the line that a killed writer left open
            file.write(lines.encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())

    def discard(self) -> None:
        """Remove the journal, once what it holds stands elsewhere."""
        for file in (self.path, _lock_file(self.path)):
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
