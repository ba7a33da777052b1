"""A run's status.json: which stage it is in, when each began and ended, or what stopped it."""

import os
import platform
import signal
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dgr.files import read_json, write_json

RUNNING, FINISHED, FAILED, INTERRUPTED = "running", "finished", "failed", "interrupted"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def describe(error: BaseException) -> dict[str, str]:
    """An error as it stands in a file: one line, and the traceback with its notes."""
    return {"error": f"{type(error).__name__}: {error}", "traceback": "".join(traceback.format_exception(error))}


class Status:
    """status.json of one run folder; every change is written at once."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "status.json"
        self.value: dict[str, Any] = {"state": RUNNING, "stages": {}}
        if self.path.exists():
            self.value["stages"] = read_status(folder).get("stages", {})

    def begin(self, stage: str) -> None:
        where = {"stage": stage, "pid": os.getpid(), "host": platform.node()}
        self.value = {"state": RUNNING, **where, "stages": {**self.value["stages"], stage: {"started": _now()}}}
        write_json(self.path, self.value)

    def end(self, stage: str, seconds: float) -> None:
        self.value["stages"][stage] |= {"finished": _now(), "seconds": round(seconds, 2)}
        write_json(self.path, self.value)

    def finish(self) -> None:
        write_json(self.path, {"state": FINISHED, "finished": _now(), "stages": self.value["stages"]})

    def fail(self, error: BaseException) -> None:
        write_json(self.path, {**self.value, "state": FAILED, "failed": _now(), **describe(error)})

    def interrupt(self, number: signal.Signals) -> None:
        """A stop that was asked for: by a cluster, by `kill`, or by Ctrl-C (SIGINT)."""
        write_json(self.path, {**self.value, "state": INTERRUPTED, "interrupted": _now(), "signal": number.name})


def read_status(folder: Path) -> dict[str, Any]:
    """The status of a run folder; an empty one if it never started or the file is damaged."""
    try:
        value = read_json(folder / "status.json")
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
