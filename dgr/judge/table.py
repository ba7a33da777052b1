"""Agreement for a person to read."""

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dgr.judge.agreement import Agreement, Rate


def show(agreement: Agreement, title: str, console: Console | None = None) -> None:
    """The confusion matrix, then every rate with its interval."""
    console = console or Console(width=None if sys.stdout.isatty() else 120)
    console.print(confusion(agreement, title))
    console.print(rates(agreement))


def confusion(agreement: Agreement, title: str) -> Table:
    """A row for each of people's labels, a column for each of the judge's."""
    grid = Table(title=Text(title), title_justify="left")
    grid.add_column("people \\ judge")
    for label in agreement.labels:
        grid.add_column(Text(label), justify="right")
    for human in sorted(set(agreement.human)):
        grid.add_row(Text(human), *(str(agreement.counts[human, judge]) for judge in agreement.labels))
    return grid


def rates(agreement: Agreement) -> Table:
    grid = Table(caption="intervals: 95 %; an unparsable verdict counts as wrong", caption_justify="left")
    for name in ("", "value", "interval", "n"):
        grid.add_column(name, justify="left" if not name else "right", no_wrap=True)
    grid.add_row("accuracy", *_cells(agreement.accuracy))
    grid.add_row("Cohen's kappa", *_cells(agreement.kappa))
    for label in sorted(set(agreement.human)):
        grid.add_row(Text(f"{label}: precision"), *_cells(agreement.precision(label)))
        grid.add_row(Text(f"{label}: recall"), *_cells(agreement.recall(label)))
    return grid


def _cells(rate: Rate) -> tuple[str, str, str]:
    ends = "-" if rate.low is None or rate.high is None else f"{rate.low:.3f} to {rate.high:.3f}"
    return "-" if rate.value is None else f"{rate.value:.3f}", ends, str(rate.n)
