"""`python -m dgr.status` over run folders as commands leave them; with jobs of a real SLURM in tests/slurm."""

import json
import os
import subprocess
import sys
import time

import pytest

from dgr.cluster.queue import enqueue
from dgr.files import read_json, write_json
from dgr.monitor.command import main
from dgr.progress import FILE, progress, reported_in
from dgr.status import Status


@pytest.fixture
def sweep(tmp_path):
    return tmp_path / "outputs" / "sweep"


def begun(folder, stage="train", **values):
    """A point in the middle of a stage, worked on by this process."""
    enqueue(folder)
    later(folder)
    status = Status(folder)
    status.begin("subset")
    status.end("subset", 2.0)
    status.begin(stage)
    status.value |= values
    write_json(status.path, status.value)
    return status


def later(folder):
    """The files so far were written a while ago."""
    for file in folder.iterdir():
        os.utime(file, (time.time() - 60,) * 2)


@pytest.fixture
def dead():
    """The number of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def states(sweep, capsys):
    assert main([str(sweep), "--json"]) == 0
    return {row["run"]: row for row in json.loads(capsys.readouterr().out)}


def test_every_state_is_told_from_what_is_in_the_folders(sweep, capsys, dead):
    enqueue(sweep / "queued")
    begun(sweep / "running")
    with reported_in(sweep / "running"), progress("replies", 40) as shown:
        shown._report._written = float("-inf")
        shown.add(10, tokens=100)
        begun(sweep / "gone", pid=dead)
        begun(sweep / "failed").fail(RuntimeError("no memory"))
        begun(sweep / "finished").finish()
        begun(sweep / "interrupted", state="interrupted")
        begun(sweep / "again").fail(RuntimeError("of last time"))
        later(sweep / "again")
        enqueue(sweep / "again")
        begun(sweep / "damaged").path.write_text("{")
        found = states(sweep, capsys)
        assert main([str(sweep)]) == 0
        table = capsys.readouterr().out
    expected = {name: name for name in ("queued", "running", "gone", "failed", "finished", "interrupted", "damaged")}
    assert {run: row["state"] for run, row in found.items()} == {**expected, "again": "queued"}
    assert found["running"]["stage"] == "train"
    assert (found["running"]["progress"]["done"], found["running"]["progress"]["total"]) == (10, 40)
    assert found["failed"]["error"] == "RuntimeError: no memory"
    assert found["finished"]["seconds"] == 2.0
    assert "status.json is not valid JSON" in found["damaged"]["error"]
    for words in ("10 of 40 replies", "RuntimeError: no memory", "8 points: 2 queued"):
        assert words in table
    assert "of last time" not in table
    enqueue(sweep / "running")  # a second command waits for the first one's lock
    assert states(sweep, capsys)["running"]["state"] == "running"


def test_what_an_error_brings_can_neither_format_nor_steer_the_terminal(sweep, capsys):
    begun(sweep / "failed").fail(ValueError("[bold]x[/bold] \x1b[2J\u202e\nsecond line"))
    assert main([str(sweep)]) == 0
    shown = capsys.readouterr().out
    assert "[bold]x[/bold] \\x1b[2J\\u202e second line" in shown
    assert not {"\x1b", "\u202e"} & set(shown)
    assert main([str(sweep), "--json"]) == 0
    assert not {"\x1b", "\u202e"} & set(capsys.readouterr().out)


def test_a_wrong_folder_and_an_empty_one_are_named(sweep, capsys):
    assert main([str(sweep)]) == 2
    assert "there is no such folder" in capsys.readouterr().err
    sweep.mkdir(parents=True)
    assert main([str(sweep)]) == 2
    assert "no run folders there" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer_is_said_and_hides_nothing(sweep, capsys, tmp_path, monkeypatch):
    (tmp_path / "squeue").write_text("#!/bin/sh\necho 'slurm_load_jobs error: timed out' >&2\nexit 1\n")
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    enqueue(sweep / "point", "12_3", sweep / "log.out")
    assert main([str(sweep)]) == 0
    shown = capsys.readouterr().out
    for words in ("12_3", "queued", "squeue does not answer (slurm_load_jobs error: timed out)"):
        assert words in shown


def test_watch_ends_when_nobody_works_on_any_point(sweep, capsys):
    begun(sweep / "finished").finish()
    assert main([str(sweep), "--watch"]) == 0
    assert "1 finished" in capsys.readouterr().out


def test_it_starts_without_the_libraries_of_models(sweep):
    begun(sweep / "finished").finish()
    code = (
        "import sys; from dgr.monitor.command import main; main(sys.argv[1:]); "
        "print({'torch', 'transformers', 'hydra', 'omegaconf'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(sweep)], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")


def test_progress_is_left_in_the_run_folder_while_there_is_some(tmp_path):
    with reported_in(tmp_path):
        with progress("replies", 3) as shown:
            shown.add(1)
            assert read_json(tmp_path / FILE)["total"] == 3
        assert not (tmp_path / FILE).exists()
    with progress("replies", 3):
        assert not (tmp_path / FILE).exists()
