"""Trackers mirror a point's own files while it runs and when it ends; the run folder stays the record that counts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class Tracker(Protocol):
    """What watches a point from outside. Nothing that goes wrong in a tracker may stop the point."""

    def done(self, folder: Path) -> bool:
        """Is nothing left to mirror of a point that is finished?"""
        ...

    @contextmanager
    def follow(self, folder: Path, config: dict[str, Any]) -> Iterator[None]:
        """Around the stages of a point; an exception marks the point as failed, `Stopped` or Ctrl-C as interrupted."""
        ...


@dataclass(frozen=True)
class NoTracker:
    """The null tracker."""

    def done(self, folder: Path) -> bool:
        return True

    @contextmanager
    def follow(self, folder: Path, config: dict[str, Any]) -> Iterator[None]:
        yield
