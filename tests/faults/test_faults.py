"""Faults at random moments, and what is lost: a test, and `python tests/faults/test_faults.py --trials 5` for a table.

A fault is a function of a Trial: it starts the point's command, does its harm, says so (`injected`), and lets the same
command finish. To add one, write it and give it a line in FAULTS.
"""

import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))  # commands, small_disk

from commands import POINT, Command, until, warm_up
from fault_trials import Faults, Trial, attempt, row, run_folders, table
from small_disk import mounted

from dgr.command import Point, check

DISTRIBUTED = (*POINT, "trainer=ddp", "trainer.nproc=2")
GRID = ("-m", "n_samples=4,8", *POINT[1:])
WORKED_ON = ("refine", "gap", "train", "evaluate")


def kill_command(trial: Trial) -> None:
    """kill -9 of the command and all it started, anywhere in a stage."""
    stage, share = trial.random.choice(WORKED_ON), trial.random.random()
    while True:
        command = trial.start()
        moment = share * trial.undisturbed.seconds[stage]
        if until(lambda: trial.stage() == stage, command) and _still_there_after(moment, command):
            step = trial.step()
            command.kill()
            break
        share /= 2
        trial.again()
    trial.injected(f"{moment:.2f} s into {stage}")
    trial.finish()
    trial.lost_steps(step)


def _still_there_after(seconds: float, command: Command) -> bool:
    command.process.join(seconds)
    return command.alive


def kill_stage(trial: Trial) -> None:
    """kill -9 of the process that a stage runs in, after some of its work is done."""
    stage = trial.random.choice(["refine", "evaluate"])
    done = trial.random.randint(1, 6) if stage == "refine" else trial.random.randint(1, 2)
    command = trial.start(prepare=partial(in_a_process_of_its_own, stage))

    def worked() -> bool:
        return (
            trial.records() if stage == "refine" else len(list(trial.outputs.glob("*/*/evaluation/*.jsonl")))
        ) >= done

    assert until(worked, command), command.text
    (victim,) = processes_below(command, "dgr.stages")
    victim.kill()
    assert command.status() == 1, "a stage that was killed fails the point"
    assert "was killed by SIGKILL" in command.text
    trial.injected(f"{stage}, {done} units done")
    trial.finish()


def in_a_process_of_its_own(name: str) -> None:
    """As where there is a GPU, for one stage."""
    from dgr import stages

    inline = stages._run_stage

    def run(stage, cfg, folder):
        if stage.name == name:
            stages.run_in_child(stage, folder)
        else:
            inline(stage, cfg, folder)

    stages._run_stage = run


def processes_below(command: Command, *words: str) -> list:
    import psutil

    below = psutil.Process(command.process.pid).children(recursive=True)
    return [one for one in below if all(word in one.cmdline() for word in words)]


def kill_rank(trial: Trial) -> None:
    """kill -9 of one of two training processes."""
    command, step = trial.start(), trial.random.randint(1, 5)
    assert until(lambda: trial.step() >= step, command), command.text
    ranks = [one for one in processes_below(command, "dgr.stages") if "dgr.training.torchrun" not in one.cmdline()]
    victim = trial.random.choice(ranks)
    victim.kill()
    assert command.status() == 1, command.text
    assert "was killed by SIGKILL" in command.text
    trial.injected(f"step {step}")
    trial.finish()
    trial.lost_steps(step)


def two_sweeps(trial: Trial) -> None:
    """The same grid is started twice at once."""
    both = [trial.start(), trial.start()]
    trial.injected("two commands")
    for command in both:
        assert command.status() == 0, command.text


def race(kind: str, trial: Trial) -> None:
    """Eight processes want the same refined samples; one dies while it holds their lock."""
    records = trial.random.randint(1, 6)
    (point,) = check(list(trial.arguments))
    racers = [trial.start(prepare=partial(refine_only, point, f"racer{number}"), DGR_LOCKS=kind) for number in range(8)]
    assert until(lambda: trial.records() >= records)
    (owner,) = trial.outputs.glob("store/attempts/*.owner")
    dead = json.loads(owner.read_text())["pid"]
    os.kill(dead, signal.SIGKILL)
    trial.injected(f"owner killed after {records} records or more")
    for racer in sorted(racers, key=lambda racer: racer.process.pid != dead):  # a zombie would count as alive
        assert racer.status() == (-signal.SIGKILL if racer.process.pid == dead else 0), racer.text
    samples = [file.read_bytes() for file in trial.outputs.glob("racer*/*/samples.jsonl")]
    assert len(samples) == 7
    assert len(set(samples)) == 1
    trial.finish(DGR_LOCKS=kind)


