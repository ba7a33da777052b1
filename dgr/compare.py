"""Many runs side by side: `python -m dgr.compare outputs/<sweep>` prints the table of a sweep, also while it runs."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dgr.files import read_json
from dgr.grouping import over_seeds, rank_correlation
from dgr.status import FAILED, read_status

Metrics = Mapping[str, float]


@dataclass(frozen=True)
class Run:
    """A run folder as far as it has come; `metrics` is empty until it is finished."""

    folder: Path
    status: dict
    metrics: Metrics

    @property
    def failed(self) -> bool:
        return self.status.get("state") == FAILED and not self.metrics


def read_run(folder: Path) -> Run:
    """A damaged metrics.json counts as a failed run that says so."""
    status = read_status(folder)
    try:
        metrics = read_json(folder / "metrics.json") if (folder / "metrics.json").exists() else {}
    except ValueError as error:
        return Run(folder, {"state": FAILED, "error": str(error)}, {})
    return Run(folder, status, metrics)


def _percent(key: str, scale: float = 100.0) -> Callable[[Metrics, str], str]:
    return lambda metrics, prefix: _with_error(metrics, prefix + key, scale, 1)


def _with_error(metrics: Metrics, key: str, scale: float, decimals: int) -> str:
    if key not in metrics:
        return "-"
    error = metrics.get(f"{key}/stderr")
    spread = "" if error is None else f" ± {scale * error:.{decimals}f}"
    return f"{scale * metrics[key]:.{decimals}f}{spread}"


def columns(runs: Sequence[Run]) -> dict[str, Callable[[Metrics, str], str]]:
    """Header -> cell; one harmful column per safety benchmark that the runs have."""
    keys = dict.fromkeys(key for run in runs for key in run.metrics if key.startswith("safety/"))
    harmful = [key for key in keys if key.count("/") == 2 and key.endswith("/harmful_rate")]
    return {
        "reasoning\naccuracy %": _percent("reasoning/accuracy"),
        "tax\npoints": _percent("tax/reasoning", 1.0),
        **{f"{_words(key.split('/')[1])} %": _percent(key) for key in harmful},
        "over-\nrefusal %": _percent("over_refusal/rate"),
        "gap\nnats/token": lambda metrics, prefix: _with_error(metrics, f"{prefix}gap/nll_per_token", 1.0, 2),
        "fallback %": _percent("refine/fallback_rate"),
    }


def _words(benchmark: str) -> str:
    kind, _, rest = benchmark.partition("_")
    return f"{kind}\n{rest.replace('_', ' ')}" if rest else benchmark


def table(runs: Sequence[Run], spread: str = "one standard error") -> Table:
    """One row a finished run, the untouched target of each model first; each number with its spread."""
    finished = [run for run in runs if run.metrics]
    cells = columns(finished)
    grid = Table(caption=f"± is {spread}", caption_justify="left")
    grid.add_column("run", overflow="fold")
    for header in cells:
        grid.add_column(header, justify="right", no_wrap=True)
    for label, metrics in _untouched(finished).items():
        grid.add_row(Text(label), *(cell(metrics, "base/") for cell in cells.values()), style="dim")
    for run in finished:
        grid.add_row(Text(run.folder.name), *(cell(run.metrics, "") for cell in cells.values()))
    return grid


def _untouched(runs: Sequence[Run]) -> dict[str, Metrics]:
    """The base/ numbers by target; runs of one target and evaluation have the same ones."""
    rows: dict[str, Metrics] = {}
    for run in runs:
        base = {key: value for key, value in run.metrics.items() if key.startswith("base/")}
        label = f"{run.folder.name.split('-')[0]} (untouched)"
        if base not in rows.values():
            rows[label if label not in rows else f"{label} {len(rows) + 1}"] = base
    return rows


def seed_table(runs: Sequence[Run]) -> tuple[Table, str]:
    """One row for the runs that differ in their seed only, and whether the gap goes with the tax over these rows."""
    groups = over_seeds({run.folder: run.metrics for run in runs if run.metrics})
    correlation = rank_correlation(list(groups.values()))
    said = f"gap and tax over these rows: {correlation}" if correlation else ""
    rows = [Run(Path(name), {}, metrics) for name, metrics in groups.items()]
    return table(rows, "one standard deviation over seeds; of the untouched target, one standard error"), said


def report(folders: Sequence[Path], console: Console | None = None, seeds_apart: bool = True) -> int:
    """Print the table, then what failed and why; exit status 1 if a run failed or never finished."""
    console = console or Console(width=None if sys.stdout.isatty() else 160)
    runs = [read_run(folder) for folder in dict.fromkeys(folders)]
    if any(run.metrics for run in runs) and seeds_apart:
        console.print(table(runs))
    elif any(run.metrics for run in runs):
        for printed in seed_table(runs):
            console.print(printed)
    failed = [run for run in runs if run.failed]
    waiting = [run for run in runs if not run.metrics and not run.failed]
    for run in waiting:
        console.print(Text(f"unfinished: {run.folder.name} (stage {run.status.get('stage', 'none yet')})"))
    for run in failed:
        console.print(Text(f"failed: {run.folder.name}: {run.status.get('error', '')} - see {run.folder}/status.json"))
    return 1 if failed or waiting else 0


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m dgr.compare", description=__doc__.partition(":")[0])
    parser.add_argument("sweeps", nargs="+", metavar="outputs/<sweep>")
    parser.add_argument("--over-seeds", action="store_true", help="one row for all seeds; gap against tax over rows")
    parser.add_argument("--wandb", action="store_true", help="save a W&B workspace and report of these sweeps, too")
    arguments = parser.parse_args(argv)
    folders: list[Path] = []
    for argument in arguments.sweeps:
        found = sorted(status.parent for status in Path(argument).glob("*/status.json"))
        if not found:
            print(f"{argument}: no run folders there (none holds a status.json); give outputs/<sweep>", file=sys.stderr)
            return 2
        folders += found
    status = report(folders, seeds_apart=not arguments.over_seeds)
    if arguments.wandb:
        from dgr.tracking.workspace import save

        print(save(folders))
    return status


if __name__ == "__main__":
    sys.exit(main())
