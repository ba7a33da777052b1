"""Points that differ in their seed only, as one; and whether the gap goes with the tax over such groups."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from dgr.component import result_settings
from dgr.naming import COMPONENTS

Settings = Mapping[str, Any]
GAP, TAX = "gap/nll_per_token", "tax/reasoning"


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation, its two-sided p-value and the number of pairs."""

    rho: float
    p: float
    n: int

    def __str__(self) -> str:
        return f"Spearman's rho = {self.rho:.2f}, p = {self.p:.2g}, n = {self.n}"


def settings(folder: Path) -> dict[str, Any]:
    """A run's settings by dotted key, without its seed and without what does not change a result."""
    cfg = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
    return dict(_flat({name: result_settings(cfg[name], by_content=False) for name in (*COMPONENTS, "n_samples")}))


def over_seeds(runs: Mapping[Path, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """By name of each group, the mean of every metric over its runs; `/stderr` is their standard deviation, `/n` their
    number. A group's name holds the settings in which it differs from the others with the same model, data and arm.

    The untouched target's numbers are those of the first run.
    """
    groups: dict[tuple, list[Path]] = defaultdict(list)
    known = {folder: settings(folder) for folder in runs}
    for folder, found in known.items():
        groups[tuple(sorted((key, repr(value)) for key, value in found.items()))].append(folder)
    labels = _labels([known[folders[0]] for folders in groups.values()])
    ordered = sorted(zip(labels, groups.values(), strict=True), key=lambda pair: pair[0].order)
    return {label.name: _mean([runs[folder] for folder in folders]) for label, folders in ordered}


def rank_correlation(groups: Sequence[Mapping[str, float]], first: str = GAP, second: str = TAX) -> Correlation | None:
    """Of two metrics over the groups that have both; None below three, or where one of them never varies."""
    from scipy.stats import spearmanr

    pairs = [(group[first], group[second]) for group in groups if first in group and second in group]
    if len(pairs) < 3 or any(len(set(column)) == 1 for column in zip(*pairs, strict=True)):
        return None
    found = spearmanr(*zip(*pairs, strict=True))
    return Correlation(float(found.statistic), float(found.pvalue), len(pairs))


def _flat(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(node, dict):
        yield key, node
        return
    for name, value in node.items():
        yield from _flat(value, f"{key}.{name}" if key else str(name))


def _head(found: Settings) -> str:
    parts = [str(found.get(f"{group}.name")) for group in ("model", "data", "refine")]
    return "-".join([*parts, f"n{found['n_samples']}"])


@dataclass(frozen=True)
class _Label:
    """Model, data, arm and n, then the settings that tell a group from others of the same."""

    head: str
    told_apart: Mapping[str, Any]

    @property
    def name(self) -> str:
        return " ".join([self.head, *(f"{key.partition('.')[2]}={value}" for key, value in self.told_apart.items())])

    @property
    def order(self) -> tuple:
        """Numbers by size, before everything else."""
        values = self.told_apart.values()
        return self.head, [(0, value, "") if isinstance(value, int | float) else (1, 0, str(value)) for value in values]


def _labels(groups: Sequence[Settings]) -> list[_Label]:
    """Only keys of a component's own level tell groups apart: the rewriter's name does, not its path."""
    alike: dict[str, list[Settings]] = defaultdict(list)
    for found in groups:
        alike[_head(found)].append(found)
    labels = []
    for found in groups:
        others = alike[_head(found)]
        keys = [key for key in found if key.count(".") == 1 and len({repr(other.get(key)) for other in others}) > 1]
        labels.append(_Label(_head(found), {key: found[key] for key in keys}))
    return labels


def _mean(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {key: value for key, value in runs[0].items() if key.startswith("base/")}
    for key in runs[0]:
        values = [run[key] for run in runs if run.get(key) is not None]
        if key.startswith("base/") or key.endswith(("/n", "/stderr")) or not values:
            continue
        found |= {key: float(np.mean(values)), f"{key}/n": len(values)}
        if len(values) > 1:
            found[f"{key}/stderr"] = float(np.std(values, ddof=1))
    return found
