"""The loss curve of a training that may run in another process, read from the files that it leaves."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from dgr.files import read_json

LIVE = ("loss", "learning_rate", "grad_norm", "tokens_per_second")  # of a row of curve.jsonl
FINAL = ("step", "loss", "learning_rate", "grad_norm")  # of train.json's loss


class Curve:
    """Steps of curve.jsonl as they are written, each once and in order.

    The training process appends to curve.jsonl, and removes it when train.json is complete; the file is held open, so
    what was written before its removal is read after it too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.last = -1
        self.file: TextIO | None = None
        self.line = ""
        self.rest: list[dict[str, Any]] = []

    def after(self, step: int) -> None:
        """Leave out the steps up to this one."""
        self.last = max(self.last, step)

    def new(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Steps that were not given yet, with their numbers as they are logged."""
        for row in self._rows():
            if row["step"] > self.last:
                self.last = row["step"]
                yield row["step"], {f"train/{name}": row[name] for name in LIVE if name in row}

    def complete(self) -> None:
        """What train.json holds comes after what was seen live: all of it, where an earlier process trained."""
        if (self.folder / "train.json").exists():
            losses = read_json(self.folder / "train.json")["loss"]
            self.rest = [dict(zip(FINAL, entry, strict=True)) for entry in losses]

    def _rows(self) -> Iterator[Mapping[str, Any]]:
        if self.file is None:
            with suppress(FileNotFoundError):
                self.file = (self.folder / "curve.jsonl").open(encoding="utf-8")
        for part in iter(self.file.readline, "") if self.file else ():
            self.line += part
            if self.line.endswith("\n"):  # else its end is still to come
                line, self.line = self.line, ""
                row = _row(line)
                if row is not None:
                    yield row
        yield from self.rest


def _row(line: str) -> dict[str, Any] | None:
    """None for a line that a kill has torn."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("step"), int) else None
