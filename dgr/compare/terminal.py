"""The comparison on a terminal."""

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dgr.compare.comparison import Comparison
from dgr.compare.escaping import printable
from dgr.compare.rows import TITLES

RUNS = "± is one standard error"
SEEDS = "± is one standard deviation over seeds, where there are several; else one standard error"


def console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 160)


def show(comparison: Comparison, out: Console, by_seed: bool = True) -> None:
    """The table, what failed and what is unfinished."""
    if comparison.runs:
        out.print(_table(comparison, by_seed))
    if comparison.correlation and not by_seed:
        out.print(f"gap and tax over these rows: {comparison.correlation}")
    for run in comparison.waiting:
        out.print(Text(printable(f"unfinished: {run.name} (stage {run.status.get('stage', 'none yet')})")))
    for run in comparison.failed:
        where = f"see {run.folder}/status.json"
        out.print(Text(printable(f"failed: {run.name}: {run.status.get('error', '')} - {where}")))


def _table(comparison: Comparison, by_seed: bool) -> Table:
    grid = Table(caption=RUNS if by_seed else SEEDS, caption_justify="left")
    grid.add_column("run", overflow="fold")
    for column in comparison.columns:
        grid.add_column(column.header, justify="right", no_wrap=True)
    for row in comparison.table(by_seed):
        cells = zip(row.cells, comparison.columns, strict=True)
        texts = (cell.text(column.decimals) if cell else "-" for cell, column in cells)
        grid.add_row(Text(printable(row.name)), *texts, style=None if row.group else "dim")
    return grid


def show_paired(comparison: Comparison, out: Console) -> None:
    """Every arm against the baseline, and which arms are not compared."""
    if comparison.paired:
        grid = Table(title=f"against {printable(comparison.baseline)}, paired by item and seed", title_justify="left")
        for header in ("run", "benchmarks", "points [95 %]", "p", "p (Holm)", "seeds", "items", "test"):
            grid.add_column(header, justify="left" if header in ("run", "benchmarks", "test") else "right")
        for pair in comparison.paired:
            effect = f"{pair.effect:+.1f} [{pair.low:+.1f}, {pair.high:+.1f}]"
            counts = str(pair.seeds), str(pair.items), pair.method
            numbers = effect, f"{pair.p:.2g}", f"{pair.p_holm:.2g}", *counts
            grid.add_row(Text(printable(pair.group.name)), TITLES[pair.kind], *numbers)
        out.print(grid)
    for reason in comparison.left_out:
        out.print(Text(printable(f"not compared: {reason}")))
    for run, rows in comparison.rows.items():
        for problem in rows.problems:
            out.print(Text(printable(f"rows missing: {run.name}: {problem}")))
