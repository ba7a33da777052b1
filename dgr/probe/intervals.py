"""Intervals: resampled topics, Wilson's over items, and over draws of a random direction."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dgr.sample import seed_for

RESAMPLES = 1000
CONFIDENCE = 0.95
DIGITS = 6  # of every number that is written


def resamples(topics: Sequence[str], seed: int, *names: str) -> np.ndarray:
    """How often each item is drawn in each bootstrap sample, shape (RESAMPLES, items): whole topics are drawn."""
    rng = np.random.default_rng(seed_for(seed, "bootstrap", *names))
    _, cluster = np.unique(np.array(topics), return_inverse=True)
    count = int(cluster.max()) + 1
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    return drawn[:, cluster]


def entry(value: float, drawn: np.ndarray, n: int, topics: int) -> dict[str, Any]:
    """A number with its percentile interval; resamples without a value (nan) are left out."""
    low, high = np.nanpercentile(drawn, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return {"value": rounded(value), "low": rounded(low), "high": rounded(high), "n": n, "topics": topics}


def auroc(harmful: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The area under the ROC curve in each row of weights: P(harmful scores higher), ties count half."""
    one, other = scores[harmful], scores[~harmful]
    wins = (one[:, None] > other) + 0.5 * (one[:, None] == other)
    left, right = weights[:, harmful].astype(float), weights[:, ~harmful].astype(float)
    pairs = left.sum(1) * right.sum(1)
    with np.errstate(invalid="ignore"):
        return ((left @ wins) * right).sum(1) / np.where(pairs == 0, np.nan, pairs)


def rate(hits: Sequence[bool]) -> dict[str, Any]:
    """A share of items with Wilson's interval."""
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(sum(hits), len(hits), 1 - CONFIDENCE, method="wilson")
    return {"value": rounded(sum(hits) / len(hits)), "low": rounded(low), "high": rounded(high), "n": len(hits)}


def over_draws(rates: Sequence[dict[str, Any]], highest: float | None = 1.0) -> dict[str, Any]:
    """The mean over draws or seeds; the t interval over them, or the widest one of a single draw where that is wider.

    It stays between 0 and `highest`, where there is one.
    """
    from scipy.stats import t

    values = [one["value"] for one in rates]
    mean, count = float(np.mean(values)), len(values)
    half = float(t.ppf((1 + CONFIDENCE) / 2, count - 1) * np.std(values, ddof=1) / count**0.5) if count > 1 else 0.0
    low = min(mean - half, mean - max(one["value"] - one["low"] for one in rates))
    high = max(mean + half, mean + max(one["high"] - one["value"] for one in rates))
    if highest is not None:
        low, high = max(low, 0.0), min(high, highest)
    found = {"value": rounded(mean), "low": rounded(low), "high": rounded(high), "n": rates[0]["n"]}
    return {**found, "draws": values}


def rounded(value: float) -> float:
    return round(float(value), DIGITS) + 0.0  # no -0.0
