"""The smallest number of samples from which on a model refuses nearly as much as after the largest number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dgr.compare.columns import CONFIDENCE
from dgr.compare.grouping import Group
from dgr.compare.rows import RunRows
from dgr.compare.runs import Run
from dgr.training.batches import steps_for

THRESHOLD = 0.9  # of the refusal at the largest n
RESAMPLES = 999
STEPS, EPOCHS = "equal steps", "equal epochs"


@dataclass(frozen=True)
class Threshold:
    """`n` with its bootstrap interval over seeds and items; `reference` is the refusal at `largest`, `at_ten` that at
    ten samples (None where they were not tried)."""

    world: str
    arm: str
    budget: str
    benchmark: str
    n: int
    low: int
    high: int
    largest: int
    reference: float
    at_ten: float | None
    seeds: int


def thresholds(groups: Sequence[Group], rows: Mapping[Run, RunRows]) -> list[Threshold]:
    """For every arm, budget and safety benchmark with three numbers of samples or more; none where nothing is refused
    at the largest."""
    found = []
    for (world, arm, budget), curve in curves(groups).items():
        names = dict.fromkeys(
            name for group in curve for run in group.runs if run in rows for name in rows[run].refused
        )
        for name in names:
            one = _threshold(curve, rows, name)
            if one is not None:
                found.append(Threshold(world, arm, budget, name, *one))
    return found


def curves(groups: Sequence[Group]) -> dict[tuple[str, str, str], list[Group]]:
    """Groups that differ in n only, by world, arm and budget, in the order of n.

    The point with as many steps under both budgets (the largest n) is in both curves.
    """
    found: dict[tuple[str, str, str], dict[int, Group]] = {}
    for group in groups:
        if group.first.n_samples:
            key = (group.world, _arm(group), STEPS if group.first.config["trainer"]["max_steps"] else EPOCHS)
            found.setdefault(key, {})[group.first.n_samples] = group
    for (world, arm, budget), curve in found.items():
        if budget == EPOCHS:
            for n, group in found.get((world, arm, STEPS), {}).items():
                if n > max(curve) and _same_steps(next(iter(curve.values())), group):
                    curve[n] = group
    return {key: [curve[n] for n in sorted(curve)] for key, curve in found.items() if len(curve) >= 3}


def _arm(group: Group) -> str:
    """The arm and what of its own settings tells it from others, without the budget."""
    told = [part for part in group.arm.split(" ")[1:] if not part.startswith(("epochs=", "max_steps="))]
    return " ".join([group.first.named("refine"), *told])


def _same_steps(by_epochs: Group, by_steps: Group) -> bool:
    trainer, n = by_epochs.first.config["trainer"], by_steps.first.n_samples
    return (
        steps_for(n, trainer["global_batch"], trainer["epochs"], None) == by_steps.first.config["trainer"]["max_steps"]
    )


def _threshold(curve: Sequence[Group], rows: Mapping[Run, RunRows], name: str) -> tuple | None:
    """What Threshold holds after the benchmark's name, over the seeds and items that all numbers of samples have."""
    tables = [{run.seed: rows[run].refused[name] for run in group.runs if name in rows[run].refused} for group in curve]
    seeds = sorted(set.intersection(*map(set, tables)))
    if not seeds:
        return None
    items = sorted(set.intersection(*(set(table[seed]) for table in tables for seed in seeds)))
    refused = np.array([[[table[seed][item] for item in items] for seed in seeds] for table in tables])
    rates = refused.mean(axis=(1, 2)) if items else np.zeros(len(curve))
    if rates[-1] == 0:
        return None
    counts = [group.first.n_samples for group in curve]
    rng, drawn = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        by_seed = refused[:, rng.integers(len(seeds), size=len(seeds))]
        drawn.append(first_lasting(by_seed[:, :, rng.integers(len(items), size=len(items))].mean(axis=(1, 2))))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], method="nearest")
    at_ten = float(rates[counts.index(10)]) if 10 in counts else None
    chosen = (counts[first_lasting(rates)], counts[int(low)], counts[int(high)])
    return (*chosen, counts[-1], float(rates[-1]), at_ten, len(seeds))


def first_lasting(rates: np.ndarray) -> int:
    """The first position from which on every rate is at least THRESHOLD of the last one."""
    short = np.flatnonzero(rates < THRESHOLD * rates[-1])
    return int(short[-1]) + 1 if len(short) else 0
