"""Locks between real processes: owners that live, die, are suspended, or say that they are on another machine."""

import multiprocessing
import os
import platform
import signal
import socket
import time

import pytest

from dgr import locks
from dgr.command import check, ready
from dgr.locks import LOCKS, LOST, POSIX, SOFT, agree, locked
from dgr.preflight import Mistakes

KINDS = pytest.mark.parametrize("kind", [POSIX, SOFT])
FORK = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Leases of seconds; processes that are forked from here have them too."""
    monkeypatch.setattr(locks, "BEAT", 0.1)
    monkeypatch.setattr(locks, "LEASE", 3.0)
    monkeypatch.setattr(locks, "POLL", 0.02)


@pytest.fixture
def start():
    """Start a function in a process of its own; none is left in the end."""
    started = []

    def begin(function, *arguments):
        process = FORK.Process(target=function, args=arguments)
        process.start()
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.is_alive():
            process.kill()
        process.join(30)


@pytest.fixture
def owner(start, tmp_path):
    """Start a process that holds the lock of a path for ever; returns when it does."""

    def hold(path, host, holds):
        if host:
            socket.gethostname = platform.node = lambda: host
        with locked(path):
            holds.set()
            time.sleep(600)

    def begin(path, host=None):
        holds = FORK.Event()
        process = start(hold, path, host, holds)
        assert holds.wait(30)
        return process

    return begin


def take(path, got):
    with locked(path):
        got.set()


def count_up(path):
    with locked(path):
        value = int(path.read_text())
        time.sleep(0.02)
        path.write_text(str(value + 1))


@KINDS
def test_only_one_process_holds_the_lock(kind, tmp_path, monkeypatch, start):
    monkeypatch.setenv(LOCKS, kind)
    path = tmp_path / "counter"
    path.write_text("0")
    workers = [start(count_up, path) for _ in range(5)]
    for worker in workers:
        worker.join(60)
    assert path.read_text() == "5"
    assert {file.name for file in tmp_path.iterdir()} <= {"counter", "counter.lock"}, "signs of life are taken away"


@KINDS
def test_a_dead_owner_does_not_keep_the_lock(kind, tmp_path, monkeypatch, owner):
    monkeypatch.setenv(LOCKS, kind)
    monkeypatch.setattr(locks, "LEASE", 3600.0)  # its death is known here; no lease has to run out
    process = owner(tmp_path / "key")
    process.kill()
    process.join(30)
    with locked(tmp_path / "key"):
        pass


def test_of_many_waiters_one_at_a_time_gets_the_soft_lock_of_a_machine_that_died(tmp_path, monkeypatch, start, owner):
    monkeypatch.setenv(LOCKS, SOFT)
    path = tmp_path / "counter"
    path.write_text("0")
    process = owner(path, host="node7")
    waiters = [start(count_up, path) for _ in range(5)]
    process.kill()
    for waiter in waiters:
        waiter.join(60)
    assert path.read_text() == "5"


def test_a_soft_lock_outlives_its_lease_with_its_owner_and_a_suspended_owner_ends_when_it_wakes(
    tmp_path, monkeypatch, start, owner
):
    monkeypatch.setenv(LOCKS, SOFT)
    process, got = owner(tmp_path / "key", "node7"), FORK.Event()
    waiter = start(take, tmp_path / "key", got)
    assert not got.wait(locks.LEASE + 1), "it was taken from a living owner"
    os.kill(process.pid, signal.SIGSTOP)
    assert got.wait(60), "a suspended owner kept it"
    waiter.join(30)
    os.kill(process.pid, signal.SIGCONT)
    process.join(30)
    assert process.exitcode == LOST, "the old owner went on with its work"
    with locked(tmp_path / "key"):
        pass


def test_the_kernel_s_lock_is_not_taken_from_a_suspended_owner(tmp_path, monkeypatch, start, owner):
    monkeypatch.setenv(LOCKS, POSIX)
    monkeypatch.setattr(locks, "LEASE", 0.5)
    process, got = owner(tmp_path / "key"), FORK.Event()
    os.kill(process.pid, signal.SIGSTOP)
    start(take, tmp_path / "key", got)
    assert not got.wait(2)
    process.kill()
    assert got.wait(60)


@KINDS
def test_those_who_wait_say_for_whom_and_whether_it_lives(kind, tmp_path, monkeypatch, owner, caplog):
    monkeypatch.setenv(LOCKS, kind)
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    caplog.set_level("INFO")
    process = owner(tmp_path / "key", "node7")
    watch = locks._Watch(tmp_path / "key.owner")
    assert f"pid {process.pid} on node7 (SLURM job 4711) has held it since 20" in watch.describe()
    assert "sign of life" not in watch.describe(), "nothing can be known yet of another machine's clock"
    deadline = time.monotonic() + 30
    while "last sign of life" not in watch.describe():
        watch.look()
        time.sleep(0.05)
        assert time.monotonic() < deadline
    os.kill(process.pid, signal.SIGSTOP)
    watch = locks._Watch(tmp_path / "key.owner")
    watch.look()
    time.sleep(3 * locks.BEAT)
    watch.look()
    assert "no sign of life for 0 s or more" in watch.describe()
    killed = []

    def describe(self):
        process.kill()
        killed.append(process.pid)
        return "somebody"

    monkeypatch.setattr(locks._Watch, "describe", describe)
    with locked(tmp_path / "key"):
        assert killed, "it did not wait"
    assert f"waiting for {tmp_path / 'key'}: somebody; waited" in caplog.text


def test_an_unknown_kind_of_lock_is_a_mistake_that_names_both(tmp_path, monkeypatch):
    monkeypatch.setenv(LOCKS, "fcntl")
    with pytest.raises(Mistakes, match=r"DGR_LOCKS=fcntl: choose posix .* or soft"):
        check(["n_samples=4"])
    with pytest.raises(ValueError, match="DGR_LOCKS=fcntl"), locked(tmp_path / "key"):
        pass


def test_jobs_that_do_not_agree_about_locks_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("DGR_OUTPUTS", str(tmp_path))
    points = check(["n_samples=4"])
    ready(points)
    ready(points)
    monkeypatch.setenv(LOCKS, SOFT)
    with pytest.raises(Mistakes, match=r"DGR_LOCKS=soft, but .* DGR_LOCKS=posix.*delete .*store/locks"):
        ready(points)
    (tmp_path / "store" / "locks").unlink()
    agree(tmp_path)
