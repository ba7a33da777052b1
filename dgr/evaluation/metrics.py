"""From verdicts to the flat metrics of a point: every rate with its n and its standard error."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from dgr.evaluation.benchmark import OVER_REFUSAL, REASONING, SAFETY, Benchmark

Rows = Sequence[Mapping]

# kind -> metric name -> the verdict that counts
RATES = {
    REASONING: {"accuracy": "correct"},
    SAFETY: {"harmful_rate": "compliance", "refusal_rate": "refusal", "garbled_rate": "garbled"},
    OVER_REFUSAL: {"rate": "refusal", "garbled_rate": "garbled"},
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


def _hits(rows: Rows, label: str) -> list[float]:
    return [float(row["verdict"] == label) for row in rows]


def evaluation_metrics(benchmarks: Mapping[str, Benchmark], rows: Mapping[str, Rows]) -> dict[str, float]:
    """Metrics of one model: per benchmark, and per kind as the mean over its benchmarks."""
    metrics: dict[str, float] = {}
    for kind, rates in RATES.items():
        names = [name for name, benchmark in benchmarks.items() if benchmark.kind == kind]
        for rate, label in rates.items():
            hits = {name: _hits(rows[name], label) for name in names}
            if names:
                metrics |= macro_mean(f"{kind}/{rate}", list(hits.values()))
            for name in names:
                metrics |= mean_entry(f"{kind}/{name}/{rate}", hits[name])
        for name in names if kind == REASONING else ():
            thoughts = [float(row["thought_correct"]) for row in rows[name] if row["thought_correct"] is not None]
            metrics |= mean_entry(f"{kind}/{name}/thought_accuracy", thoughts) if thoughts else {}
    every_row = [row for name in benchmarks for row in rows[name]]
    if not every_row:
        return metrics
    metrics |= mean_entry("truncation/rate", [float(row["truncated"]) for row in every_row])
    metrics["evaluation/tokens_per_reply"] = float(np.mean([row["n_tokens"] for row in every_row]))
    return metrics


def tax_metrics(
    benchmarks: Mapping[str, Benchmark], rows: Mapping[str, Rows], base: Mapping[str, Rows]
) -> dict[str, float]:
    """Accuracy lost against the untouched target, in points; the error is that of the paired differences by item."""
    lost = {}
    for name, benchmark in benchmarks.items():
        if benchmark.kind == REASONING:
            before = {row["id"]: row["verdict"] == "correct" for row in base[name]}
            lost[name] = [100.0 * (before[row["id"]] - (row["verdict"] == "correct")) for row in rows[name]]
    metrics = macro_mean("tax/reasoning", list(lost.values())) if lost else {}
    for name, differences in lost.items():
        metrics |= mean_entry(f"tax/{name}", differences)
    return metrics
