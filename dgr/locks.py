"""Locks between processes, on one machine or on several that share a file system: who holds one, and is it alive?

A lock is a file beside what it protects. DGR_LOCKS chooses the kind, one for all jobs that share an outputs folder:

posix  the kernel's own. Free as soon as its owner is gone, whatever it died of; never taken from one that lives, a
       suspended one included. Over a network this is as good as the file system's `flock`.
soft   a file that exists (filelock's SoftFileLease), for file systems whose locks cannot be trusted. Assumed is that
       creating a file fails where it exists, and that all machines see a change within a minute. The owner touches it
       every BEAT seconds. An owner of this machine that is gone is replaced at once; one of another machine when LEASE
       seconds of the waiter's own clock went by without a change: clocks of two machines are never compared. Of two
       waiters that find a lock stale, one gets it.

An owner that was suspended for longer than LEASE has lost its soft lock. It sees that within two beats and ends at
once, as if it had been killed, for another one does its work. Until then both may work: records of a journal may be in
it twice, of which the first counts, and files have the same content from both, each under a temporary name first.

A sign of life says that a process exists, not that it gets on: a stuck one keeps its locks until somebody ends it.
Those who wait say once a minute for whom.
"""

import errno
import json
import logging
import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import BaseFileLock, FileLock, LeaseCompromise, SoftFileLease, Timeout

log = logging.getLogger(__name__)

LOCKS = "DGR_LOCKS"
POSIX, SOFT = "posix", "soft"
BEAT = 15.0  # seconds between two signs of life
LEASE = 180.0  # well above what a network file system takes to show a change, and what Python may stand still
POLL = 0.5
LOST = os.EX_TEMPFAIL  # exit status of a process that lost its lock
UNSUPPORTED = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
KINDS = f"choose {POSIX} (the kernel's locks) or {SOFT} (for file systems whose locks cannot be trusted)"


def kind() -> str:
    """What DGR_LOCKS chooses; ValueError for anything else than the two kinds."""
    chosen = os.environ.get(LOCKS) or POSIX
    if chosen not in (POSIX, SOFT):
        raise ValueError(f"{LOCKS}={chosen}: {KINDS}")
    return chosen


def agree(outputs: Path) -> None:
    """ValueError where other commands use another kind of locks in this outputs folder."""
    file = outputs / "store" / "locks"
    try:
        with file.open("x") as new:
            new.write(kind())
    except FileExistsError:
        found = file.read_text().strip() or kind()  # empty: another process is writing it
        if found != kind():
            raise ValueError(
                f"{LOCKS}={kind()}, but {outputs} was used with {LOCKS}={found}: set that, or, if nothing runs there "
                f"any more, delete {file}"
            ) from None


def lock_files(path: Path) -> list[Path]:
    """What may lie beside `path` because of its lock."""
    return [path.with_name(f"{path.name}.{ending}") for ending in ("lock", "lease", "owner")]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock beside `path`; wait for another process that holds it, and say for whom, then once a minute."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock, owner = _lock(path), lock_files(path)[2]
    _acquire(lock, path, _Watch(owner))
    try:
        with _signs_of_life(owner):
            yield
    finally:
        lock.release()


def _lock(path: Path) -> BaseFileLock:
    file, lease, _ = lock_files(path)
    if kind() == SOFT:
        return SoftFileLease(
            lease, lease_duration=LEASE, heartbeat_interval=BEAT, poll_interval=POLL, on_compromise=_end
        )
    return FileLock(file, poll_interval=POLL, fallback_to_soft=False)


def _end(lost: LeaseCompromise) -> None:
    """Called by the lease's own thread. What runs below this process ends with it."""
    log.critical(
        "%s is lost (%s): this process gave no sign of life for %.0f s, and another one does its work now; it ends",
        *(lost.lock_file, lost.reason, LEASE),
    )
    logging.shutdown()
    os._exit(LOST)


def _acquire(lock: BaseFileLock, path: Path, watch: "_Watch") -> None:
    began, patience = time.monotonic(), 1
    while not lock.is_locked:
        try:
            lock.acquire(timeout=patience, cancel_check=watch.look)
        except Timeout:
            patience = 60
            log.info("waiting for %s: %s; waited %.0f s", path, watch.describe(), time.monotonic() - began)
        except OSError as error:
            if error.errno in UNSUPPORTED:
                raise OSError(
                    f"the file system of {path} has no locks ({error.strerror}): set {LOCKS}={SOFT} for every job that "
                    "shares it"
                ) from error
            raise


@contextmanager
def _signs_of_life(owner: Path) -> Iterator[None]:
    """Write down who holds the lock, and touch the file every BEAT seconds from a thread of its own."""
    released = threading.Event()
    record = {"host": platform.node(), "pid": os.getpid(), "job": os.environ.get("SLURM_JOB_ID")}
    record["since"] = datetime.now(UTC).isoformat(timespec="seconds")

    def beat() -> None:
        while not released.wait(BEAT):
            with suppress(OSError):  # it is there to be read by a person only
                os.utime(owner)

    try:
        owner.write_text(json.dumps(record))
        threading.Thread(target=beat, name=f"signs of life of {owner.name}", daemon=True).start()
        yield
    finally:
        released.set()
        owner.unlink(missing_ok=True)


class _Watch:
    """Watches an owner's signs of life, on this process's own clock."""

    def __init__(self, owner: Path) -> None:
        self.owner = owner
        self.since = time.monotonic()
        self.seen: int | None = None  # when the owner's machine says that the file was touched
        self.changed: float | None = None  # when this process saw that change

    def look(self) -> bool:
        """Called before every try; False: go on trying."""
        with suppress(OSError):
            touched = self.owner.stat().st_mtime_ns
            if self.seen not in (None, touched):
                self.changed = time.monotonic()
            self.seen = touched
        return False

    def describe(self) -> str:
        """Who holds the lock, and how long ago it gave a sign of life."""
        try:
            record = json.loads(self.owner.read_text())
            job = f" (SLURM job {record['job']})" if record["job"] else ""
            who = f"pid {record['pid']} on {record['host']}{job} has held it since {record['since']}"
        except (OSError, ValueError, TypeError, KeyError):
            return "another process holds it"
        if self.changed is not None:
            return f"{who}, last sign of life {time.monotonic() - self.changed:.0f} s ago"
        watched = time.monotonic() - self.since
        return f"{who}, no sign of life for {watched:.0f} s or more" if watched > 2 * BEAT else who
