"""Signals that ask a point to stop: when they are heard, and what a point that they meet leaves behind."""

import pickle
import signal
import subprocess
import sys
import threading
from contextlib import suppress

import pytest
from rich.console import Console

from dgr import stopping
from dgr.command import check
from dgr.compare import report
from dgr.files import write_json
from dgr.stages import Stage, run_point
from dgr.status import read_status
from dgr.stopping import SIGNALS, Stopped, finishing, stoppable
from dgr.store import locked

USR1, TERM = signal.SIGUSR1, signal.SIGTERM


def stopped(work, *given) -> Stopped:
    """What `work` raises where signals are heard."""
    with pytest.raises(Stopped) as caught, stoppable():
        work(*given)
    return caught.value


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_raises_at_once_and_what_was_there_before_comes_back(number):
    def mine(number, frame): ...

    before = signal.signal(number, mine)
    try:
        stop = stopped(signal.raise_signal, number)
        assert signal.getsignal(number) is mine
    finally:
        signal.signal(number, before)
    assert (stop.signal, stop.code) == (number, 128 + number)


def test_what_is_being_finished_is_finished_first_however_many_signals_come():
    done = []

    def work():
        with finishing():
            assert stopping.asked() is None
            for number in (USR1, TERM, USR1):
                signal.raise_signal(number)
            with finishing():
                done.append("inner")
            done.append("outer")
            assert stopping.asked() == USR1
        done.append("never")

    assert stopped(work).signal == USR1
    assert done == ["inner", "outer"]


def test_the_next_signals_do_not_disturb_what_the_first_one_ends():
    ended = []

    def work():
        try:
            signal.raise_signal(TERM)
        finally:
            signal.raise_signal(TERM)
            signal.raise_signal(USR1)
            ended.append(True)

    assert stopped(work).signal == TERM
    assert ended


def test_a_stop_is_not_lost_where_something_else_goes_wrong_or_swallows_it():
    def fail():
        with finishing():
            signal.raise_signal(USR1)
            raise ValueError("this fails too")

    def swallow():
        with suppress(BaseException):
            signal.raise_signal(USR1)

    assert stopped(fail).signal == stopped(swallow).signal == USR1


AT_ANY_MOMENT = """
import random, signal, sys, threading, time
from dgr.stopping import Stopped, finishing, stoppable
random.seed(0)
main, seen = threading.main_thread().ident, 0
for trial in range(200):
    end = time.monotonic() + 20
    try:
        with stoppable():
            threading.Timer(random.random() / 500, signal.pthread_kill, (main, signal.SIGUSR1)).start()
            while time.monotonic() < end:
                with finishing():
                    pass
    except Stopped:
        seen += time.monotonic() < end
print(seen)
"""


def test_no_signal_is_lost_whenever_it_comes():
    """Without an interpreter to itself, pytest's own threads would be met."""
    done = subprocess.run([sys.executable, "-c", AT_ANY_MOMENT], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "200", done.stderr


def test_in_another_thread_nothing_changes():
    before, seen = signal.getsignal(TERM), []

    def work():
        with stoppable():
            seen.append(signal.getsignal(TERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_stopped_travels_between_processes():
    again = pickle.loads(pickle.dumps(Stopped(signal.SIGUSR2)))
    assert (again.signal, again.code, str(again)) == (signal.SIGUSR2, 140, "stopped by SIGUSR2")


@pytest.fixture
def point(tmp_path, monkeypatch):
    """(config, folder) of a point that has not begun."""
    monkeypatch.setenv("DGR_OUTPUTS", str(tmp_path))
    (found,) = check(["n_samples=2"])
    return found.cfg, found.folder


def made_of(*works):
    """Stages that do these things and nothing else; one that ends has its marker."""
    return [Stage(work, f"{work.__name__}.json") for work in works]


def first(cfg, folder):
    with finishing():
        signal.raise_signal(USR1)
        write_json(folder / "first.json", {})


def second(cfg, folder):
    write_json(folder / "second.json", {})


def test_a_stop_between_two_stages_keeps_the_first_and_does_not_begin_the_second(point):
    cfg, folder = point
    with pytest.raises(Stopped):
        run_point(cfg, folder, stages=made_of(first, second))
    status = read_status(folder)
    assert status.items() >= {"state": "interrupted", "signal": "SIGUSR1", "stage": "first"}.items()
    assert "seconds" in status["stages"]["first"], "a stage that ended is recorded as ended"
    assert not {"error", "traceback", "failed"} & status.keys()
    assert not (folder / "second.json").exists()
    run_point(cfg, folder, stages=made_of(first, second))
    assert read_status(folder)["state"] == "finished"


def test_an_interrupted_point_counts_as_unfinished_and_ctrl_c_interrupts_too(point):
    def third(cfg, folder):
        raise KeyboardInterrupt

    cfg, folder = point
    with pytest.raises(KeyboardInterrupt):
        run_point(cfg, folder, stages=made_of(third))
    assert read_status(folder).items() >= {"state": "interrupted", "signal": "SIGINT", "stage": "third"}.items()
    console = Console(record=True, width=200)
    assert report([folder], console) == 1
    assert f"unfinished: {folder.name} (stage third)" in console.export_text()


def test_a_point_that_waits_for_another_command_stops_and_leaves_that_one_s_status_alone(point):
    cfg, folder = point
    main = threading.main_thread().ident
    with locked(folder / "run"):
        threading.Timer(1, signal.pthread_kill, (main, signal.SIGUSR2)).start()
        with pytest.raises(Stopped):
            run_point(cfg, folder)
    assert not (folder / "status.json").exists()
