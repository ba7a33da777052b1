"""What is wrong with the keys of `hydra/launcher=slurm`, before anything is submitted."""

import importlib.util
import shutil
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig

TARGET = "hydra_plugins.dgr_slurm_launcher.SlurmLauncher"
OPTIONS = "hydra.launcher.additional_parameters."
AT_LEAST = {
    **dict.fromkeys(("nodes", "cpus_per_task", "mem_gb", "timeout_min", "array_parallelism"), 1),
    **dict.fromkeys(("gpus_per_node", "signal_delay_s", "max_num_timeout"), 0),
}


def asked(overrides: list[str]) -> bool:
    """Is SLURM chosen on the command line?"""
    return "hydra/launcher=slurm" in overrides


def installed() -> bool:
    packages = ("submitit", "hydra_plugins.hydra_submitit_launcher")
    return all(importlib.util.find_spec(package) for package in packages)


def machine_problems() -> Iterator[str]:
    """What this machine lacks."""
    if not installed():
        yield "hydra/launcher=slurm needs submitit: pip install 'dgr[slurm]'"
    missing = [program for program in ("sbatch", "srun", "squeue") if not shutil.which(program)]
    if missing:
        yield (
            f"hydra/launcher=slurm: there is no {missing[0]} on this machine; start the command on a login node of the "
            "cluster, or leave hydra/launcher out to run here"
        )


def problems(launcher: DictConfig, batches: int | None) -> Iterator[str]:
    """What is wrong with the launcher's keys alone; `batches` is Hydra's `max_batch_size`."""
    for key, least in AT_LEAST.items():
        value = launcher[key]
        if value is not None and value < least:
            yield f"hydra.launcher.{key}={value}: a whole number of {least} or more is expected"
    if launcher.tasks_per_node != 1:
        yield (
            f"hydra.launcher.tasks_per_node={launcher.tasks_per_node}: leave it at 1; a point itself starts the "
            "processes of a node (trainer.nproc)"
        )
    if launcher.timeout_min >= 1 and launcher.signal_delay_s >= 60 * launcher.timeout_min:
        yield (
            f"hydra.launcher.signal_delay_s={launcher.signal_delay_s}: the warning would come before the job begins, "
            f"as its limit is {launcher.timeout_min} min; choose fewer seconds or a longer hydra.launcher.timeout_min"
        )
    if launcher.detach and batches:
        yield f"hydra.sweeper.max_batch_size={batches} with hydra.launcher.detach=true: nobody waits to submit the rest"


def problems_with(launcher: DictConfig, cfg: Any) -> Iterator[str]:
    """What does not go together with a point."""
    trainer, gpus = cfg.trainer, launcher.gpus_per_node
    if launcher.nodes > 1 and trainer.strategy == "single":
        yield f"hydra.launcher.nodes={launcher.nodes} with trainer=single: choose trainer=ddp, zero2, ..., or one node"
    if gpus and isinstance(trainer.nproc, int) and trainer.nproc > gpus:
        yield (
            f"trainer.nproc={trainer.nproc} with hydra.launcher.gpus_per_node={gpus}: one process a GPU; choose "
            "trainer.nproc=auto, or more GPUs"
        )
