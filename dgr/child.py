"""Child processes of a stage: a clean environment, one readable error, and none that outlives its parent."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dgr import stopping
from dgr.files import read_json, write_json
from dgr.naming import PROJECT
from dgr.status import describe

log = logging.getLogger(__name__)

FOLLOW = "DGR_FOLLOW_PARENT"  # set: standard input is held open by the parent for as long as it lives
GRACE = 5.0  # seconds between asking the processes to end and killing them
LAUNCHERS = ("TORCHELASTIC_", "SLURM_", "SRUN_", "SBATCH_", "PMI_", "PMIX_", "PMI2_", "OMPI_", "MV2_", "ACCELERATE_")
RANKS = {
    *("RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),
    *("GROUP_WORLD_SIZE", "ROLE_WORLD_SIZE", "ROLE_NAME", "MASTER_ADDR", "MASTER_PORT", "NNODES", "NPROC_PER_NODE"),
    *("CROSS_RANK", "CROSS_SIZE", "LOCAL_SIZE"),
}


def foreign(name: str) -> bool:
    """Does this variable place a process in a group that some other launcher made?"""
    return name in RANKS or name.startswith(LAUNCHERS)


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: no rank of another launcher; programs and packages are found where they are here."""
    kept = {name: value for name, value in environment.items() if not foreign(name)}
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PROJECT), kept.get("PYTHONPATH")]))
    return kept


@contextmanager
def alone() -> Iterator[None]:
    """Hide another launcher's ranks for a while: libraries that find them would wait for processes that never come."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name in RANKS}
    try:
        yield
    finally:
        os.environ.update(hidden)


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    errors: Path,
    what: str,
    ending: int = signal.SIGKILL,
    patience: float = 0,
) -> None:
    """Run a command whose processes leave their errors in the folder `errors`; RuntimeError with the first of them.

    However this ends, by an exception (Ctrl-C), SIGTERM or `kill -9` of this process, the command's processes end too.
    `ending` is the signal for the command itself, those that it started get SIGTERM, then SIGKILL. Where this process
    is asked to stop, the command is told (`stopping.asked`), and has `patience` seconds to save and end by itself.
    """
    shutil.rmtree(errors, ignore_errors=True)
    wish = errors.with_name("stop")
    process = None
    try:
        wish.write_text("")
        with stopping.finishing(), stopping.deaf():
            own = {FOLLOW: "1", stopping.WISH: str(wish.resolve())}
            process = subprocess.Popen(
                command, env={**environment, **own}, stdin=subprocess.PIPE, start_new_session=True
            )
        status = _wait(process)
    except BaseException as error:
        try:
            if isinstance(error, stopping.Stopped) and process and process.poll() is None and patience:
                _let_save(process, wish, error, patience, errors, what)
        finally:
            if process:
                _end(process, ending)
            shutil.rmtree(errors, ignore_errors=True)
        raise
    finally:
        if process:
            process.stdin.close()
        wish.unlink(missing_ok=True)
    if status:
        raise _failure(errors, what, status)
    shutil.rmtree(errors, ignore_errors=True)


def call(command: Sequence[str]) -> int:
    """Run a command and return its exit status; it ends with this process, and does not hear a cluster's warnings."""
    process = None
    try:
        with stopping.finishing(), stopping.deaf():
            process = subprocess.Popen(command)
        return _wait(process)
    except BaseException:
        if process:
            _end(process, signal.SIGTERM)
        raise


def _wait(process: subprocess.Popen) -> int:
    status = process.wait()
    if status in (-signal.SIGTERM, 128 + signal.SIGTERM):
        stopping.asked_soon()  # sent to every process of a job it comes here too, and raises Stopped
    return status


def _let_save(
    process: subprocess.Popen, wish: Path, stop: stopping.Stopped, patience: float, errors: Path, what: str
) -> None:
    """Pass the stop on; returns when the process has ended, or was given up."""
    log.info("%s: %s, after the step that it is at (it has %g s)", what, stop, patience)
    with suppress(OSError):
        wish.write_text(stop.signal.name)
    try:
        status = process.wait(patience)
    except subprocess.TimeoutExpired:
        log.warning("%s was not saved within %g s: it continues after its last checkpoint", what, patience)
    else:
        if status not in (0, stop.code):
            log.warning("%s; it continues after its last checkpoint", _failure(errors, what, status))


def leave_error(errors: Path, rank: int, error: Mapping[str, Any], moment: float | None = None) -> None:
    """The child's side of `run`: say why this process ends. The first `moment` is the one that counts."""
    errors.mkdir(parents=True, exist_ok=True)
    write_json(errors / f"{rank}.json", {"time": time.time() if moment is None else moment, **error})


def work(errors: Path, rank: int, what: Callable[[], None]) -> None:
    """The child's side of `run`: do what there is to do; an error goes to the parent, which shows it."""
    one_of_many = "RANK" in os.environ
    if one_of_many:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # every thread inherits it
        threading.Thread(target=_end_unless_asked, daemon=True).start()
    if os.environ.get(FOLLOW):
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with stopping.stoppable():
            what()
    except stopping.Stopped:
        if not one_of_many:  # all of them stop together: to torchrun that is no failure
            raise
    except Exception as error:  # noqa: BLE001 - the parent raises it
        try:
            leave_error(errors, rank, describe(error))
        except OSError:  # a full disk, say; the parent then knows that something failed, and these lines what
            traceback.print_exception(error)
        _leave(1)  # leaving in order would wait for the other ranks
    if one_of_many:
        _leave(0)  # everything is written; threads of the collectives' library can abort an interpreter that ends


def _leave(status: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


def _end_unless_asked() -> None:
    """SIGTERM for one rank, which may hang in a collective, ends it; one for the whole job leaves it time to save."""
    while signal.sigwait({signal.SIGTERM}):
        if not stopping.asked_soon():
            os._exit(128 + signal.SIGTERM)


def _end(process: subprocess.Popen, ending: int) -> None:
    """End the command and every process below it; returns when all are gone."""
    import psutil

    try:
        top = psutil.Process(process.pid)
        below = top.children(recursive=True)
        top.send_signal(ending)
    except psutil.NoSuchProcess:
        below = []
    for one in below:
        _send(one, signal.SIGTERM)
    _, alive = psutil.wait_procs(below, timeout=GRACE)
    for one in alive:
        _send(one, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=GRACE)
    try:
        process.wait(timeout=GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _send(process: Any, number: int) -> None:
    import psutil

    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _failure(errors: Path, what: str, status: int) -> RuntimeError:
    """What the process that failed first says; the others fail because it is gone."""
    found = [read_json(file) for file in errors.glob("*.json")]
    shutil.rmtree(errors, ignore_errors=True)
    if not found:
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with exit status {status}"
        return RuntimeError(f"{what}: its process {how}")
    first = min(found, key=lambda entry: entry["time"])
    error = RuntimeError(f"{what}: {first['error']}")
    if first.get("traceback"):
        error.add_note(first["traceback"])
    return error
