"""A small sweep that is really run, tracked from its first stage on, where there is neither a login nor a terminal."""

import os
import shutil
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

SMALL = ["trainer.max_steps=5", "evaluation.limit=2", "generator.batch_size=8"]
SECRET = "hf_aSecretThatMustNotBeSeen"


def environment(outputs):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    return {**kept, "DGR_OUTPUTS": str(outputs), "NETRC": str(outputs / "no_netrc"), "HF_TOKEN": SECRET}


@pytest.fixture
def secret():
    """What the tracked sweep had as HF_TOKEN."""
    return SECRET


@pytest.fixture(scope="session")
def tracked(tmp_path_factory):
    """(folders of the two points, what the command said, its process id)."""
    outputs = tmp_path_factory.mktemp("outputs")
    command = [sys.executable, "-m", "dgr.run", "-m", "refine=vanilla,dgr", "n_samples=3", "tracker=wandb", *SMALL]
    process = subprocess.Popen(
        command,
        env=environment(outputs),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    folders = {name: next(outputs.glob(f"default/*-{name}-*")) for name in ("dgr", "vanilla")}
    return folders, said, process.pid


@pytest.fixture
def point(tracked, tmp_path, monkeypatch):
    """A copy of the tracked dgr point that W&B has not seen: (folder, config)."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no_netrc"))
    source = tracked[0]["dgr"]
    folder = tmp_path / "sweep" / source.name
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("wandb"))
    return folder, OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))


@pytest.fixture
def tracker():
    from dgr.tracking.wandb_run import Wandb

    def make(**changed):
        settings = {"project": "dgr", "entity": None, "mode": "offline", "upload_model": 200, "table_rows": 100}
        return Wandb(**{**settings, **changed})

    return make
