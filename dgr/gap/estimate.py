"""Ratios and means over samples with their standard errors, and what is said about lengths."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

QUANTILES = (5, 25, 50, 75, 95)  # percent


@dataclass(frozen=True)
class Estimate:
    """A number estimated from samples; `pulls` holds, for each sample, how far it pulls the number from its value.

    The standard error is sqrt(sum(pulls^2) / (n (n - 1))), for a ratio the linearised one. The sample is the unit, as
    the tokens of one sample are not independent. Estimates over the same samples are subtracted sample by sample, so
    that the error of a difference is a paired one.
    """

    value: float
    pulls: tuple[float, ...]

    def __sub__(self, other: "Estimate") -> "Estimate":
        pulls = tuple(mine - theirs for mine, theirs in zip(self.pulls, other.pulls, strict=True))
        return Estimate(self.value - other.value, pulls)

    @property
    def stderr(self) -> float:
        """NaN for a single sample."""
        n = len(self.pulls)
        return math.sqrt(math.fsum(pull**2 for pull in self.pulls) / (n * (n - 1))) if n > 1 else math.nan

    def named(self, key: str) -> dict[str, float]:
        return {key: self.value, f"{key}/n": len(self.pulls), f"{key}/stderr": self.stderr}


def ratio(tops: Sequence[float], bottoms: Sequence[float]) -> Estimate:
    """sum(tops) / sum(bottoms): long samples weigh more."""
    value, mean = math.fsum(tops) / math.fsum(bottoms), math.fsum(bottoms) / len(bottoms)
    return Estimate(value, tuple((top - value * bottom) / mean for top, bottom in zip(tops, bottoms, strict=True)))


def mean(values: Sequence[float]) -> Estimate:
    return ratio(values, [1] * len(values))


def lengths(key: str, counts: Sequence[int]) -> dict[str, float]:
    """Mean with its error, standard deviation of the samples (NaN for a single one), and quantiles."""
    import numpy as np

    found = mean(counts).named(key)
    found[f"{key}/sd"] = float(np.std(counts, ddof=1)) if len(counts) > 1 else math.nan
    quantiles = np.quantile(counts, [percent / 100 for percent in QUANTILES])
    return found | {f"{key}/q{percent:02d}": float(value) for percent, value in zip(QUANTILES, quantiles, strict=True)}
