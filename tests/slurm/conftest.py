"""A SLURM of two nodes on this machine, up for the session."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from slurm_sweep import Sweep

CLUSTER = Path(__file__).parent / "cluster.sh"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """The nodes dgr1 and dgr2; yields cluster.sh as a function."""
    missing = [program for program in ("slurmctld", "slurmd", "sbatch", "munged") if not shutil.which(program)]
    if missing or os.getuid():
        pytest.skip(f"a SLURM of its own needs root and {missing or 'nothing else'}")
    folder = tmp_path_factory.mktemp("slurm")
    given = {"DGR_TEST_SLURM": str(folder / "cluster"), "OMP_NUM_THREADS": "1"}
    before = dict(os.environ)
    os.environ |= {**given, "SLURM_CONF": f"{given['DGR_TEST_SLURM']}/slurm.conf"}

    def command(*arguments):
        subprocess.run([CLUSTER, *arguments], check=True)

    command("up")
    yield command
    command("down")
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def sweep(cluster, tmp_path):
    made = []

    def make(*overrides):
        made.append(Sweep(tmp_path / "outputs", *overrides))
        return made[-1]

    yield make
    for process in (process for one in made for process in one.started if process.poll() is None):
        process.kill()  # after a failure


@pytest.fixture(scope="session")
def undisturbed(cluster, tmp_path_factory):
    """One point as this machine computes it without SLURM."""
    sweep = Sweep(tmp_path_factory.mktemp("undisturbed"), "refine=dgr")
    sweep.local()
    return sweep


@pytest.fixture
def point(sweep, undisturbed):
    """The same point, for SLURM; it finds in its store what points share, so that it is soon at its training."""
    one = sweep("refine=dgr")
    shutil.copytree(undisturbed.outputs / "store", one.outputs / "store")
    return one
