"""python -m dgr.compare outputs/<sweep> ...: prints a sweep's table and writes comparison.* and report.html."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dgr.compare import exit_status


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0: every run is finished; 1: some failed or are unfinished; 2: a mistake in the command."""
    arguments = _parser().parse_args(argv)
    sweeps = [Path(sweep) for sweep in arguments.sweeps]
    from dgr.compare.runs import distinct, read_run, run_folders, where

    try:
        folders = [folder for sweep in sweeps for folder in run_folders(sweep)]
        found = [read_run(folder) for folder in dict.fromkeys(folders)]
        runs = where(distinct(found), arguments.where)
    except ValueError as mistake:
        print(mistake, file=sys.stderr)
        return 2
    if arguments.where and not any(run.metrics for run in runs):
        print(f"no finished run has {' and '.join(arguments.where)}", file=sys.stderr)
        return 2
    arms = {run.named("refine"): None for run in runs if run.metrics}
    if arguments.baseline and arms and arguments.baseline not in arms:
        print(
            f"--baseline {arguments.baseline}: no finished run of this arm; choose one of {', '.join(arms)}",
            file=sys.stderr,
        )
        return 2
    if twice := len(found) - len(distinct(found)):
        print(f"{twice} run(s) lie in several of these sweeps, and count once")
    return _compare(runs, arguments, arguments.out or beside(sweeps))


def _compare(runs: Sequence, arguments: argparse.Namespace, folder: Path) -> int:
    from dgr.compare import terminal, written
    from dgr.compare.comparison import compare_runs, with_rows
    from dgr.compare.page import ROWS, write_report, write_rows

    by_seed, out = not arguments.over_seeds, terminal.console()
    comparison = compare_runs(runs, arguments.baseline or "vanilla")
    if comparison.runs:
        told, chunks = write_rows(comparison.runs, folder / ROWS)
        comparison = with_rows(comparison, told)
    terminal.show(comparison, out, by_seed)
    if comparison.runs:
        terminal.show_paired(comparison, out)
        files = written.write(comparison, folder, by_seed)
        files.append(write_report(comparison, chunks, folder, " + ".join(dict.fromkeys(run.sweep for run in runs))))
        print(f"written to {folder}: {', '.join(file.name for file in files)}")
        if arguments.wandb:
            from dgr.tracking.workspace import save

            print(save([run.folder for run in comparison.runs]))
    return exit_status(comparison)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m dgr.compare", description="Compare the runs of one or several sweeps.")
    parser.add_argument("sweeps", nargs="+", metavar="outputs/<sweep>")
    parser.add_argument(
        "--where", action="append", default=[], metavar="KEY=VALUE", help="only runs of which this is true; repeatable"
    )
    parser.add_argument("--baseline", metavar="ARM", help="compare with this arm (vanilla)")
    parser.add_argument("--over-seeds", action="store_true", help="one row for all seeds; gap against tax over rows")
    parser.add_argument("--wandb", action="store_true", help="save a W&B workspace and report of these sweeps, too")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write there instead of beside the sweep")
    return parser


def beside(sweeps: Sequence[Path]) -> Path:
    """The sweep's own folder; for several, one beside them that is named after all."""
    resolved = list(dict.fromkeys(sweep.resolve() for sweep in sweeps))
    return resolved[0] if len(resolved) == 1 else resolved[0].parent / "+".join(sweep.name for sweep in resolved)


if __name__ == "__main__":
    sys.exit(main())