def refine_only(point: Point, sweep: str) -> None:
    """A point of another sweep, up to its samples; nothing comes after."""
    from dgr.stages import STAGES, run_point

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cfg = point.cfg.copy()
    cfg.sweep = sweep
    run_point(cfg, Path(cfg.outputs) / sweep / point.folder.name, stages=STAGES[:2])
    sys.exit(0)


def torn_line(trial: Trial) -> None:
    """The last line of a journal is cut short, as a killed writer leaves it."""
    trial.copy_undisturbed_store()
    journal = trial.random.choice(sorted(trial.outputs.glob("store/*/*.jsonl")))
    content = journal.read_bytes()
    last = len(content.splitlines(keepends=True)[-1])
    cut = trial.random.randrange(1, last)
    journal.write_bytes(content[:-cut])
    trial.injected(f"{cut} of {last} bytes of {journal.parent.name}'s last line")
    trial.finish()


def damaged_store(trial: Trial) -> None:
    """Bytes are overwritten in the middle of a journal, and in a file of the untouched target's evaluation."""
    trial.copy_undisturbed_store()
    for files in (trial.outputs.glob("store/*/*.jsonl"), trial.outputs.glob("store/evaluation/*/*.jsonl")):
        file = trial.random.choice(sorted(files))
        content = bytearray(file.read_bytes())
        begin = trial.random.randrange(len(content) - 2)
        content[begin : begin + 40] = b"\xff" * min(40, len(content) - begin)
        file.write_bytes(content)
        trial.injected(f"{file.parent.name}/{file.name} at byte {begin}")
    trial.finish()


def disk_full(trial: Trial) -> None:
    """The outputs' file system fills up; after space was made, the same command goes on."""
    disk = mounted(trial.outputs, "64m")
    if isinstance(disk, str):
        pytest.skip(disk)
    try:
        space = trial.random.randint(600_000, 20_000_000)  # the preflight asks for a quarter of a megabyte
        while True:
            disk.fill(leaving=space)
            command = trial.start()
            if command.status():
                break
            space //= 2
            disk.free()
            for path in trial.outputs.iterdir():
                shutil.rmtree(path)
        assert "no space left on the file system of" in command.text, command.text
        assert "Logging error" not in command.text, "the log hides the error"
        (folder,) = run_folders(trial.outputs)
        state, stage = (json.loads((folder / "status.json").read_text())[key] for key in ("state", "stage"))
        assert state == "failed"
        assert not list(folder.rglob("*.tmp")), "temporary files stayed"
        trial.injected(f"{space:,} bytes free, failed in {stage}")
        disk.free()
        trial.finish()
        kept = trial.folder / "kept"
        shutil.copytree(trial.outputs, kept)
    finally:
        subprocess.run(["umount", "--lazy", str(trial.outputs)], check=True)
    shutil.copytree(kept, trial.outputs, dirs_exist_ok=True, copy_function=shutil.copy2)


FAULTS: Faults = {
    "kill -9 of the command": (kill_command, POINT),
    "kill -9 of a stage's process": (kill_stage, POINT),
    "kill -9 of a training rank": (kill_rank, DISTRIBUTED),
    "two sweeps over the same points": (two_sweeps, GRID),
    "8 processes at one key, its owner killed (posix)": (partial(race, "posix"), POINT),
    "8 processes at one key, its owner killed (soft)": (partial(race, "soft"), POINT),
    "journal cut in its last line": (torn_line, POINT),
    "journal and base evaluation overwritten": (damaged_store, POINT),
    "disk full": (disk_full, POINT),
}
WIDE = (  # the default tier has not the time for what other tests of it show in less
    "kill -9 of a training rank",  # three starts of torchrun
    "8 processes at one key, its owner killed (posix)",
)


@pytest.fixture(scope="module", autouse=True)
def warm():
    warm_up()


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(one, marks=pytest.mark.wide if one in WIDE else ()) for one in FAULTS])
def test_nothing_is_lost_doubled_or_changed(name):
    found = attempt(name, FAULTS, seed=0)
    assert found.clean, found
    assert found.steps <= 2, "more than one checkpoint interval was repeated"


def test_an_evaluation_that_is_damaged_before_its_numbers_are_taken_is_repaired_by_the_same_command(tmp_path):
    trial = Trial(tmp_path, POINT, random.Random(0))
    shutil.copytree(trial.undisturbed.outputs, trial.outputs)
    (folder,) = run_folders(trial.outputs)
    (folder / "metrics.json").unlink()
    (folder / "evaluation" / "chain.jsonl").write_text('{"id": "cut')
    next(trial.outputs.glob("store/evaluation/*/benign.jsonl")).write_text("")
    command = trial.start()
    assert command.status() == 1
    assert "chain.jsonl, line 1 is not valid JSON" in command.text
    trial.finish()
    assert row("damaged evaluation", trial).identical


if __name__ == "__main__":
    table(FAULTS)
