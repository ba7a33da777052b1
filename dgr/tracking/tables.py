"""Tables for a tracker: some replies beside their verdicts, some samples beside their sources."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgr.files import read_jsonl
from dgr.sample import digest

if TYPE_CHECKING:
    import wandb

CELL = 8000  # characters of a text at most
JOURNALS = (".replies.jsonl", ".judge.jsonl")
NUMBERS = ("n_tokens", "thinking_tokens")
EVALUATION = ("benchmark", "id", "prompt", "reply", "verdict", "why", "gold", "category", *NUMBERS)
SAMPLES = (
    *("id", "prompt", "source_reasoning", "reasoning", "source_answer", "answer"),
    *("accepted", "fallback", "failed_checks", "attempts", "nll_before", "nll_after"),
)


def clean(value: Any) -> Any:
    """The same value with texts that are valid Unicode: a lone surrogate becomes its escape."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {clean(key): clean(inner) for key, inner in value.items()}
    return [clean(inner) for inner in value] if isinstance(value, list | tuple) else value


def benchmark_files(folder: Path) -> list[Path]:
    """evaluation/<benchmark>.jsonl of a point that was evaluated."""
    if not (folder / "base.json").exists():
        return []
    return [file for file in sorted((folder / "evaluation").glob("*.jsonl")) if not file.name.endswith(JOURNALS)]


def tables(folder: Path, limit: int) -> tuple[dict[str, "wandb.Table"], dict[str, int]]:
    """The tables that a run folder has something for, and how many rows they show of how many.

    `limit` rows of each benchmark and of the samples: the same items in every run of a sweep.
    """
    import wandb

    found = {"evaluation": evaluation_rows(folder, limit), "samples": sample_rows(folder, limit)}
    columns = {"evaluation": EVALUATION, "samples": SAMPLES}
    shown, counts = {}, {}
    for name, (rows, total) in found.items():
        if rows:
            shown[f"table/{name}"] = wandb.Table(columns=list(columns[name]), data=rows)
            counts |= {f"table/{name}/rows": len(rows), f"table/{name}/of": total}
    return shown, counts


def evaluation_rows(folder: Path, limit: int) -> tuple[list[list], int]:
    rows, total = [], 0
    for file in benchmark_files(folder):
        every = [{**row, "benchmark": file.stem} for row in read_jsonl(file)]
        chosen = sorted(every, key=lambda row: digest("table", row["id"]))[:limit]
        rows += _cells(chosen, EVALUATION)
        total += len(every)
    return rows, total


def sample_rows(folder: Path, limit: int) -> tuple[list[list], int]:
    """The first ones of the nested order, so that a larger subset shows what a smaller one shows."""
    if not (folder / "refine.json").exists():
        return [], 0
    every = read_jsonl(folder / "samples.jsonl")
    chosen = [{**row, "failed_checks": _failed(row.get("failed", []))} for row in every[:limit]]
    return list(_cells(chosen, SAMPLES)), len(every)


def _failed(attempts: Sequence[Sequence[str]]) -> str:
    return "; ".join(f"{number}: {', '.join(names) or 'passed'}" for number, names in enumerate(attempts, start=1))


def _cells(rows: Sequence[dict], columns: Sequence[str]) -> Iterator[list]:
    for row in rows:
        yield [_cell(row.get(column)) for column in columns]


def _cell(value: Any) -> Any:
    """A column has one type: numbers are floats, what is neither number nor truth value is text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return float(value)
    text = clean(str(value))
    return text if len(text) <= CELL else f"{text[:CELL]} [... {len(text) - CELL} characters more]"
