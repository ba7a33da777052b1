"""python -m dgr.status outputs/<sweep> ...: the state of every point, once, again and again, or as JSON."""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dgr.cluster.queue import NoAnswer, squeue
from dgr.compare.escaping import printable
from dgr.monitor.points import DAMAGED, GONE, INTERRUPTED, QUEUED, Point, folders, read_point, users
from dgr.status import FAILED, FINISHED, RUNNING

EVERY = 5.0  # seconds between two looks
STYLES = {FINISHED: "green", RUNNING: "cyan", QUEUED: "dim", FAILED: "red", DAMAGED: "red", GONE: "yellow"}
LONGEST = 300  # characters of an error


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0: the states are shown, whatever they are; 2: there is no such sweep."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.json:
            points, _ = look(arguments.sweeps)
            print(json.dumps([asdict(point) for point in points], indent=2))
        elif arguments.watch:
            _watch(arguments.sweeps)
        else:
            _console().print(shown(*look(arguments.sweeps)))
    except ValueError as mistake:
        print(printable(mistake), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def look(sweeps: Sequence[Path]) -> tuple[list[Point], str]:
    """Every point, with one call of squeue if there are jobs at all; and why SLURM could not be asked."""
    runs = list(dict.fromkeys(folder for sweep in sweeps for folder in folders(sweep)))
    owners, jobs, why = users(runs), None, ""
    try:
        jobs = squeue(owners) if owners else None
        if owners and jobs is None:
            why = "there is no squeue on this machine: states of jobs are as they were last recorded"
    except NoAnswer as error:
        why = f"squeue does not answer ({error}): states of jobs are as they were last recorded"
    return [read_point(folder, jobs) for folder in runs], why


def shown(points: Sequence[Point], why: str) -> Group:
    """The table, the counts, what can be done about the points that nobody works on, and their errors."""
    counts = Counter(point.state for point in points)
    lines = [f"{len(points)} points: " + ", ".join(f"{number} {state}" for state, number in counts.most_common())]
    if counts[GONE]:
        lines.append("gone: the process or job no longer exists; the same command continues the point")
    if counts[INTERRUPTED]:
        lines.append("interrupted: stopped by a signal; the same command continues the point")
    for point in points:
        if point.error:
            lines.append(f"{point.run}: {point.error[:LONGEST]} - see {point.folder}/status.json")
        elif point.state == GONE and point.log:
            lines.append(f"{point.run}: log: {point.log}")
    return Group(_table(points), *(Text(printable(line)) for line in [*lines, why] if line))


def _table(points: Sequence[Point]) -> Table:
    grid = Table()
    grid.add_column("run", overflow="fold")
    for header in ("state", "stage", "progress", "left", "elapsed", "node", "job"):
        grid.add_column(header, no_wrap=True, justify="right" if header in ("left", "elapsed") else "left")
    for point in points:
        cells = point.stage, _progress(point), _left(point), _time(point.seconds), point.node, point.job
        texts = (Text(printable(cell or "")) for cell in cells)
        grid.add_row(Text(printable(point.run)), Text(point.state, style=STYLES.get(point.state, "yellow")), *texts)
    return grid


def _progress(point: Point) -> str:
    found = point.progress or {}
    if not isinstance(found.get("done"), int) or not isinstance(found.get("total"), int):
        return ""
    rate = found.get("tokens_per_second")
    speed = f"  {rate:,.0f} tokens/s" if isinstance(rate, int | float) and rate else ""
    return f"{found['done']:,} of {found['total']:,} {found.get('what', '')}{speed}"


def _left(point: Point) -> str:
    left = (point.progress or {}).get("seconds_left")
    return _time(left) if point.state == RUNNING and isinstance(left, int | float) else ""


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds))) if seconds else ""


def _watch(sweeps: Sequence[Path]) -> None:
    """Until nobody works on any point."""
    points, why = look(sweeps)
    with Live(shown(points, why), console=_console(), auto_refresh=False) as live:
        while not all(point.over for point in points):
            time.sleep(EVERY)
            points, why = look(sweeps)
            live.update(shown(points, why), refresh=True)


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 160)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m dgr.status", description="Where is every point of a sweep?")
    parser.add_argument("sweeps", nargs="+", type=Path, metavar="outputs/<sweep>")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--watch", action="store_true", help=f"look every {EVERY:.0f} s until nobody works on any point")
    ways.add_argument("--json", action="store_true", help="a list of objects, one a point, for scripts")
    return parser
