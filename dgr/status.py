"""A run's status.json: which stage it is in, when each began and ended, or what stopped it."""

import logging
import os
import platform
import signal
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dgr.files import read_json, write_json
from dgr.machine import slurm_job

log = logging.getLogger(__name__)

RUNNING, FINISHED, FAILED, INTERRUPTED = "running", "finished", "failed", "interrupted"
PREPARED = "prepared"  # what points share is done, by dgr.prepare


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
        where = {"stage": stage, "pid": os.getpid(), "host": platform.node(), "job": slurm_job()}
        self.value = {"state": RUNNING, **where, "stages": {**self.value["stages"], stage: {"started": _now()}}}
        write_json(self.path, self.value)

    def end(self, stage: str, seconds: float) -> None:
        self.value["stages"][stage] |= {"finished": _now(), "seconds": round(seconds, 2)}
        write_json(self.path, self.value)

    def finish(self, state: str = FINISHED) -> None:
        write_json(self.path, {"state": state, "finished": _now(), "stages": self.value["stages"]})

    def fail(self, error: BaseException) -> None:
        self._end({"state": FAILED, "failed": _now(), **describe(error)})

    def interrupt(self, number: signal.Signals) -> None:
        """A stop that was asked for: by a cluster, by `kill`, or by Ctrl-C (SIGINT)."""
        self._end({"state": INTERRUPTED, "interrupted": _now(), "signal": number.name})

    def _end(self, how: dict[str, Any]) -> None:
        """Where not even this can be written, the log says so, and the error that ended the point is still shown."""
        try:
            write_json(self.path, {**self.value, **how})
        except OSError as error:
            log.warning("%s still says %r: %s", self.path, RUNNING, error)


def read_status(folder: Path) -> dict[str, Any]:
    """The status of a run folder; an empty one if it never started or the file is damaged."""
    try:
        value = read_json(folder / "status.json")
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


if __name__ == "__main__":  # where every point of a sweep is: python -m dgr.status outputs/<sweep>
    from dgr.monitor.command import main

    raise SystemExit(main())
