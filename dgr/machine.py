"""What this machine has, asked of the file system: the controlling process never touches CUDA."""

import os
from collections.abc import Mapping
from pathlib import Path

NVIDIA = Path("/proc/driver/nvidia")
DEVICES = Path("/dev")


def gpus() -> list[str]:
    """GPUs that a child process may use, as CUDA_VISIBLE_DEVICES names them."""
    devices = list(DEVICES.glob("nvidia[0-9]*"))  # a sandbox may show these and not the driver
    if not devices and not (NVIDIA / "version").exists():
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [device.strip() for device in visible.split(",") if device.strip() not in ("", "-1")]
    number = len(list((NVIDIA / "gpus").glob("*"))) or len(devices) or 1  # some containers show the driver only
    return [str(index) for index in range(number)]


def gpu_count() -> int:
    """How many GPUs a child process may use."""
    return len(gpus())


def has_gpu() -> bool:
    return gpu_count() > 0


def cpu_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def slurm_job(environment: Mapping[str, str] = os.environ) -> str | None:
    """The SLURM job that this process belongs to, as squeue writes it: `12`, or `12_3` in an array."""
    if "SLURM_ARRAY_JOB_ID" in environment:
        return f"{environment['SLURM_ARRAY_JOB_ID']}_{environment['SLURM_ARRAY_TASK_ID']}"
    return environment.get("SLURM_JOB_ID")
