"""How the processes of a distributed training are started: one torchrun a node, started by the controlling process."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from dgr import child
from dgr.machine import cpu_count, gpu_count

PER_TASK = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_STEP_ID", "SLURM_STEPID", "SLURM_TASK_PID")
# what a step inherits as its own default, though it was meant for the one that we are in
PER_STEP = ("SLURM_NTASKS", "SLURM_NPROCS", "SLURM_NTASKS_PER_NODE", "SLURM_TASKS_PER_NODE", "SLURM_STEP_NUM_TASKS")
PORTS = range(20_000, 30_000)


def processes_here(nproc: int | str, global_batch: int, nodes: int = 1) -> int:
    """Processes on each node: `nproc`, or for "auto" one a GPU (one on a CPU), as many as divide the batch evenly."""
    if nproc != "auto":
        return nproc
    available = max(1, gpu_count())
    return max(size for size in range(1, available + 1) if size == 1 or global_batch % (size * nodes) == 0)


def nodes_of_job(environment: Mapping[str, str]) -> int:
    return int(environment.get("SLURM_JOB_NUM_NODES") or environment.get("SLURM_NNODES") or 1)


def first_host(environment: Mapping[str, str]) -> str:
    """The first host of the SLURM job, e.g. `gpu03` of `gpu[03-06,09]`."""
    names = environment["SLURM_JOB_NODELIST"]
    done = subprocess.run(["scontrol", "show", "hostnames", names], capture_output=True, text=True, check=True)
    return done.stdout.split()[0]


def command(nproc: int, nodes: int, environment: Mapping[str, str], errors: Path, program: list[str]) -> list[str]:
    """torchrun for a program (`-m module ...` or a file); on several nodes through srun, one task a node.

    The nodes meet at the job's first host; the port follows from the job's number, so that nothing is scanned for.
    """
    torchrun = [sys.executable, "-m", "dgr.training.torchrun", str(errors)]
    ours = [f"--nproc-per-node={nproc}", "--max-restarts=0", *program]
    if nodes == 1:
        return [*torchrun, "--standalone", "--local-addr=localhost", *ours]
    job = environment["SLURM_JOB_ID"]
    port = PORTS[int(re.sub(r"\D", "", job)) % len(PORTS)]
    meeting = [f"--nnodes={nodes}", "--rdzv-backend=c10d", f"--rdzv-id={job}"]
    place = [f"--rdzv-endpoint={first_host(environment)}:{port}"]
    srun = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", "--overlap", "--kill-on-bad-exit=1"]
    cores = environment.get("SLURM_CPUS_PER_TASK")  # srun inherits them from no one
    srun += [f"--cpus-per-task={cores}"] if cores else []
    return [*srun, *torchrun, *meeting, *place, *ours]


def environment(nproc: int, nodes: int, given: Mapping[str, str]) -> dict[str, str]:
    """What the processes see: no other launcher's ranks; of SLURM what srun needs to find the job."""
    kept = child.clean(given)
    if nodes > 1:
        kept |= {k: v for k, v in given.items() if k.startswith("SLURM_") and k not in (*PER_TASK, *PER_STEP)}
    kept.setdefault("OMP_NUM_THREADS", str(max(1, cpu_count() // nproc)))
    if not gpu_count():
        kept["DS_ACCELERATOR"] = "cpu"
        if nodes == 1:
            kept.setdefault("GLOO_SOCKET_IFNAME", "lo")
    return kept


def run(nproc: int | str, global_batch: int, program: list[str], errors: Path, what: str, patience: float = 0) -> None:
    """Run a program in every process and wait; RuntimeError with what the rank that failed first left in `errors`.

    `patience`: seconds that the program has to save when a stop is asked for.
    """
    nodes = nodes_of_job(os.environ)
    here = processes_here(nproc, global_batch, nodes)
    if 0 < gpu_count() < here:
        raise ValueError(f"trainer.nproc={here}, but {gpu_count()} GPUs are here; choose auto or at most that many")
    line = command(here, nodes, os.environ, errors, program)
    ending = signal.SIGKILL if nodes == 1 else signal.SIGTERM  # srun ends its tasks, on all nodes, when it is asked to
    child.run(line, environment(here, nodes, os.environ), errors, what, ending, patience)
