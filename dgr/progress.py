"""Progress of long work: a bar on a terminal, a log line every ten seconds elsewhere, one line at the end anyhow.

In a run folder it also leaves progress.json, for `dgr.status`.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

log = logging.getLogger(__name__)

EVERY = 10.0  # seconds between two log lines
FILE, FILE_EVERY = "progress.json", 3.0  # seconds between two writes of the file
_folder: Path | None = None  # the run folder that this process works on


@contextmanager
def reported_in(folder: Path) -> Iterator[None]:
    """What shows its progress in this process meanwhile, leaves it in `folder`/progress.json, which goes at the end."""
    global _folder
    before, _folder = _folder, folder
    try:
        yield
    finally:
        _folder = before
        (folder / FILE).unlink(missing_ok=True)


class Report:
    """progress.json as far as it is worth a write; nothing where no run folder is worked on."""

    def __init__(self) -> None:
        self.folder, self._written = _folder, float("-inf")

    def __call__(self, what: str, done: int, total: int, rate: float, left: float | None) -> None:
        """`rate`: tokens a second; `left`: seconds."""
        if self.folder is None or time.monotonic() - self._written < FILE_EVERY:
            return
        self._written = time.monotonic()
        value = {"what": what, "done": done, "total": total, "tokens_per_second": round(rate, 1), "seconds_left": left}
        temporary = self.folder / f".{FILE}.{os.getpid()}.tmp"
        with suppress(OSError):  # no work fails for this; nor does it need to be durable
            temporary.write_text(json.dumps(value), encoding="utf-8")
            temporary.replace(self.folder / FILE)

    def end(self) -> None:
        if self.folder is not None:
            (self.folder / FILE).unlink(missing_ok=True)


class Progress:
    """How far a piece of work is: `done` of `total` things, and the tokens that went through the model for them."""

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total = what, total
        self.done = self.tokens = 0
        self._began = self._logged = time.monotonic()
        self._bar = _bar(what) if sys.stderr.isatty() else None
        self._task = self._bar.add_task(what, total=total, rate="") if self._bar else None
        self._report = Report()
        self.add()

    def add(self, done: int = 0, tokens: int = 0) -> None:
        self.done += done
        self.tokens += tokens
        left = round(self.seconds / self.done * (self.total - self.done), 1) if self.done else None
        self._report(self.what, self.done, self.total, self.rate, left)
        if self._bar:
            self._bar.update(self._task, completed=self.done, rate=f"{self.rate:,.0f} tokens/s")
        elif time.monotonic() - self._logged >= EVERY:
            self._logged = time.monotonic()
            log.info("%s", self)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    @property
    def rate(self) -> float:
        """Tokens a second since the start."""
        return self.tokens / max(self.seconds, 1e-9)

    def __str__(self) -> str:
        return (
            f"{self.what}: {self.done:,} of {self.total:,} "
            f"({self.tokens:,} tokens, {self.rate:,.0f} tokens/s, {self.seconds:.1f} s)"
        )


@contextmanager
def progress(what: str, total: int) -> Iterator[Progress]:
    """Show the progress of the block; the last line is logged also when the block fails."""
    shown = Progress(what, total)
    try:
        with shown._bar or nullcontext():
            yield shown
    finally:
        shown._report.end()
        log.info("%s", shown)


def _bar(what: str):
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
