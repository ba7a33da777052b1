"""The points of a sweep as far as their run folders and SLURM tell; damaged files are named, not raised."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dgr import progress
from dgr.cluster import queue
from dgr.cluster.queue import Job
from dgr.files import read_json
from dgr.status import FAILED, FINISHED, RUNNING

QUEUED, INTERRUPTED, GONE, DAMAGED = "queued", "interrupted", "gone", "damaged"
STATUS = "status.json"


@dataclass(frozen=True)
class Point:
    """One run folder. `seconds`: of work, as far as it is recorded; `progress`: inside the stage."""

    run: str
    folder: str
    state: str
    stage: str | None
    progress: dict[str, Any] | None
    seconds: float
    node: str | None
    job: str | None
    log: str | None
    error: str | None

    @property
    def over(self) -> bool:
        """Does nobody work on it, or mean to?"""
        return self.state not in (QUEUED, RUNNING)


def folders(sweep: Path) -> list[Path]:
    """The run folders of a sweep, or the one that is given; ValueError where there are none."""
    if not sweep.is_dir():
        raise ValueError(f"{sweep}: there is no such folder; give outputs/<sweep>")
    if _is_run(sweep):
        return [sweep]
    found = sorted(folder for folder in sweep.iterdir() if _is_run(folder))
    if not found:
        raise ValueError(f"{sweep}: no run folders there (none holds a {STATUS} or {queue.FILE}); give outputs/<sweep>")
    return found


def _is_run(folder: Path) -> bool:
    return (folder / STATUS).is_file() or (folder / queue.FILE).is_file()


def users(runs: Sequence[Path]) -> set[int]:
    """Who has jobs for these folders."""
    told = map(queue.queued, runs)
    return {int(one["user"]) for one in told if one.get("job") and isinstance(one.get("user"), int)}


def read_point(folder: Path, jobs: Mapping[str, Job] | None) -> Point:
    """One run folder; `jobs` is what squeue lists, None where that is not known."""
    told, (status, problem) = queue.queued(folder), _read(folder / STATUS)
    job = told.get("job") or status.get("job")
    listed = (jobs or {}).get(job)
    state = DAMAGED if problem else _state(folder, status, told, jobs)
    error = problem or (status.get("error") if state == FAILED else None)
    return Point(
        folder.name,
        str(folder),
        state,
        None if state == FINISHED else status.get("stage"),
        None if state in (FINISHED, FAILED) else _read(folder / progress.FILE)[0] or None,
        _seconds(status, state),
        listed.node if listed and listed.node else status.get("host"),
        job,
        told.get("log"),
        " ".join(str(error).split()) if error else None,
    )


def _read(path: Path) -> tuple[dict[str, Any], str | None]:
    try:
        value = read_json(path)
    except FileNotFoundError:
        return {}, None
    except (ValueError, OSError) as error:
        return {}, str(error)
    return (value, None) if isinstance(value, dict) else ({}, f"{path} does not hold a JSON object; delete it")


def _state(folder: Path, status: Mapping[str, Any], told: Mapping[str, Any], jobs: Mapping[str, Job] | None) -> str:
    """What was recorded before somebody was told to work on it (again) no longer counts, unless it is finished."""
    recorded, at_work = status.get("state"), _alive(status, folder / STATUS)
    if recorded == FINISHED:
        return FINISHED
    if _outdated(folder, status, told) and not (recorded == RUNNING and at_work):
        recorded = None
    if told.get("job") and jobs is not None:
        listed = jobs.get(told["job"])
        if listed:
            return QUEUED if listed.waiting else RUNNING
        return GONE if recorded in (None, RUNNING) else recorded
    if recorded == RUNNING:
        return GONE if at_work is False else RUNNING
    if recorded:
        return recorded
    return GONE if not told.get("job") and _alive(told, folder / queue.FILE) is False else QUEUED


def _outdated(folder: Path, status: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    if told.get("job"):
        return status.get("job") != told["job"]
    return bool(told) and _written(folder / STATUS) < _written(folder / queue.FILE)


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _alive(who: Mapping[str, Any], file: Path) -> bool | None:
    """Does the process that wrote the file still exist? None: it is one of another machine."""
    import psutil

    if who.get("host") != platform.node() or not isinstance(who.get("pid"), int):
        return None
    try:
        return psutil.Process(who["pid"]).create_time() <= _written(file) + 1  # else the number went to another one
    except (psutil.NoSuchProcess, ValueError):
        return False


def _seconds(status: Mapping[str, Any], state: str) -> float:
    stages = status.get("stages")
    if not isinstance(stages, dict):
        return 0.0
    done = sum(stage.get("seconds", 0.0) for stage in stages.values() if isinstance(stage, dict))
    began = stages.get(status.get("stage"), {})
    if state != RUNNING or "seconds" in began or "started" not in began:
        return done
    return done + max(0.0, (datetime.now(UTC) - datetime.fromisoformat(began["started"])).total_seconds())
