"""The columns of the table, and a cell of it: a number with its spread and its 95 % interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dgr.compare.grouping import GAP, TAX
from dgr.compare.runs import Metrics, Run

CONFIDENCE = 0.95
BASE = "base/"  # before the keys of the untouched target


@dataclass(frozen=True)
class Column:
    """`scale` takes the metric to the unit that is shown; `rate` says that it lies between 0 and 1."""

    header: str
    key: str
    scale: float = 1.0
    decimals: int = 1
    rate: bool = False


@dataclass(frozen=True)
class Cell:
    """A number in the column's unit. `spread` is its standard error, over several seeds their standard deviation; None
    where there is none. `n` counts what was averaged: items or samples, over several seeds the seeds."""

    value: float
    spread: float | None
    low: float | None
    high: float | None
    n: int | None

    def text(self, decimals: int, interval: bool = False) -> str:
        error = "" if self.spread is None else f" ± {self.spread:.{decimals}f}"
        between = f" [{self.low:.{decimals}f}, {self.high:.{decimals}f}]" if interval and self.low is not None else ""
        return f"{self.value:.{decimals}f}{error}{between}"


def columns(runs: Sequence[Run]) -> list[Column]:
    """One harmful column per safety benchmark that the runs have."""
    keys = dict.fromkeys(key for run in runs for key in run.metrics if key.startswith("safety/"))
    harmful = [key for key in keys if key.count("/") == 2 and key.endswith("/harmful_rate")]
    return [
        rate("reasoning\naccuracy %", "reasoning/accuracy"),
        Column("tax\npoints", TAX),
        *(rate(f"{_words(key.split('/')[1])} %", key) for key in harmful),
        rate("over-\nrefusal %", "over_refusal/rate"),
        Column("gap\nnats/token", GAP, decimals=2),
        rate("fallback %", "refine/fallback_rate"),
    ]


def rate(header: str, key: str) -> Column:
    return Column(header, key, 100.0, rate=True)


def _words(benchmark: str) -> str:
    kind, _, rest = benchmark.partition("_")
    return f"{kind}\n{rest.replace('_', ' ')}" if rest else benchmark


def cell(runs: Sequence[Metrics], column: Column, prefix: str = "") -> Cell | None:
    """Over runs that differ in their seed only; None where no run has the number.

    One run: the Wilson interval of a rate, at the effective sample size that its standard error tells (so that clusters
    and averages over benchmarks count), else the normal one. Several: the t interval over seeds, or the interval over
    items where that is wider, for all seeds share the items.
    """
    key = prefix + column.key
    having = [run for run in runs if key in run]
    if not having:
        return None
    value = math.fsum(run[key] for run in having) / len(having)
    errors = [run[f"{key}/stderr"] for run in having if f"{key}/stderr" in run]
    error = math.fsum(errors) / len(errors) if errors else None
    low, high = _over_items(value, error, having[0].get(f"{key}/n"), column.rate)
    spread, n = error, having[0].get(f"{key}/n")
    if len(having) > 1:
        spread, n = _deviation([run[key] for run in having]), len(having)
        low, high = _wider(low, high, value, spread, len(having), column.rate)
    scaled = [None if number is None else number * column.scale for number in (spread, low, high)]
    return Cell(value * column.scale, *scaled, n)


def _deviation(values: Sequence[float]) -> float:
    import numpy as np

    return float(np.std(values, ddof=1))


def _over_items(value: float, error: float | None, n: int | None, is_rate: bool) -> tuple[float | None, float | None]:
    from scipy.stats import norm

    if error is None:
        return None, None
    if not is_rate:
        return tuple(map(float, norm.interval(CONFIDENCE, value, error))) if error else (value, value)
    from statsmodels.stats.proportion import proportion_confint

    varied = 0 < value < 1 and error > 0
    effective = value * (1 - value) / error**2 if varied else n
    if not effective:
        return None, None
    low, high = proportion_confint(value * effective, effective, 1 - CONFIDENCE, method="wilson")
    return float(low), float(high)


def _wider(
    low: float | None, high: float | None, value: float, deviation: float, seeds: int, is_rate: bool
) -> tuple[float, float]:
    from scipy.stats import t

    half = float(t.ppf((1 + CONFIDENCE) / 2, seeds - 1)) * deviation / math.sqrt(seeds)
    left, right = (max(value - half, 0.0), min(value + half, 1.0)) if is_rate else (value - half, value + half)
    return (left, right) if low is None else (min(left, low), max(right, high))
