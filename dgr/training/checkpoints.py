"""Checkpoints in the middle of training: a manifest, written last, tells a complete one from a torn one."""

import logging
import os
import shutil
from pathlib import Path

from dgr.files import read_json, write_json

log = logging.getLogger(__name__)

MANIFEST = "complete.json"


def flush(folder: Path) -> dict[str, int]:
    """Make every file of the folder durable; sizes in bytes by name."""
    sizes = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        sizes[path.relative_to(folder).as_posix()] = path.stat().st_size
    return sizes


def seal(checkpoint: Path, fingerprint: str) -> None:
    """Mark a checkpoint as complete, and as belonging to the training with this fingerprint."""
    write_json(checkpoint / MANIFEST, {"fingerprint": fingerprint, "files": flush(checkpoint)})


def latest(folder: Path, fingerprint: str) -> Path | None:
    """The newest complete checkpoint of this training; every other one is deleted first.

    Deleted, because Trainer counts whatever lies there against `save_total_limit`.
    """
    usable = []
    for checkpoint in folder.glob("checkpoint-*"):
        flaw = _flaw(checkpoint, fingerprint)
        if flaw is None:
            usable.append(checkpoint)
        else:
            log.warning("%s is not used: %s", checkpoint, flaw)
            shutil.rmtree(checkpoint)
    return max(usable, key=lambda checkpoint: int(checkpoint.name.rpartition("-")[2]), default=None)


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
