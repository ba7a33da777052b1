"""Progress of long work: a bar on a terminal, a log line every ten seconds elsewhere, one line at the end anyhow."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

log = logging.getLogger(__name__)

EVERY = 10.0  # seconds between two log lines


class Progress:
    """How far a piece of work is: `done` of `total` things, and the tokens that went through the model for them."""

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total = what, total
        self.done = self.tokens = 0
        self._began = self._logged = time.monotonic()
        self._bar = _bar(what) if sys.stderr.isatty() else None
        self._task = self._bar.add_task(what, total=total, rate="") if self._bar else None

    def add(self, done: int = 0, tokens: int = 0) -> None:
        self.done += done
        self.tokens += tokens
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
