"""Points that differ in their seed only, as one; and whether the gap goes with the tax over such groups."""

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dgr.compare.runs import Metrics, Run, Settings

GAP, TAX = "gap/nll_per_token", "tax/reasoning"


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation, its two-sided p-value, the number of pairs, and a bootstrap interval over pairs."""

    rho: float
    p: float
    n: int
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        interval = "" if self.low is None else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"Spearman's rho = {self.rho:.2f}{interval}, p = {self.p:.2g}, n = {self.n}"


@dataclass(frozen=True, eq=False)
class Group:
    """Finished runs that differ in their seed only. The name holds the settings in which the group differs from the
    others with the same model, data and arm."""

    name: str
    runs: tuple[Run, ...]

    @property
    def first(self) -> Run:
        return self.runs[0]

    @property
    def arm(self) -> str:
        """The refinement strategy with what the name adds."""
        return " ".join([self.first.named("refine"), *self.name.split(" ")[1:]])

    @property
    def world(self) -> str:
        return f"{self.first.named('model')} / {self.first.named('data')}"

    @cached_property
    def metrics(self) -> Metrics:
        """The mean of every metric; `/stderr` is the standard deviation over seeds, `/n` their number. The untouched
        target's numbers are those of the first run."""
        return _mean([run.metrics for run in self.runs])


def over_seeds(runs: Sequence[Run]) -> list[Group]:
    """The groups of finished runs, by name, numbers in their order."""
    groups: dict[tuple, list[Run]] = defaultdict(list)
    for run in runs:
        groups[tuple(sorted((key, repr(value)) for key, value in run.settings.items()))].append(run)
    members = [tuple(sorted(group, key=lambda run: run.seed)) for group in groups.values()]
    labels = _labels([group[0].settings for group in members])
    ordered = sorted(zip(labels, members, strict=True), key=lambda pair: pair[0].order)
    return [Group(label.name, group) for label, group in ordered]


def arms(runs: Sequence[Run]) -> dict[Run, str]:
    """Of every run its strategy, with the settings that tell it from runs of the same model, data and strategy."""
    alike: dict[tuple, list[Run]] = defaultdict(list)
    for run in runs:
        alike[tuple(run.named(group) for group in ("model", "data", "refine"))].append(run)
    found = {}
    for group in alike.values():
        keys = _telling([run.settings for run in group])
        for run in group:
            told = [f"{key.partition('.')[2]}={run.settings[key]}" for key in keys if run.settings.get(key) is not None]
            found[run] = " ".join([run.named("refine"), *told])
    return found


def rank_correlation(groups: Sequence[Metrics], first: str = GAP, second: str = TAX) -> Correlation | None:
    """Of two metrics over the groups that have both; None below three, or where one of them never varies.

    The interval is the percentile bootstrap's over groups, from five groups on; resamples in which one of the two never
    varies are left out.
    """
    from scipy.stats import DegenerateDataWarning, bootstrap, spearmanr

    pairs = [(group[first], group[second]) for group in groups if first in group and second in group]
    if len(pairs) < 3 or any(len(set(column)) == 1 for column in zip(*pairs, strict=True)):
        return None
    columns = [np.array(column) for column in zip(*pairs, strict=True)]
    found = spearmanr(*columns)
    plain = Correlation(float(found.statistic), float(found.pvalue), len(pairs))
    if len(pairs) < 5:
        return plain

    def rho(left: np.ndarray, right: np.ndarray) -> float:
        varies = np.ptp(left) > 0 and np.ptp(right) > 0
        return float(spearmanr(left, right).statistic) if varies else float("nan")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # of the interval that scipy makes with the nans
        drawn = bootstrap(columns, rho, paired=True, vectorized=False, n_resamples=999, method="percentile", rng=0)
    low, high = np.nanpercentile(drawn.bootstrap_distribution, [2.5, 97.5])
    return Correlation(plain.rho, plain.p, plain.n, float(low), float(high))


def _head(found: Settings) -> str:
    parts = [str(found.get(f"{group}.name")) for group in ("model", "data", "refine")]
    return "-".join([*parts, f"n{found['n_samples']}"])


@dataclass(frozen=True)
class _Label:
    """Model, data, arm and n, then the settings that tell a group from others of the same."""

    settings: Settings
    told_apart: Mapping[str, Any]

    @property
    def name(self) -> str:
        added = (f"{key.partition('.')[2]}={value}" for key, value in self.told_apart.items())
        return " ".join([_head(self.settings), *added])

    @property
    def order(self) -> tuple:
        """Numbers by size, before everything else."""
        parts = [str(self.settings.get(f"{group}.name")) for group in ("model", "data", "refine")]
        values = self.told_apart.values()
        ranked = [(0, value, "") if isinstance(value, int | float) else (1, 0, str(value)) for value in values]
        return (*parts, self.settings["n_samples"], ranked)


def _labels(groups: Sequence[Settings]) -> list[_Label]:
    """Only keys of a component's own level tell groups apart: the rewriter's name does, not its path."""
    alike: dict[str, list[Settings]] = defaultdict(list)
    for found in groups:
        alike[_head(found)].append(found)
    keys = {head: _telling(others) for head, others in alike.items()}
    return [_Label(found, {key: found[key] for key in keys[_head(found)] if key in found}) for found in groups]


def _telling(groups: Sequence[Settings]) -> list[str]:
    every = dict.fromkeys(key for found in groups for key in found if key.count(".") == 1)
    return [key for key in every if len({repr(found.get(key)) for found in groups}) > 1]


def _mean(runs: Sequence[Metrics]) -> dict[str, float]:
    found: dict[str, float] = {key: value for key, value in runs[0].items() if key.startswith("base/")}
    for key in runs[0]:
        if key.startswith("base/") or key.endswith(("/n", "/stderr")):
            continue
        values = [run[key] for run in runs if key in run]
        found |= {key: float(np.mean(values)), f"{key}/n": len(values)}
        if len(values) > 1:
            found[f"{key}/stderr"] = float(np.std(values, ddof=1))
    return found
