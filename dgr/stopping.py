"""What asks a point to stop: the signals that a cluster sends before a time limit or a preemption, and `kill`.

In the process that runs the point a signal raises `Stopped`, at once or when a unit of work is finished. Its child
processes do not hear the warnings, which SLURM sends to every process of a job; what they are asked stands in a file.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)

WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)
SIGNALS = (signal.SIGTERM, *WARNINGS)
WISH = "DGR_STOP_FILE"  # a child: the file in which its parent writes the signal that asks it to stop; empty until then


class Stopped(SystemExit):
    """A stop was asked for by `signal`; the exit status is 128 + its number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)
        self.code = 128 + number

    def __str__(self) -> str:
        return f"stopped by {self.signal.name}"


class _State:
    """Of this process: the first signal that came, and in how many blocks that are finished first we are."""

    first: signal.Signals | None = None
    held = 0


def _on_signal(number: int, frame) -> None:
    """The first signal raises, or is noted; while what it stopped is put in order, more of them change nothing."""
    if _State.first is None:
        _State.first = signal.Signals(number)
        check()


def check() -> None:
    """Raise `Stopped` if a stop was asked for, unless a block is to be finished first."""
    if _State.first and not _State.held:
        raise Stopped(_State.first)


@contextmanager
def stoppable() -> Iterator[None]:
    """Inside, in the main thread, SIGTERM, SIGUSR1 and SIGUSR2 raise `Stopped`; a block in another changes nothing."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) is _on_signal:
        yield
        return
    before = {}
    try:
        with finishing():
            before.update((number, signal.signal(number, _on_signal)) for number in SIGNALS)
        yield
    finally:
        _State.held += 1  # from here on a signal is only noted
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)  # None: not set from Python
        asked, _State.first, _State.held = _State.first, None, 0
        if asked and not isinstance(sys.exc_info()[1], Stopped | KeyboardInterrupt):
            raise Stopped(asked)  # whatever else went wrong: nothing new is to be begun


def forked() -> None:
    """In a process that was forked inside `finishing`: the block is the parent's, the handlers are ours too."""
    _State.held = 0


@contextmanager
def continued_later(name: str) -> Iterator[None]:
    """Where what is inside is stopped, by a signal or by Ctrl-C, say how it goes on; `Stopped` in both cases."""
    try:
        yield
    except (Stopped, KeyboardInterrupt) as error:
        stop = error if isinstance(error, Stopped) else Stopped(signal.SIGINT)
        log.warning("%s: %s; the same command continues it", name, stop)
        raise stop from None


@contextmanager
def finishing() -> Iterator[None]:
    """What is inside is finished first: a signal is noted, and `Stopped` raised at the end. `asked` tells meanwhile."""
    _State.held += 1
    try:
        yield
    finally:
        _State.held -= 1
    check()


def asked() -> signal.Signals | None:
    """The signal that asks this process to stop, or that the parent of this child passes on; None: there is none."""
    if _State.first or WISH not in os.environ:
        return _State.first
    try:
        name = Path(os.environ[WISH]).read_text()  # opened anew: a network file system then asks its server
    except OSError:
        return None
    return signal.Signals.__members__.get(name)


def asked_soon(seconds: float = 1.0) -> bool:
    """For who hears SIGTERM: is it one for every process of the job, so that the parent is about to pass it on?"""
    deadline = time.monotonic() + seconds
    while not asked() and time.monotonic() < deadline:
        time.sleep(0.02)
    return asked() is not None


@contextmanager
def deaf() -> Iterator[None]:
    """Processes that are started inside never get SIGUSR1 and SIGUSR2: they inherit that these are blocked."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WARNINGS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
