"""Trackers mirror a finished point's own files; the run folder stays the record that counts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOSS_KEYS = ("train/loss", "train/learning_rate", "train/grad_norm")  # after the step, as in train.json


@dataclass(frozen=True)
class NoTracker:
    """The null tracker."""

    def record(self, folder: Path, config: dict[str, Any], losses: list[list[float]], metrics: dict[str, Any]) -> None:
        """Nothing to do."""


@dataclass(frozen=True)
class WandbOffline:
    """One offline W&B run a point: id and name = run id, group = sweep; loss curve and final metrics."""

    project: str

    def record(self, folder: Path, config: dict[str, Any], losses: list[list[float]], metrics: dict[str, Any]) -> None:
        import wandb

        run = wandb.init(
            project=self.project,
            id=config["run_id"],
            name=config["run_id"],
            group=config["sweep"],
            config=config,
            dir=folder,
            mode="offline",
            job_type="point",
            settings=wandb.Settings(silent=True, console="off"),
        )
        with run:
            for step, *values in losses:
                run.log(dict(zip(LOSS_KEYS, values, strict=True)), step=step)
            run.summary.update(metrics)
