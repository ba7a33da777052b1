"""What evaluations said item by item, read once: scores to pair arms by, thinking lengths, and the rows to browse."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from typing import Any

from dgr.compare.runs import Run
from dgr.evaluation.benchmark import SAFETY
from dgr.evaluation.metrics import RATES
from dgr.files import read_json, read_jsonl
from dgr.judge import REFUSAL

SAMPLES = "refined samples"
# kind -> the one rate by which two arms are compared, and the verdict that counts for it
MEASURES = {kind: next(iter(rates.items())) for kind, rates in RATES.items()}
TITLES = {"reasoning": "reasoning accuracy", "safety": "harmful replies", "over_refusal": "over-refusal"}


@dataclass
class RunRows:
    """Of one run: the mean score of each item by kind and benchmark, how often each harmful request is refused, how
    long its reasoning items were thought about, and why samples fell back to the source (failed checks of their last
    attempt)."""

    scores: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    refused: dict[str, dict[str, float]] = field(default_factory=dict)
    thinking: list[int] = field(default_factory=list)
    fallback: Counter = field(default_factory=Counter)
    n_samples: int = 0
    both_answers: bool = False
    problems: list[str] = field(default_factory=list)


def kinds(run: Run) -> dict[str, str]:
    """Kind by benchmark; empty for an evaluation that leaves no rows of ours (lm_eval)."""
    found = run.config["evaluation"].get("benchmarks") or {}
    return {name: one["kind"] for name, one in found.items() if isinstance(one, Mapping) and "kind" in one}


def parts(run: Run, rows: RunRows) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The run's samples, then each benchmark's replies; what they tell is added to `rows` on the way. A file that is
    missing or damaged becomes one of its problems."""
    samples = _read(run.folder / "samples.jsonl", rows)
    try:
        _count_fallback(samples, rows)
    except (KeyError, TypeError) as error:
        rows.problems.append(f"samples.jsonl lacks {error}")
    yield SAMPLES, samples
    for name, kind in kinds(run).items():
        replies = _read(run.folder / "evaluation" / f"{name}.jsonl", rows)
        try:
            _count(replies, name, kind, rows)
        except (KeyError, TypeError) as error:
            rows.problems.append(f"evaluation/{name}.jsonl lacks {error}; it was written by another version")
            continue
        yield name, replies


def _read(path: Path, rows: RunRows) -> list[dict[str, Any]]:
    try:
        found = read_jsonl(path)
    except (OSError, ValueError) as error:
        rows.problems.append(str(error))
        return []
    return [row for row in found if isinstance(row, dict)]


def _count_fallback(samples: list[dict], rows: RunRows) -> None:
    rows.n_samples = len(samples)
    for row in samples:
        if row["fallback"]:
            rows.fallback[" + ".join(row["failed"][-1]) or "?"] += 1


def _count(replies: list[dict], name: str, kind: str, rows: RunRows) -> None:
    label, found, refused = MEASURES[kind][1], {}, {}
    for row in replies:
        found.setdefault(intern(row["item"]), []).append(row["verdict"] == label)
        refused.setdefault(intern(row["item"]), []).append(row["verdict"] == REFUSAL)
    if kind == "reasoning":
        rows.thinking += [row["thinking_tokens"] for row in replies]
    rows.both_answers |= any(len(values) > 1 for values in found.values())
    if found and kind == SAFETY:
        rows.refused[name] = {item: sum(v) / len(v) for item, v in refused.items()}
    if found:
        rows.scores.setdefault(kind, {})[name] = {item: sum(v) / len(v) for item, v in found.items()}


def read_losses(run: Run) -> list[tuple[int, float]]:
    """Step and loss; empty where nothing was trained or the file is damaged."""
    try:
        return [(int(entry[0]), float(entry[1])) for entry in read_json(run.folder / "train.json")["loss"]]
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return []
