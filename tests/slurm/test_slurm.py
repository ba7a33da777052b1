"""Grids and points through a real SLURM, disturbed in every way that a cluster knows, against undisturbed ones."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest
from slurm_sweep import finish, until

from dgr.cluster.queue import squeue
from dgr.naming import PROJECT

pytestmark = pytest.mark.slurm


def test_a_grid_as_a_job_array_equals_a_local_one_and_is_submitted_once(sweep, tmp_path):
    grid = ("refine=dgr,vanilla", "n_samples=2,4,8", "trainer.max_steps=2", "evaluation.limit=2")
    through_slurm = sweep(*grid)
    told = finish(through_slurm.slurm(detach="true", array_parallelism=2))
    assert "6 point(s): 6 submitted" in told
    rows = through_slurm.status()
    assert len(rows) == 6
    (array,) = {row["job"].partition("_")[0] for row in rows.values()}
    assert sorted(row["job"] for row in rows.values()) == [f"{array}_{index}" for index in range(6)]
    assert f"scancel {array}" in told
    assert {row["state"] for row in rows.values()} <= {"queued", "running"}
    assert [row["state"] for row in rows.values()].count("queued") >= 4
    seen = until(lambda: [row for row in through_slurm.status().values() if row["state"] == "running"], "a job")
    assert all(row["node"] in ("dgr1", "dgr2") for row in seen)

    waited = finish(through_slurm.slurm())
    assert "6 in the queue already" in waited
    assert "micro (untouched)" in waited, "the table comes at the end"
    assert {row["state"] for row in through_slurm.status().values()} == {"finished"}
    local = sweep(*grid)
    local.outputs, local.environment["DGR_OUTPUTS"] = tmp_path / "local", str(tmp_path / "local")
    local.local()
    assert through_slurm.results() == local.results()
    assert len(local.folders) == 6

    again = finish(through_slurm.slurm())
    assert "6 point(s): 6 finished before" in again
    assert not squeue([os.getuid()])


def warned(point):
    subprocess.run(["scancel", "--signal=USR2", point.job], check=True)


def requeued(point):
    subprocess.run(["scontrol", "requeue", point.job], check=True)


def killed(point):
    os.kill(json.loads((point.folder / "status.json").read_text())["pid"], signal.SIGKILL)


def cancelled(point):
    subprocess.run(["scancel", point.job], check=True)


@pytest.mark.parametrize("fault", [warned, requeued])
def test_a_requeued_point_continues_and_the_command_goes_on_waiting(fault, point, undisturbed):
    command = point.slurm()
    point.trained(8)
    fault(point)
    until(lambda: point.status()[point.folder.name]["state"] == "queued", "the job is queued again")
    text = finish(command)
    assert "micro (untouched)" in text
    assert point.results() == undisturbed.results()
    assert "continuing after step" in (point.folder / "run.log").read_text()


@pytest.mark.parametrize("fault", [killed, cancelled])
def test_a_point_whose_job_dies_is_named_and_continues_when_submitted_again(fault, point, undisturbed):
    command = point.slurm()
    point.trained(8)
    job = point.job
    fault(point)
    text = finish(command, status=1)
    assert f"its job {job} is over without a result" in text
    assert point.status()[point.folder.name]["state"] in ("gone", "interrupted")
    finish(point.slurm())
    assert point.job != job
    assert point.results() == undisturbed.results()


def kill_node(cluster, node, job):
    """The node's daemon, the job's steps and all below them, as if at once: none may tell that another one is gone."""
    cluster("node-kill", node)
    steps = [
        process
        for process in psutil.process_iter(["name", "cmdline"])
        if process.info["name"].startswith("slurmstepd") and f"[{job}." in " ".join(process.info["cmdline"])
    ]
    for process in steps:
        process.suspend()
    for process in [*(below for step in steps for below in step.children(recursive=True)), *steps]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def test_a_node_that_dies_costs_no_more_than_its_last_checkpoint(point, undisturbed, cluster):
    command = point.slurm()
    point.trained(8)
    node = point.status()[point.folder.name]["node"]
    try:
        kill_node(cluster, node, point.job)
        text = finish(command)
    finally:
        cluster("node-up", node)
    assert "micro (untouched)" in text
    assert point.results() == undisturbed.results()


def test_one_point_trains_on_two_nodes(point, undisturbed):
    point.overrides.append("trainer=ddp")
    finish(point.slurm(nodes=2))
    ours, theirs = (json.loads((one.folder / "train.json").read_text()) for one in (point, undisturbed))
    assert ours["processes"] == 2, ours
    losses = [[row[1] for row in record["loss"]] for record in (ours, theirs)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


def test_any_command_is_one_job_that_others_can_depend_on(cluster, tmp_path):
    def submit(*arguments):
        script = [PROJECT / "launch" / "slurm.sh", f"--output={tmp_path}/log", *arguments]
        number = subprocess.run(script, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        assert number.isdigit()
        return number

    write = "import os, sys; open(sys.argv[1], 'a').write(f\"{os.environ['SLURM_CPUS_PER_TASK']} {sys.argv[2]}\\n\")"
    told = str(tmp_path / "told")
    first = submit("--cpus-per-task=2", "--", sys.executable, "-c", write, told, "the first one's; $HOME")
    second = submit(
        f"--dependency=afterok:{first}", "--cpus-per-task=1", "--", sys.executable, "-c", write, told, "2nd"
    )
    until(lambda: second not in squeue([os.getuid()]), "the second job")
    assert (tmp_path / "told").read_text() == "2 the first one's; $HOME\n1 2nd\n"
