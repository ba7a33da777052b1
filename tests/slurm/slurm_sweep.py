"""A command in an outputs folder of its own, run here or through SLURM."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

SMALL = ["n_samples=16", "trainer.max_steps=24", "trainer.save_steps=4", "evaluation.limit=4", "generator.batch_size=8"]
LAUNCHER = {"gpus_per_node": 0, "cpus_per_task": 1, "timeout_min": 20}


class Sweep:
    """A command in an outputs folder of its own."""

    def __init__(self, outputs, *overrides):
        given = {override.partition("=")[0] for override in overrides}
        self.outputs = outputs
        self.overrides = [*overrides, *(small for small in SMALL if small.partition("=")[0] not in given)]
        self.environment = {**os.environ, "DGR_OUTPUTS": str(outputs)}
        self.started = []

    def start(self, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "dgr.run", "-m", *arguments, *self.overrides],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def local(self):
        return finish(self.start())

    def trained(self, step):
        """Wait for the checkpoint of this step."""
        until(
            lambda: list(self.outputs.glob(f"default/*/checkpoints/checkpoint-{step}/trainer_state.json")), "training"
        )

    def slurm(self, **keys):
        given = [f"hydra.launcher.{key}={value}" for key, value in {**LAUNCHER, **keys}.items()]
        return self.start("hydra/launcher=slurm", *given)

    def status(self):
        """What `dgr.status` says, by run."""
        done = subprocess.run(
            [sys.executable, "-m", "dgr.status", "--json", str(self.outputs / "default")],
            capture_output=True,
            text=True,
            check=True,
        )
        return {row["run"]: row for row in json.loads(done.stdout)}

    @property
    def folders(self):
        return sorted(file.parent for file in self.outputs.glob("default/*/job.json"))

    @property
    def folder(self):
        (folder,) = self.folders
        return folder

    @property
    def job(self):
        return json.loads((self.folder / "job.json").read_text())["job"]

    def log(self):
        return Path(json.loads((self.folder / "job.json").read_text())["log"]).read_text()

    def results(self):
        """What must be the same byte for byte, by run."""
        patterns = ("samples.jsonl", "gap.json", "refine.json", "model/model.safetensors", "evaluation/*.jsonl")
        return {
            f"{folder.name}/{file.relative_to(folder)}": file.read_bytes()
            for folder in self.folders
            for pattern in patterns
            for file in folder.glob(pattern)
        }


def finish(process, status=0, timeout=300):
    text, _ = process.communicate(timeout=timeout)
    assert process.returncode == status, text
    return text


def until(condition, what, timeout=120):
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.1)
    return found
