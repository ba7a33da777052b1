"""Who is to work on a run folder (its job.json), and what SLURM knows about the jobs."""

import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dgr.files import read_json, write_json

FILE = "job.json"
PATIENCE = 30.0  # seconds that squeue may take
WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT", "CONFIGURING")


class NoAnswer(Exception):
    """squeue is here, but does not say what is in the queue."""


@dataclass(frozen=True)
class Job:
    """One line of squeue."""

    state: str
    node: str
    reason: str

    @property
    def waiting(self) -> bool:
        return self.state in WAITING


def enqueue(folder: Path, job: str | None = None, log: Path | None = None) -> None:
    """Leave in a run folder who will work on it: a job, or else this process."""
    queued_at = datetime.now(UTC).isoformat(timespec="seconds")
    who = {"job": job, "log": str(log) if log else None, "user": os.getuid()}
    write_json(folder / FILE, {**who, "host": platform.node(), "pid": os.getpid(), "queued": queued_at})


def queued(folder: Path) -> dict[str, Any]:
    """What `enqueue` left; empty where nothing did, or the file is damaged."""
    try:
        value = read_json(folder / FILE)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def squeue(users: Iterable[int]) -> dict[str, Job] | None:
    """The users' jobs that are not over, by id; None on a machine without SLURM, NoAnswer where its daemon is away."""
    command = ["squeue", "--noheader", "--array", f"--user={','.join(map(str, sorted(set(users))))}"]
    try:
        done = subprocess.run(
            [*command, "--format=%i|%T|%N|%r"], capture_output=True, text=True, timeout=PATIENCE, check=True
        )
    except FileNotFoundError:
        return None
    except subprocess.CalledProcessError as error:
        raise NoAnswer((error.stderr.strip().splitlines() or [f"exit status {error.returncode}"])[-1]) from error
    except subprocess.TimeoutExpired as error:
        raise NoAnswer(f"no answer within {PATIENCE:.0f} s") from error
    lines = (line.split("|", 3) for line in done.stdout.splitlines() if line.count("|") >= 3)
    return {name.strip(): Job(state, node, reason) for name, state, node, reason in lines}
