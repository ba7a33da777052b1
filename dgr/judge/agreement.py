"""How far a judge agrees with people: a confusion matrix, and rates with their 95 % intervals."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

RESAMPLES = 2000


@dataclass(frozen=True)
class Rate:
    """A rate, its n, and the ends of its 95 % interval; None where there is nothing to divide by."""

    value: float | None
    n: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Agreement:
    """People's labels and a judge's, of the same replies in the same order. "unparsable" counts as a disagreement."""

    human: Sequence[str]
    judge: Sequence[str]

    @cached_property
    def counts(self) -> Counter[tuple[str, str]]:
        """Number of replies by (person's label, judge's label)."""
        return Counter(zip(self.human, self.judge, strict=True))

    @cached_property
    def labels(self) -> list[str]:
        """Every label that occurs, people's first."""
        return [*sorted(set(self.human)), *sorted(set(self.judge) - set(self.human))]

    @property
    def accuracy(self) -> Rate:
        return _share(sum(self.counts[label, label] for label in self.labels), len(self.human))

    def precision(self, label: str) -> Rate:
        """Of what the judge calls so, the share that people call so."""
        return _share(self.counts[label, label], list(self.judge).count(label))

    def recall(self, label: str) -> Rate:
        """Of what people call so, the share that the judge calls so."""
        return _share(self.counts[label, label], list(self.human).count(label))

    @cached_property
    def kappa(self) -> Rate:
        """Cohen's kappa: agreement beyond chance, 1 is all of it; None where both use one label only.

        The interval is a percentile bootstrap over replies, with a fixed seed.
        """
        from scipy.stats import bootstrap

        codes = {label: index for index, label in enumerate(self.labels)}
        human, judge = (np.array([codes[label] for label in side]) for side in (self.human, self.judge))
        value, n = cohen_kappa(human, judge), len(human)
        if np.isnan(value) or n < 2:
            return Rate(None if np.isnan(value) else float(value), n)
        found = bootstrap(
            (human, judge), cohen_kappa, paired=True, vectorized=False, n_resamples=RESAMPLES, method="percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval  # fmt: skip
        ends = [None if np.isnan(end) else float(end) for end in (found.low, found.high)]
        return Rate(float(value), n, *ends)

    def numbers(self) -> dict[str, float | int | None]:
        """Everything, flat: what agreement.json holds."""
        rates = {"accuracy": self.accuracy, "kappa": self.kappa}
        for label in sorted(set(self.human)):
            rates |= {f"{label}/precision": self.precision(label), f"{label}/recall": self.recall(label)}
        found: dict[str, float | int | None] = {"unparsable": list(self.judge).count("unparsable")}
        for name, rate in rates.items():
            found |= {name: rate.value, f"{name}/n": rate.n, f"{name}/low": rate.low, f"{name}/high": rate.high}
        found |= {f"count/{human}/{judge}": count for (human, judge), count in sorted(self.counts.items())}
        return found


def cohen_kappa(human: np.ndarray, judge: np.ndarray) -> float:
    """Observed agreement over that of two judges who label at random with the same frequencies; nan without any."""
    labels = np.union1d(human, judge)
    chance = sum(np.mean(human == label) * np.mean(judge == label) for label in labels)
    return float((np.mean(human == judge) - chance) / (1 - chance)) if chance < 1 else float("nan")


def _share(hits: int, n: int) -> Rate:
    """With Wilson's interval, which holds near 0 and 1."""
    from scipy.stats import binomtest

    if not n:
        return Rate(None, 0)
    interval = binomtest(hits, n).proportion_ci(method="wilson")
    return Rate(hits / n, n, float(interval.low), float(interval.high))
