import os
import sys
from pathlib import Path

import pytest

from dgr.training import launch

PROGRAM = ["-m", "dgr.stages", "train", "folder"]
JOB = {
    "SLURM_JOB_ID": "123457",
    "SLURM_JOB_NUM_NODES": "2",
    "SLURM_JOB_NODELIST": "gpu[03-04]",
    "SLURM_PROCID": "0",
    "SLURM_NTASKS": "2",
    "RANK": "7",
    "PATH": "/bin",
}


@pytest.fixture
def gpus(monkeypatch):
    def there_are(count):
        monkeypatch.setattr(launch, "gpu_count", lambda: count)

    return there_are


@pytest.fixture
def scontrol(tmp_path, monkeypatch):
    """A stand-in on the PATH that knows one list of hosts."""
    program = tmp_path / "scontrol"
    program.write_text('#!/bin/sh\n[ "$*" = "show hostnames gpu[03-04]" ] && printf "gpu03\\ngpu04\\n"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)


def test_one_node_is_a_torchrun_of_its_own():
    line = launch.command(2, 1, {}, Path("errors"), PROGRAM)
    torchrun = [sys.executable, "-m", "dgr.training.torchrun", "errors", "--standalone", "--local-addr=localhost"]
    assert line == [*torchrun, "--nproc-per-node=2", "--max-restarts=0", *PROGRAM]


def test_several_nodes_are_one_task_each_that_meet_at_the_first_host_of_the_job(scontrol):
    line = launch.command(4, 2, JOB, Path("errors"), PROGRAM)
    assert line[0] == "srun"
    assert {"--nodes=2", "--ntasks=2", "--ntasks-per-node=1"} < set(line)
    assert {"--nnodes=2", "--nproc-per-node=4", "--rdzv-backend=c10d", "--rdzv-id=123457"} < set(line)
    assert "--rdzv-endpoint=gpu03:23457" in line
    assert "--standalone" not in line
    assert line[-4:] == PROGRAM


def test_srun_finds_its_job_but_not_the_task_that_it_is_started_from():
    several, one = launch.environment(4, 2, JOB), launch.environment(4, 1, JOB)
    assert several["SLURM_JOB_ID"] == "123457"
    assert not {"SLURM_PROCID", "SLURM_NTASKS", "RANK"} & set(several)
    assert not any(name.startswith("SLURM_") for name in one)


def test_the_number_of_nodes_comes_from_the_job():
    assert launch.nodes_of_job({}) == 1
    assert launch.nodes_of_job(JOB) == 2


@pytest.mark.parametrize(
    ("nproc", "gpu_count", "nodes", "expected"),
    [(2, 0, 1, 2), ("auto", 0, 1, 1), ("auto", 8, 1, 8), ("auto", 3, 1, 2), ("auto", 8, 2, 8), ("auto", 8, 4, 4)],
)
def test_auto_is_one_process_a_gpu_as_many_as_divide_the_batch(gpus, nproc, gpu_count, nodes, expected):
    gpus(gpu_count)
    assert launch.processes_here(nproc, 16, nodes) == expected


def test_more_processes_than_gpus_are_an_error_before_anything_is_started(gpus, tmp_path):
    gpus(2)
    with pytest.raises(ValueError, match=r"trainer\.nproc=4, but 2 GPUs"):
        launch.run(4, 16, PROGRAM, tmp_path, "training")


def test_cores_are_shared_out_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.setattr(launch, "cpu_count", lambda: 8)
    assert launch.environment(2, 1, {})["OMP_NUM_THREADS"] == "4"
    assert launch.environment(2, 1, {"OMP_NUM_THREADS": "1"})["OMP_NUM_THREADS"] == "1"
