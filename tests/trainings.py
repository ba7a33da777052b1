"""Fixtures of every test that trains: settings and real processes. Each folder has its `target` and `samples`."""

import pickle
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from dgr.files import read_json
from dgr.training.launch import run
from dgr.training.trainer import Trainer

WORKER = Path(__file__).parent / "training" / "worker.py"
CONF = Path(__file__).parents[1] / "conf"


@pytest.fixture(scope="session")
def make_trainer():
    """A Trainer as conf/trainer makes it, in eight steps unless told otherwise."""

    def make(strategy="single", **changed) -> Trainer:
        sft = {"learning_rate": 1e-2, "epochs": None, "max_steps": 8, "global_batch": 4, "max_length": 64}
        base, own = (OmegaConf.load(CONF / "trainer" / f"{name}.yaml") for name in ("single", strategy))
        own.pop("defaults", None)
        chosen = OmegaConf.merge(base, own, changed)
        settings = OmegaConf.to_container(OmegaConf.create({"model": {"sft": sft}, "trainer": chosen}), resolve=True)
        return Trainer(**{key: value for key, value in settings["trainer"].items() if key != "_target_"})

    return make


@pytest.fixture(scope="session")
def launch(samples, target):
    """Train in real processes, as a run does; returns train.json."""

    def start(
        trainer, adapter, folder: Path, kill_at: int | None = None, pause: float = 0, patience: float = 60
    ) -> dict:
        folder.mkdir(parents=True, exist_ok=True)
        job = {"trainer": trainer, "samples": samples, "target": target, "adapter": adapter}
        job |= {"kill_at": kill_at, "pause": pause}
        (folder / "job.pickle").write_bytes(pickle.dumps(job))
        program = [str(WORKER), str(folder)]
        run(trainer.nproc, trainer.global_batch, program, folder / "errors", "training", patience)
        return read_json(folder / "train.json")

    return start


@pytest.fixture(scope="session")
def weights():
    """Tensors by name of a finished training's file."""
    from safetensors.torch import load_file

    def read(folder: Path):
        return load_file(next((folder / "model").glob("*.safetensors")))

    return read
