"""The finished points of a sweep, as far as they can be probed: one target, checkpoints that are still there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgr.compare.grouping import arms
from dgr.compare.runs import Run, read_run, run_folders


@dataclass(frozen=True)
class Point:
    """A trained point; `arm` is its strategy with what tells it from others of the sweep, whatever their n.

    `checkpoint` is a folder with all weights or with an adapter.
    """

    name: str
    arm: str
    data: str
    n_samples: int
    seed: int
    checkpoint: Path


@dataclass(frozen=True)
class Sweep:
    """`configs` holds the nodes of `model` and `evaluation` that its points share."""

    points: tuple[Point, ...]
    left_out: tuple[str, ...]
    configs: dict[str, Any]


def read_sweep(folder: Path, model: str | None) -> Sweep:
    """The sweep's trained points, of the target of this name where one is given.

    ValueError where there is nothing to probe, or where it is not clear of which target.
    """
    name = folder.name
    if not folder.is_dir():
        raise ValueError(f"sweep={name}: there is no folder {folder}; run the sweep first, or leave sweep out")
    runs = [read_run(one) for one in run_folders(folder)]
    finished = [run for run in runs if run.metrics]
    if not finished:
        raise ValueError(f"sweep={name}: none of its {len(runs)} points is finished; run its command again")
    targets = sorted({run.named("model") for run in finished})
    if model is None and len(targets) > 1:
        raise ValueError(
            f"sweep={name} has points of several targets; choose one with model={' or model='.join(targets)}"
        )
    chosen = [run for run in finished if model in (None, run.named("model"))]
    if not chosen:
        raise ValueError(f"sweep={name} has no finished point of model={model}; it has {', '.join(targets)}")
    trained = [run for run in chosen if run.n_samples > 0]
    if not trained:
        raise ValueError(
            f"sweep={name}: its {len(chosen)} finished points have n_samples=0, so nothing was trained; add points "
            "with samples, or leave sweep out for the untouched target alone"
        )
    kept = [run for run in trained if _has_model(run)]
    if not kept:
        raise ValueError(
            f"sweep={name}: the model/ folders of its {len(trained)} trained points are gone; delete the points' "
            "folders and run the sweep again, or leave sweep out for the untouched target alone"
        )
    settings = {key: _shared(name, key, kept) for key in ("model", "evaluation")}
    left_out = [f"unfinished: {run.name}" for run in runs if not run.metrics]
    left_out += [f"its model/ is gone: {run.name}" for run in trained if run not in kept]
    named = arms(kept)
    ordered = sorted(kept, key=lambda run: (run.named("data"), named[run], run.n_samples, run.seed, run.name))
    points = (Point(r.name, named[r], r.named("data"), r.n_samples, r.seed, r.folder / "model") for r in ordered)
    return Sweep(tuple(points), tuple(left_out), settings)


def _shared(name: str, key: str, runs: Sequence[Run]) -> Any:
    """The node of a group that the points share; what only changes the speed of others does not matter."""
    different = list(_different(key, runs))
    if key == "model" and len(different) > 1:
        raise ValueError(
            f"sweep={name}: its points have one name of a target and {len(different)} settings of it "
            "(model.* differs); probe sweeps of one target"
        )
    return runs[0].config[key]


def _different(key: str, runs: Sequence[Run]) -> Iterator[Any]:
    seen: list[Any] = []
    for run in runs:
        node = {k: v for k, v in run.config[key].items() if k not in ("sampling", "sft", "cpu_threads")}
        if node not in seen:
            seen.append(node)
            yield node


def _has_model(run: Run) -> bool:
    return any((run.folder / "model" / name).exists() for name in ("config.json", "adapter_config.json"))
