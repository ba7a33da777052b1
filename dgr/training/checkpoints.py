"""Checkpoints in the middle of training: a manifest, written last, tells a complete one from a torn one."""

import logging
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from dgr.files import read_json, write_json

log = logging.getLogger(__name__)

MANIFEST = "complete.json"
WHOLE = "whole"


def flush(folder: Path) -> dict[str, int]:
    """Make every file of the folder durable; sizes in bytes by name."""
    sizes = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        sizes[path.relative_to(folder).as_posix()] = path.stat().st_size
    return sizes


@dataclass(frozen=True)
class Seal:
    """What a checkpoint belongs to: `fingerprint` of the training, and who can read it.

    `layout` is WHOLE where weights and optimizer are stored whole, for one process or any number of them; else it names
    the strategy and the number of processes among which they are divided.
    """

    fingerprint: str
    layout: str


def layout(strategy: str, processes: int) -> str:
    return f"trainer={strategy} with {processes} processes" if strategy.startswith("zero") else WHOLE


def seal(checkpoint: Path, mark: Seal) -> None:
    """Mark a checkpoint as complete, and as belonging to this training."""
    write_json(checkpoint / MANIFEST, {**asdict(mark), "files": flush(checkpoint)})


def latest(folder: Path, mark: Seal) -> Path | None:
    """The newest complete checkpoint of this training; every useless one is deleted first.

    Deleted, because Trainer counts whatever lies there against `save_total_limit`. ValueError where it is of use, but
    divided among other processes: it is left alone.
    """
    usable = []
    for checkpoint in folder.glob("checkpoint-*"):
        flaw = _flaw(checkpoint, mark.fingerprint)
        if flaw is None:
            usable.append(checkpoint)
        else:
            log.warning("%s is not used: %s", checkpoint, flaw)
            shutil.rmtree(checkpoint)
    newest = max(usable, key=step_of, default=None)
    written = read_json(newest / MANIFEST)["layout"] if newest else mark.layout
    if written != mark.layout:
        how = _name(written)
        raise ValueError(
            f"{newest} was written by {how}, this is {_name(mark.layout)}; continue it with {how}, "
            f"or delete {folder} to begin again"
        )
    return newest


def remove_unsealed(folder: Path) -> None:
    """Delete what an error left half-written; on a full disk, whatever comes next needs the space."""
    for checkpoint in folder.glob("checkpoint-*"):
        if not (checkpoint / MANIFEST).exists():
            shutil.rmtree(checkpoint, ignore_errors=True)


def step_of(checkpoint: Path | None) -> int:
    return int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0


def _name(layout: str) -> str:
    return "trainer=single or trainer=ddp" if layout == WHOLE else layout


def _flaw(checkpoint: Path, fingerprint: str) -> str | None:
    if not (checkpoint / MANIFEST).exists():
        return "writing it was interrupted"
    try:
        manifest = read_json(checkpoint / MANIFEST)
    except ValueError:
        return "its manifest is damaged"
    if manifest["fingerprint"] != fingerprint:
        return "it belongs to a training with other samples or settings"
    for name, size in manifest["files"].items():
        path = checkpoint / name
        if not path.exists() or path.stat().st_size != size:
            return f"{name} is missing or cut short"
    return None
