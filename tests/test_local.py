"""`hydra/launcher=local`: points that run at the same time on this machine, and what happens to them."""

import os
import signal
from pathlib import Path

import psutil
import pytest
from commands import POINT, Command, until, warm_up

from dgr import local
from dgr.command import check
from dgr.files import read_json
from dgr.preflight import Mistakes

GRID = ("-m", "hydra/launcher=local", "hydra.launcher.workers=2", "refine=vanilla", "seed=0,1,2")
LONG = ("n_samples=8", "trainer.max_steps=100000", "trainer.save_steps=20", "evaluation=none")


@pytest.fixture(autouse=True, scope="module")
def imported():
    warm_up()


def folders(outputs: Path) -> list[Path]:
    return sorted(outputs.glob("default/micro-*"))


def files(folder: Path) -> dict[str, bytes]:
    """What a point leaves, but for times and places."""
    kept = [folder / "samples.jsonl", folder / "gap.jsonl", folder / "model" / "model.safetensors"]
    return {file.name: file.read_bytes() for file in [*kept, *sorted((folder / "evaluation").iterdir())]}


def test_points_are_those_of_the_same_grid_one_after_the_other_and_finished_ones_are_left_alone(tmp_path):
    there, here = Command(tmp_path / "local", (*GRID, *POINT)), tmp_path / "here"
    assert there.status() == 0, there.text
    assert "3 points, 2 at a time" in there.text
    assert "3 of 3" in there.text
    alone = Command(here, ("-m", "refine=vanilla", "seed=0,1,2", *POINT))
    assert alone.status() == 0, alone.text
    assert [one.name for one in folders(tmp_path / "local")] == [one.name for one in folders(here)]
    for one, other in zip(folders(tmp_path / "local"), folders(here), strict=True):
        assert files(one) == files(other)
        assert "evaluate: done" in (one / "run.log").read_text()
    again = Command(tmp_path / "local", (*GRID, *POINT))
    assert again.status() == 0
    assert again.text.count("finished before, skipped") == 3
    assert "seed" not in again.text.split("┏")[0], "no line of the points' own output"


def test_no_two_points_have_the_same_gpu_at_the_same_time(tmp_path, monkeypatch):
    notes = tmp_path / "notes"
    run_job = local.run_job

    def noted(**given):
        for moment in ("begin", "end"):
            with notes.open("a") as file:
                file.write(f"{moment} {os.environ['CUDA_VISIBLE_DEVICES']}\n")
            if moment == "begin":
                until(lambda: notes.read_text().count("begin") > 1)  # the first one waits for the second
                run_job(**given)

    def prepare():
        local.run_job, local.gpus, local.has_gpu = noted, lambda: ["5", "GPU-7a", "8", "2", "9"], lambda: True

    nothing = ("n_samples=0", "evaluation=none", "hydra.launcher.gpus=2", "hydra.launcher.workers=auto")
    command = Command(tmp_path / "outputs", (*GRID[:-1], "seed=0,1,2,3", *nothing), prepare)
    assert command.status() == 0, command.text
    busy, most = set(), 0
    for moment, device in (line.split() for line in notes.read_text().splitlines()):
        if moment == "begin":
            assert device not in busy
            busy.add(device)
        else:
            busy.remove(device)
        most = max(most, len(busy))
    assert most == 2, "two points of two GPUs each; the fifth GPU is too few for a third"
    assert notes.read_text().count("begin") == 4


def processes(outputs: Path) -> dict[Path, int]:
    """The points that train, and the processes that they run in."""
    found = {}
    for folder in folders(outputs):
        if (folder / "curve.jsonl").exists() and (folder / "curve.jsonl").stat().st_size:
            found[folder] = read_json(folder / "status.json")["pid"]
    return found


def hears_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a script starts in the background is deaf to it


def at_work(tmp_path: Path, number: int = 2) -> tuple[Command, dict[Path, int]]:
    command = Command(tmp_path / "outputs", (*GRID, *LONG), hears_ctrl_c)
    assert until(lambda: len(processes(tmp_path / "outputs")) == number, command), command.text
    return command, processes(tmp_path / "outputs")


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_stop_of_the_command_stops_every_point_at_a_checkpoint_and_starts_no_other(tmp_path, number):
    command, points = at_work(tmp_path)
    os.kill(command.process.pid, number)
    assert command.status() == 128 + number
    for folder, pid in points.items():
        assert gone(pid)
        assert read_json(folder / "status.json")["state"] == "interrupted"
        assert list((folder / "checkpoints").iterdir())
    assert len(folders(tmp_path / "outputs")) <= 3
    assert len(processes(tmp_path / "outputs")) == 2
    assert "the same command continues it" in command.text


def test_points_end_with_a_command_that_is_killed(tmp_path):
    command, points = at_work(tmp_path)
    os.kill(command.process.pid, signal.SIGKILL)
    command.process.join()
    assert until(lambda: all(gone(pid) for pid in points.values()))


def test_a_point_that_is_killed_or_fails_leaves_the_others_alone(tmp_path):
    command, points = at_work(tmp_path)
    killed = next(iter(points))
    os.kill(points[killed], signal.SIGKILL)
    assert until(lambda: "killed by SIGKILL, out of memory?" in command.text, command)
    assert until(lambda: len([pid for pid in processes(tmp_path / "outputs").values() if not gone(pid)]) == 2, command)
    os.kill(command.process.pid, signal.SIGTERM)
    assert command.status() == 143

    too_fast = ("n_samples=1", "trainer.max_steps=9", "trainer.learning_rate=1e-4,1e38", "evaluation=none")
    command = Command(tmp_path / "other", ("-m", "hydra/launcher=local", "refine=vanilla", *too_fast))
    assert command.status() == 1
    assert "2 of 2" in command.text
    assert "failed: " in command.text.split("┏")[0]
    assert len(list(tmp_path.glob("other/default/*/metrics.json"))) == 1


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("hydra.launcher.workers=0", "hydra.launcher.workers=0: a whole number of 1 or more is expected, or auto"),
        ("hydra.launcher.workers=two", "hydra.launcher.workers=two: a whole number"),
        ("hydra.launcher.gpus=0", "hydra.launcher.gpus=0: a whole number of 1 or more"),
        ("hydra.launcher.wrokers=3", "did you mean workers?"),
    ],
)
def test_a_mistake_in_the_launcher_s_keys_is_named(keys, words):
    with pytest.raises(Mistakes) as caught:
        check([*GRID, keys])
    assert words in str(caught.value)
    with pytest.raises(Mistakes) as caught:  # where a study brings the launcher
        check(["+experiment=safety_tax", keys])
    assert words in str(caught.value)


def test_more_gpus_than_there_are_is_a_mistake_and_the_estimate_counts_the_points_at_a_time(monkeypatch):
    monkeypatch.setattr(local, "gpus", lambda: ["0", "1", "2", "3"])
    monkeypatch.setattr(local, "has_gpu", lambda: True)
    with pytest.raises(Mistakes, match=r"hydra.launcher.gpus=5: this machine has 4 that can be used"):
        check([*GRID, "hydra.launcher.gpus=5"])
    auto = [argument for argument in GRID if "workers" not in argument]
    assert check([*auto, "hydra.launcher.gpus=2"])[0].cfg.costs.parallel == 2
    assert check([*GRID, "costs.parallel=7"])[0].cfg.costs.parallel == 7
    assert check(["-m", "seed=0,1"])[0].cfg.costs.parallel == 1
