"""What is said about `hydra/launcher=slurm` before anything is submitted; a real SLURM is in tests/slurm."""

import os
import site
import subprocess
import sys
from pathlib import Path

import pytest

from dgr.command import check
from dgr.naming import PROJECT
from dgr.preflight import Mistakes

GRID = ["-m", "hydra/launcher=slurm", "n_samples=2"]


@pytest.fixture(autouse=True)
def login_node(tmp_path, monkeypatch):
    """A machine that has SLURM's programs; none is called before there is something to submit."""
    monkeypatch.setenv("DGR_OUTPUTS", str(tmp_path / "outputs"))
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sbatch", "srun", "squeue"):
        (programs / name).write_text("#!/bin/sh\nexit 1\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return programs


def mistakes(*arguments):
    with pytest.raises(Mistakes) as caught:
        check(list(arguments))
    return str(caught.value)


def test_a_grid_for_the_cluster_has_the_folders_that_it_has_here():
    here, there = (check(list(line)) for line in (["-m", "n_samples=2"], [*GRID, "hydra.launcher.timeout_min=60"]))
    assert [point.folder for point in here] == [point.folder for point in there]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("partitoin=gpu", "did you mean partition?"),
        ("nodes=0", "hydra.launcher.nodes=0: a whole number of 1 or more"),
        ("timeout_min=soon", "could not be converted to Integer"),
        ("timeout_min=5", "the warning would come before the job begins"),
        ("tasks_per_node=2", "leave it at 1"),
        ("nodes=2", "choose trainer=ddp"),
        ("additional_parameters.dependency=afterok:12", "takes a + before it"),
        ("nodes=1,2", "Hydra's own keys cannot be swept"),
    ],
)
def test_a_mistake_in_the_launcher_s_keys_is_named(key, words):
    assert words in mistakes(*GRID, f"hydra.launcher.{key}")


def test_mistakes_of_launcher_and_points_come_together():
    text = mistakes(*GRID, "hydra.launcher.nodes=0", "hydra.launcher.detahc=true", "trainer.nproc=4", "refine=nope")
    for words in ("nodes=0", "did you mean detach?", "trainer.nproc=4", "refine=nope"):
        assert words in text


def test_one_point_without_m_would_not_reach_the_cluster():
    assert "put -m before the overrides" in mistakes("hydra/launcher=slurm")


def test_a_machine_without_slurm_is_told_apart(login_node, monkeypatch):
    monkeypatch.setenv("PATH", str(login_node))
    (login_node / "sbatch").unlink()
    assert "there is no sbatch on this machine" in mistakes(*GRID)


def test_without_submitit_everything_else_works_and_the_launcher_says_what_to_install(tmp_path):
    links = tmp_path / "packages"
    (links / "hydra_plugins").mkdir(parents=True)
    for package in Path(site.getsitepackages()[0]).iterdir():
        if not package.name.startswith(("submitit", "hydra_plugins")) and package.suffix != ".pth":
            (links / package.name).symlink_to(package)

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-S", "-m", "dgr.run", *arguments],
            env={**os.environ, "PYTHONPATH": f"{PROJECT}:{links}"},
            capture_output=True,
            text=True,
            check=False,
        )

    done = run(*GRID, "hydra.launcher.partition=gpu", "refine=nope")
    assert done.returncode == 2
    assert "pip install 'dgr[slurm]'" in done.stderr
    assert "refine=nope" in done.stderr
    assert "Traceback" not in done.stderr
    plain = run("--cfg", "job")
    assert (plain.returncode, plain.stderr) == (0, ""), "no warning of a plugin that cannot be imported"


def test_a_site_s_file_gives_the_defaults_and_need_not_be_there(tmp_path):
    from hydra import compose, initialize_config_dir

    from dgr.naming import conf_dir

    (tmp_path / "site" / "local").mkdir(parents=True)
    (tmp_path / "site" / "local" / "slurm.yaml").write_text(
        "partition: gpu\ntimeout_min: 60\nadditional_parameters: {reservation: a}\n"
    )
    where = [f"hydra.searchpath=[file://{tmp_path / 'site'}]"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        asked = ["hydra/launcher=slurm", "hydra.launcher.timeout_min=90"]
        with_file = compose("config", [*asked, *where], return_hydra_config=True).hydra.launcher
    assert (with_file.partition, with_file.timeout_min, with_file.nodes) == ("gpu", 90, 1)
    assert with_file.additional_parameters == {"requeue": True, "reservation": "a"}
