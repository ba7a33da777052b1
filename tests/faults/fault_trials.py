"""What a fault is tried on: a point's command, what it had finished, and what came of it."""

import argparse
import json
import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from commands import Command, warm_up

from dgr.files import read_json, read_jsonl
from dgr.status import read_status

FINAL = ("samples.jsonl", "attempts.jsonl", "refine.json", "gap.json", "gap.jsonl", "model/*", "evaluation/*.jsonl")


@dataclass
class Trial:
    """One fault, once. `random` decides when it comes; what it did is in `told`."""

    folder: Path
    arguments: tuple[str, ...]
    random: random.Random
    told: list[str] = field(default_factory=list)
    told_moment: str = ""
    finished: dict[Path, int] = field(default_factory=dict)  # markers of finished stages when the fault came
    steps: int = 0  # of training that were lost

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs"

    @property
    def undisturbed(self) -> "Undisturbed":
        return undisturbed(self.arguments)

    def start(self, *more: str, prepare: Callable[[], None] | None = None, **env: str) -> Command:
        return Command(self.outputs, (*self.arguments, *more), prepare, **env)

    def finish(self, **env: str) -> None:
        """The same command again, to its end."""
        command = self.start(**env)
        if command.status():
            raise AssertionError(f"the command that was to repair it failed: {command.text}")

    def again(self) -> None:
        """Begin from nothing: the fault came too late."""
        shutil.rmtree(self.outputs)

    def copy_undisturbed_store(self) -> None:
        """What other points left; the point itself has not begun."""
        shutil.copytree(self.undisturbed.outputs / "store", self.outputs / "store")

    def injected(self, what: str) -> None:
        """Note that the fault came, and what was finished then."""
        from dgr.stages import STAGES

        self.told.append(what)
        for folder in run_folders(self.outputs):
            for stage in STAGES:
                if stage.done(folder):
                    self.finished[folder / stage.marker] = (folder / stage.marker).stat().st_mtime_ns

    def stage(self) -> str:
        """The stage that the first point is in."""
        return next((read_status(folder).get("stage", "") for folder in run_folders(self.outputs)), "")

    def records(self, kind: str = "attempts") -> int:
        """Finished lines in the journals of a kind."""
        return sum(file.read_bytes().count(b"\n") for file in self.outputs.glob(f"store/{kind}/*.jsonl"))

    def step(self) -> int:
        """The last step of a training that is under way."""
        lines = [line for file in self.outputs.glob("*/*/curve.jsonl") for line in file.read_bytes().splitlines(True)]
        whole = [json.loads(line)["step"] for line in lines if line.endswith(b"\n")]
        return max(whole, default=0)

    def lost_steps(self, before: int) -> None:
        """Steps that the training, now finished, had made before the fault and has made again."""
        (file,) = self.outputs.glob("*/*/train.json")
        self.steps = max(0, before - read_json(file)["resumed_from"])


class Undisturbed:
    """The same command without a fault."""

    def __init__(self, arguments: tuple[str, ...], folder: Path) -> None:
        self.outputs = folder / "outputs"
        command = Command(self.outputs, arguments)
        if command.status():
            raise AssertionError(f"the undisturbed command failed: {command.text}")
        self.results, self.journals = results(self.outputs), journals(self.outputs)
        self.runs = run_folders(self.outputs)
        self.seconds = {
            stage: times["seconds"] for folder in self.runs for stage, times in read_status(folder)["stages"].items()
        }


@cache
def undisturbed(arguments: tuple[str, ...]) -> Undisturbed:
    return Undisturbed(arguments, workplace() / f"undisturbed-{len(list(workplace().iterdir()))}")


@cache
def workplace() -> Path:
    import atexit
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="dgr-faults-"))
    owner = os.getpid()
    atexit.register(lambda: shutil.rmtree(folder, ignore_errors=True) if os.getpid() == owner else None)
    return folder


def run_folders(outputs: Path) -> list[Path]:
    return sorted(status.parent for status in outputs.glob("*/*/status.json"))


def results(outputs: Path) -> dict[str, bytes]:
    """What must be the same byte for byte, by name."""
    files = [file for folder in run_folders(outputs) for pattern in FINAL for file in folder.glob(pattern)]
    files += [file for file in outputs.glob("store/evaluation/*/*.jsonl")]
    found = {str(file.relative_to(outputs)): file.read_bytes() for file in files if file.is_file()}
    for file in outputs.glob("*/*/train.json"):
        found[f"{file.parent.name}/loss"] = json.dumps(read_json(file)["loss"]).encode()
    return found


