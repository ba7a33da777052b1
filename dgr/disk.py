"""What stops a run because a file system cannot be written to: found before it starts, and named when it happens."""

import errno
import logging
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

PROBE = 2**18  # bytes: more than what a file system may still have in a half-used block
ADVICE = {
    errno.ENOSPC: "no space left on the file system of {path} ({free:.1f} GB free): free some or {elsewhere}",
    errno.EDQUOT: "the disk quota for {path} is used up: free some or {elsewhere}",
    errno.EROFS: "{path} lies on a file system that is read-only: have it mounted for writing or {elsewhere}",
    errno.EACCES: "{path} may not be written: change its permissions or {elsewhere}",
    errno.EPERM: "{path} may not be written: change its permissions or {elsewhere}",
    errno.ENAMETOOLONG: "{path}: the name is too long for its file system: choose a shorter sweep=... or {elsewhere}",
}
FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskError(OSError):
    """Says which path cannot be written, why, and what to do."""


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """An error of what is done in a run's folder that comes from its file system is raised as a DiskError."""
    try:
        yield
    except Exception as error:
        found = failure(error, folder)
        if found is None:
            raise
        raise found from error


def failure(error: BaseException, folder: Path) -> DiskError | None:
    """What the error says about the file system of `folder`, or about another one that is full; None: nothing.

    Libraries that write for us raise errors of their own: Rust's say "(os error 28)"; torch's, and those of a process
    that could not even leave its error, say nothing, so it is tried whether the folder can be written.
    """
    for one in _chain(error):
        if isinstance(one, DiskError):
            return None
        number, path = _number(one), Path(str(getattr(one, "filename", None) or folder))
        if number in FULL or (number in ADVICE and path.is_relative_to(folder.parents[1])):
            return DiskError(_message(number, path, folder))
    if isinstance(error, RuntimeError) and DiskError.__name__ not in str(error):  # of a child that knew already
        try:
            probe(folder)
        except OSError as found:
            if found.errno in ADVICE:
                first_line = str(error).split("\n")[0]
                return DiskError(f"{_message(found.errno, folder, folder)} (what failed: {first_line})")
    return None


def probe(folder: Path) -> None:
    """Write a small file and remove it; OSError where that cannot be done."""
    path = folder / f".probe.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    try:
        with path.open("xb", buffering=0) as file:
            left = memoryview(os.urandom(PROBE))
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
    except OSError as error:
        error.filename = str(folder)
        raise
    finally:
        path.unlink(missing_ok=True)


def unwritable(folders: Sequence[Path]) -> list[str]:
    """Make the folders of runs and of the store; what keeps anything from being written there."""
    shared = dict.fromkeys(place for folder in folders for place in (folder.parents[1] / "store", folder.parent))
    if first := next(filter(None, map(_refused, shared)), None):
        return [first]
    return list(filter(None, map(partial(_refused, tried=False), folders)))


def _refused(folder: Path, tried: bool = True) -> str | None:
    """Make a folder; why it cannot be written, by writing (`tried`) or as far as its permissions tell."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if tried:
            probe(folder)
        elif not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    except OSError as error:
        return str(failure(error, folder / "run") or error)
    return None


def remove_temporaries(folder: Path) -> None:
    """Files that a killed process was writing; only for a folder in which nobody else writes."""
    for path in folder.rglob(".*.tmp"):
        if path.is_file():
            path.unlink(missing_ok=True)


class LogFile(logging.FileHandler):
    """run.log; a full disk stops the run, which says so: the log need not say so for every line."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that it came from."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None


def _message(number: int, path: Path, folder: Path) -> str:
    outputs = folder.parents[1]
    free = shutil.disk_usage(next(place for place in (path, *path.parents) if _exists(place))).free / 1e9
    elsewhere = "set DGR_OUTPUTS to another place" if path.is_relative_to(outputs) else "move what is written there"
    return ADVICE[number].format(path=path, free=free, elsewhere=elsewhere) + "; the same command continues"


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long
        return False
