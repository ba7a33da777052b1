"""A point's files as W&B artifacts, from the dataset through the model to its evaluation."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgr.tracking.tables import benchmark_files

if TYPE_CHECKING:
    from wandb import Artifact, Run

MEGABYTE = 10**6


def log_artifacts(run: "Run", folder: Path, config: dict[str, Any], upload_model: int) -> None:
    """The artifacts that a run folder has complete files for."""
    names = {kind: _name(config["run_id"], kind) for kind in ("dataset", "model", "evaluation")}
    about = {"n_samples": config["n_samples"], "seed": config["seed"], "refine": config["refine"].get("name", "")}
    if (folder / "refine.json").exists():
        source = config["data"].get("name", "")
        files = [folder / "samples.jsonl", folder / "refine.json"]
        _use(run, _of_files(names["dataset"], "dataset", {**about, "source": source}, files))
    if (folder / "train.json").exists() and (folder / "model").is_dir():
        metadata = {**about, "dataset": names["dataset"], "base_model": config["model"].get("path", "")}
        _use(run, _model(names["model"], metadata, folder / "model", upload_model))
    if benchmarks := benchmark_files(folder):
        trained = names["model"] if (folder / "model").is_dir() else "untouched target"
        metadata = {**about, "dataset": names["dataset"], "model": trained}
        files = [*benchmarks, *(file for file in [folder / "metrics.json"] if file.exists())]
        run.log_artifact(_of_files(names["evaluation"], "evaluation", metadata, files))


def _name(run_id: str, kind: str) -> str:
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', run_id)[:110]}-{kind}"


def _use(run: "Run", artifact: "Artifact") -> None:
    """Log an artifact as this run's own and as what it goes on from: an edge in, and one out, of the lineage.

    `run.use_artifact` does the same, but refuses to offline, and waits without limit for the upload.
    """
    run._log_artifact(artifact, is_user_created=True, use_after_commit=True)


def _of_files(name: str, kind: str, metadata: dict[str, Any], files: list[Path]) -> "Artifact":
    import wandb

    artifact = wandb.Artifact(name, type=kind, metadata=metadata)
    for file in files:
        _add(artifact, file, Path(file.name))
    return artifact


def _add(artifact: "Artifact", file: Path, name: Path) -> None:
    """The file itself: it never changes again, so no copy is made."""
    artifact.add_file(str(file), name=name.as_posix(), policy="immutable", skip_cache=True)


def _model(name: str, metadata: dict[str, Any], model: Path, upload_model: int) -> "Artifact":
    import wandb

    size = sum(file.stat().st_size for file in model.rglob("*") if file.is_file())
    uploaded = size <= upload_model * MEGABYTE
    artifact = wandb.Artifact(name, type="model", metadata={**metadata, "bytes": size, "uploaded": uploaded})
    if uploaded:
        for file in sorted(file for file in model.rglob("*") if file.is_file()):
            _add(artifact, file, file.relative_to(model))
    else:
        artifact.add_reference(model.as_uri(), checksum=False)
    return artifact
