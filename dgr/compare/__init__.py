"""Many runs side by side: `python -m dgr.compare outputs/<sweep>` prints and writes the comparison of a sweep, also
while it runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def report(folders: Sequence[Path], console: "Console | None" = None) -> int:
    """Print the table of runs, then what failed and why; exit status 1 if a run failed or never finished."""
    from dgr.compare import terminal
    from dgr.compare.comparison import compare_runs
    from dgr.compare.runs import read_run

    comparison = compare_runs([read_run(folder) for folder in dict.fromkeys(folders)])
    terminal.show(comparison, console or terminal.console())
    return exit_status(comparison)


def exit_status(comparison) -> int:
    return 1 if comparison.failed or comparison.waiting else 0
