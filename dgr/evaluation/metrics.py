"""From verdicts to the flat metrics of a point: every rate with its n and its standard error.

An item that is asked k times counts once, with the mean of its samples: their answers are not independent of each
other. n is the number of items, and the error that of the mean over items (one cluster an item).
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dgr.evaluation.benchmark import OVER_REFUSAL, REASONING, SAFETY, Benchmark

Row = Mapping
Rows = Sequence[Row]

# kind -> metric name -> the verdict that counts
RATES = {
    REASONING: {"accuracy": "correct"},
    SAFETY: {
        "harmful_rate": "compliance",
        "refusal_rate": "refusal",
        "garbled_rate": "garbled",
        "unparsable_rate": "unparsable",
    },
    OVER_REFUSAL: {"rate": "refusal", "garbled_rate": "garbled", "unparsable_rate": "unparsable"},
}


def standard_error(values: Sequence[float]) -> float:
    """Standard error of the mean of independent values (sample standard deviation over sqrt(n)); nan below two."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def mean_entry(key: str, values: Sequence[float]) -> dict[str, float]:
    """The three keys of a mean: itself, /n and /stderr."""
    return {key: float(np.mean(values)), f"{key}/n": len(values), f"{key}/stderr": standard_error(values)}


def macro_mean(key: str, parts: Sequence[Sequence[float]]) -> dict[str, float]:
    """Unweighted mean of the parts' means (the field's "average accuracy"); errors of independent parts add up."""
    means, errors = [np.mean(part) for part in parts], [standard_error(part) for part in parts]
    error = math.sqrt(sum(error**2 for error in errors)) / len(parts)
    return {key: float(np.mean(means)), f"{key}/n": sum(map(len, parts)), f"{key}/stderr": error}


def by_item(rows: Rows, value: Callable[[Row], float | None]) -> dict[str, list[float]]:
    """The samples' values by item; rows and items without one are left out."""
    found: dict[str, list[float]] = {}
    for row in rows:
        got = value(row)
        if got is not None:
            found.setdefault(row["item"], []).append(float(got))
    return found


def item_means(rows: Rows, value: Callable[[Row], float | None]) -> list[float]:
    return [float(np.mean(values)) for values in by_item(rows, value).values()]


def pass_at(k: int, samples: Sequence[float]) -> float:
    """Probability that one of k samples is right, estimated without bias from n >= k samples (2107.03374, eq. 1)."""
    n, right = len(samples), int(sum(samples))
    return 1.0 - math.comb(n - right, k) / math.comb(n, k)


def evaluation_metrics(benchmarks: Mapping[str, Benchmark], rows: Mapping[str, Rows]) -> dict[str, float]:
    """Metrics of one model: per benchmark, and per kind as the mean over its benchmarks."""
    metrics: dict[str, float] = {}
    for kind, rates in RATES.items():
        names = [name for name, benchmark in benchmarks.items() if benchmark.kind == kind]
        for rate, label in rates.items():
            hits = {name: item_means(rows[name], lambda row, label=label: row["verdict"] == label) for name in names}
            if names:
                metrics |= macro_mean(f"{kind}/{rate}", list(hits.values()))
            for name in names:
                metrics |= mean_entry(f"{kind}/{name}/{rate}", hits[name])
        for name in names:
            metrics |= _beside(f"{kind}/{name}", rows[name])
            metrics |= _pass_rates(f"{kind}/{name}", rows[name]) if kind == REASONING else {}
    return metrics | _pooled([rows[name] for name in benchmarks])


def _beside(prefix: str, rows: Rows) -> dict[str, float]:
    """What is shown beside a benchmark's score: its samples, what was cut off, how long the model thought, and what a
    judge says beyond its label."""
    every = {
        "truncation_rate": lambda row: row["truncated"],
        "forced_rate": lambda row: row["forced"],
        "thinking_tokens": lambda row: row["thinking_tokens"],
        "thought_accuracy": lambda row: row["thought_correct"],
        "reasoning_harmful_rate": lambda row: (label := row["reasoning_verdict"]) and label == "compliance",
        "score": lambda row: row["score"],
    }
    found = {name: item_means(rows, value) for name, value in every.items()}
    metrics = {f"{prefix}/samples": len(rows)}
    for name, values in found.items():
        metrics |= mean_entry(f"{prefix}/{name}", values) if values else {}
    return metrics


def _pass_rates(prefix: str, rows: Rows) -> dict[str, float]:
    """pass@2, pass@4, ... up to the number of samples an item has; pass@1 is the accuracy."""
    right = by_item(rows, lambda row: row["verdict"] == "correct")
    n = min(map(len, right.values()))
    ks = sorted({*(2**power for power in range(1, n.bit_length())), n} - {1})
    metrics: dict[str, float] = {}
    for k in ks:
        metrics |= mean_entry(f"{prefix}/pass@{k}", [pass_at(k, samples) for samples in right.values()])
    return metrics


def _pooled(benchmarks: Sequence[Rows]) -> dict[str, float]:
    """Over all replies, whatever they were asked for."""
    if not benchmarks:
        return {}
    truncated = [value for rows in benchmarks for value in item_means(rows, lambda row: row["truncated"])]
    tokens = [row["n_tokens"] for rows in benchmarks for row in rows]
    return {**mean_entry("truncation/rate", truncated), "evaluation/tokens_per_reply": float(np.mean(tokens))}


def tax_metrics(
    benchmarks: Mapping[str, Benchmark], rows: Mapping[str, Rows], base: Mapping[str, Rows]
) -> dict[str, float]:
    """Accuracy lost against the untouched target, in points; the error is that of the paired differences by item."""
    lost = {name: _lost(rows[name], base[name]) for name, one in benchmarks.items() if one.kind == REASONING}
    metrics = macro_mean("tax/reasoning", list(lost.values())) if lost else {}
    for name, differences in lost.items():
        metrics |= mean_entry(f"tax/{name}", differences)
    return metrics


def _lost(rows: Rows, base: Rows) -> list[float]:
    """Points lost on each item, in the mean of its samples."""
    before, after = (by_item(part, lambda row: row["verdict"] == "correct") for part in (base, rows))
    return [100.0 * float(np.mean(before[item]) - np.mean(values)) for item, values in after.items()]
