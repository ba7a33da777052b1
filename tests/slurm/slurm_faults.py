"""What a cluster does to a point, at random moments: `python tests/slurm/slurm_faults.py --trials 5` prints a table.

It starts a SLURM of its own (as root); the undisturbed point is computed without one. `test_slurm.py` tests the same
faults, once each and in the middle of training.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # commands
sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

from commands import POINT, Command, until
from fault_trials import Faults, Trial, run_folders, table, workplace
from test_slurm import kill_node

from dgr.cluster.queue import queued

CLUSTER = Path(__file__).with_name("cluster.sh")
KEYS = ("gpus_per_node=0", "cpus_per_task=1", "timeout_min=20")
LAUNCHER = ("hydra/launcher=slurm", *(f"hydra.launcher.{one}" for one in KEYS))
WORKED_ON = ("refine", "gap", "train", "evaluate")


def call(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def at_work(trial: Trial) -> tuple[Command, str, int]:
    """Submit the point and wait for a random moment of a stage: the waiting command, the job, the training step."""
    stage, share = trial.random.choice(WORKED_ON), trial.random.random()
    while True:
        command = trial.start(*LAUNCHER)
        if until(lambda: trial.stage() == stage, command):
            moment = share * trial.undisturbed.seconds[stage]
            command.process.join(moment)
            (folder,) = run_folders(trial.outputs)
            if not (folder / "metrics.json").exists():
                trial.told_moment = f"{moment:.2f} s into {stage}"
                return command, queued(folder)["job"], trial.step()
        command.status()
        share /= 2
        trial.again()


def goes_on(fault: Callable[[str], None], trial: Trial) -> None:
    """SLURM queues the job again by itself; the command that waits sees it finish."""
    command, job, step = at_work(trial)
    trial.injected(trial.told_moment)
    fault(job)
    assert command.status() == 0, command.text
    trial.lost_steps(step)


def submitted_again(fault: Callable[[str, Trial], None], trial: Trial) -> None:
    """The job is lost; the command that waits says so, and the same command submits the point again."""
    command, job, step = at_work(trial)
    trial.injected(trial.told_moment)
    fault(job, trial)
    if command.status():  # else it had finished at that very moment
        command = trial.start(*LAUNCHER)
        assert command.status() == 0, command.text
    trial.lost_steps(step)


def warn(job: str) -> None:
    call("scancel", "--signal=USR2", job)


def requeue(job: str) -> None:
    call("scontrol", "requeue", job)


def preempt(job: str) -> None:
    """A job of a partition that goes before takes all nodes for a moment."""
    call("sbatch", "--partition=high", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap", "sleep 1")


def node_dies(job: str) -> None:
    """Its slurmd, the step and the point are gone at once; slurmctld finds out, and the node comes back."""
    listed = subprocess.run(["squeue", "-h", "-j", job, "-o", "%N"], capture_output=True, text=True, check=True)
    node = listed.stdout.strip()
    kill_node(partial(call, str(CLUSTER)), node, job)
    call("sleep", "20")  # SlurmdTimeout is 10
    call(str(CLUSTER), "node-up", node)


def cancel(job: str, trial: Trial) -> None:
    call("scancel", job)


def kill_job(job: str, trial: Trial) -> None:
    (folder,) = run_folders(trial.outputs)
    os.kill(json.loads((folder / "status.json").read_text())["pid"], signal.SIGKILL)


GRID = ("-m", *POINT)
FAULTS: Faults = {
    "warning before the time limit (SIGUSR2)": (partial(goes_on, warn), GRID),
    "preemption by a job of another partition": (partial(goes_on, preempt), GRID),
    "scontrol requeue": (partial(goes_on, requeue), GRID),
    "node dies": (partial(goes_on, node_dies), GRID),
    "scancel, submitted again": (partial(submitted_again, cancel), GRID),
    "kill -9 of the job, submitted again": (partial(submitted_again, kill_job), GRID),
}


if __name__ == "__main__":
    root = str(workplace() / "cluster")
    os.environ |= {"DGR_TEST_SLURM": root, "OMP_NUM_THREADS": "1", "SLURM_CONF": f"{root}/slurm.conf"}
    call(str(CLUSTER), "up")
    owner = os.getpid()
    atexit.register(lambda: call(str(CLUSTER), "down") if os.getpid() == owner else None)
    table(FAULTS)