def journals(outputs: Path) -> dict[str, Counter]:
    """How often each id is in each journal of the store; lines that are no records do not count."""
    return {
        str(file.relative_to(outputs)): Counter(_ids(file))
        for kind in ("attempts", "own", "nll", "similarity")
        for file in outputs.glob(f"store/{kind}/*.jsonl")
    }


def _ids(file: Path) -> Iterator[str]:
    for line in file.read_bytes().splitlines(keepends=True):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        yield record["id"]


@dataclass(frozen=True)
class Row:
    """What came of the trials of a fault."""

    fault: str
    injected: int
    points: int
    completed: int
    lost: int
    doubled: int
    repeated: int
    steps: int
    identical: bool

    @property
    def clean(self) -> bool:
        harm = self.lost or self.doubled or self.repeated
        return self.identical and self.injected > 0 and self.completed == self.points and not harm

    def __add__(self, other: "Row") -> "Row":
        return Row(
            self.fault,
            *(getattr(self, name) + getattr(other, name) for name in ("injected", "points", "completed")),
            *(getattr(self, name) + getattr(other, name) for name in ("lost", "doubled", "repeated")),
            max(self.steps, other.steps),
            self.identical and other.identical,
        )


def row(fault: str, trial: Trial) -> Row:
    """Compare what a trial left with the undisturbed command."""
    expected, found = trial.undisturbed, journals(trial.outputs)
    wanted = [folder.relative_to(expected.outputs) for folder in expected.runs]
    missing = {name: counts.keys() - found.get(name, {}).keys() for name, counts in expected.journals.items()}
    lost_samples = sum(len(_samples(expected.outputs / run) - _samples(trial.outputs / run)) for run in wanted)
    same = {name: results(trial.outputs).get(name) == content for name, content in expected.results.items()}
    for name in (name for name, equal in same.items() if not equal):
        print(f"  {fault}: {name} is not what it is without the fault", file=sys.stderr)
    return Row(
        fault,
        injected=len(trial.told),
        points=len(wanted),
        completed=sum(read_status(trial.outputs / run).get("state") == "finished" for run in wanted),
        lost=sum(map(len, missing.values())) + lost_samples,
        doubled=sum(count - 1 for counts in found.values() for count in counts.values()),
        repeated=sum(not file.exists() or file.stat().st_mtime_ns != was for file, was in trial.finished.items()),
        steps=trial.steps,
        identical=all(same.values()),
    )


def _samples(folder: Path) -> set[str]:
    file = folder / "samples.jsonl"
    return {line["id"] for line in read_jsonl(file)} if file.exists() else set()


Faults = dict[str, tuple[Callable[[Trial], None], tuple[str, ...]]]  # what does the harm, and to which command


def attempt(name: str, faults: Faults, seed: int) -> Row:
    """One trial of a fault."""
    inject, arguments = faults[name]
    folder = workplace() / f"trial-{seed}-{list(faults).index(name)}"
    trial = Trial(folder, arguments, random.Random(f"{name} {seed}"))
    try:
        inject(trial)
        found = row(name, trial)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{name}, seed {seed}: {'; '.join(trial.told)}: {found}", file=sys.stderr, flush=True)
    return found


def table(faults: Faults) -> None:
    """Inject each fault as often as the command line says, and print what was lost."""
    parser = argparse.ArgumentParser(description="Inject each fault --trials times; print what was lost, in Markdown.")
    parser.add_argument("--trials", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the first trial; the next one has the next number")
    parser.add_argument("faults", nargs="*", help="words in the names of faults; none: all")
    given = parser.parse_args()
    warm_up()
    print("| fault | injected | points completed | samples lost | doubled | stages repeated | steps repeated | files |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    clean = True
    for name in [one for one in faults if not given.faults or any(word in one for word in given.faults)]:
        total, *more = (attempt(name, faults, given.seed + number) for number in range(given.trials))
        for found in more:
            total += found
        files = "identical" if total.identical else "different"
        numbers = f"{total.lost} | {total.doubled} | {total.repeated} | {total.steps}"
        print(f"| {name} | {total.injected} | {total.completed} of {total.points} | {numbers} | {files} |", flush=True)
        clean = clean and total.clean
    sys.exit(0 if clean else 1)
