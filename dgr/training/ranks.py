"""The processes of one training: which one this is, and what all of them have to agree on. One alone needs nothing."""

import os
from typing import TypeVar

import torch.distributed as dist

Value = TypeVar("Value")


def together() -> bool:
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    return dist.get_rank() if together() else 0


def is_first() -> bool:
    """Writes files, shows progress."""
    return rank() == 0


def barrier() -> None:
    if together():
        dist.barrier()


def agreed(value: Value) -> Value:
    """What the first process has."""
    box = [value]
    if together():
        dist.broadcast_object_list(box, src=0)
    return box[0]


def highest(value: int) -> int:
    """The highest of all processes' values."""
    values = [value]
    if together():
        values = [0] * dist.get_world_size()
        dist.all_gather_object(values, value)
    return max(values)


def leave() -> None:
    """Part from the others, when all are done."""
    if together():
        dist.barrier()
        dist.destroy_process_group()


def world_size() -> int:
    """Processes of the training that torchrun started this one for."""
    return int(os.environ.get("WORLD_SIZE", "1"))
