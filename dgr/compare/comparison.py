"""Runs side by side as data: what the table, the files, the report and trackers show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dgr.compare.columns import BASE, Cell, Column, cell, columns
from dgr.compare.grouping import Correlation, Group, over_seeds, rank_correlation
from dgr.compare.paired import Paired, against
from dgr.compare.rows import RunRows
from dgr.compare.runs import Metrics, Run


@dataclass(frozen=True)
class TableRow:
    """One line of the table; `group` is None for the untouched target, `run` for that and for several seeds."""

    name: str
    cells: tuple[Cell | None, ...]
    group: Group | None = None
    run: Run | None = None


@dataclass(frozen=True)
class Comparison:
    """`runs` are the finished ones. `rows` is empty before the evaluation's rows are read, and so is `paired` then;
    `left_out` says why arms are missing in it."""

    runs: tuple[Run, ...]
    failed: tuple[Run, ...]
    waiting: tuple[Run, ...]
    groups: tuple[Group, ...]
    columns: tuple[Column, ...]
    correlation: Correlation | None
    baseline: str = "vanilla"
    rows: Mapping[Run, RunRows] = field(default_factory=dict)
    paired: tuple[Paired, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def several_seeds(self) -> bool:
        return any(len(group.runs) > 1 for group in self.groups)

    def table(self, by_seed: bool) -> list[TableRow]:
        """The untouched target of each model first; then one row a run (`by_seed`) or a group."""
        found = [
            TableRow(name, tuple(cell([metrics], column, BASE) for column in self.columns))
            for name, metrics in untouched(self.runs).items()
        ]
        if by_seed:
            groups = {run: group for group in self.groups for run in group.runs}
            return found + [self._row(run.name, (run,), groups[run]) for run in self.runs]
        return found + [self._row(group.name, group.runs, group) for group in self.groups]

    def _row(self, name: str, runs: Sequence[Run], group: Group) -> TableRow:
        cells = tuple(cell([run.metrics for run in runs], column) for column in self.columns)
        return TableRow(name, cells, group, runs[0] if len(runs) == 1 else None)


def compare_runs(runs: Sequence[Run], baseline: str = "vanilla") -> Comparison:
    """From the runs' metrics alone; `with_rows` adds what needs the evaluation's rows."""
    finished = [run for run in runs if run.metrics]
    groups = over_seeds(finished)
    return Comparison(
        runs=tuple(finished),
        failed=tuple(run for run in runs if run.failed),
        waiting=tuple(run for run in runs if not run.metrics and not run.failed),
        groups=tuple(groups),
        columns=tuple(columns(finished)),
        correlation=rank_correlation([group.metrics for group in groups]),
        baseline=baseline,
    )


def with_rows(comparison: Comparison, rows: Mapping[Run, RunRows]) -> Comparison:
    from dataclasses import replace

    paired, left_out = against(comparison.groups, rows, comparison.baseline)
    return replace(comparison, rows=rows, paired=tuple(paired), left_out=tuple(left_out))


def untouched(runs: Sequence[Run]) -> dict[str, Metrics]:
    """The base/ numbers by target; runs of one target and evaluation have the same ones."""
    rows: dict[str, Metrics] = {}
    known: set[tuple] = set()
    for run in runs:
        base = {key: value for key, value in run.metrics.items() if key.startswith(BASE)}
        label, seen = f"{run.named('model')} (untouched)", tuple(sorted(base.items()))
        if base and seen not in known:
            known.add(seen)
            rows[label if label not in rows else f"{label} {len(rows) + 1}"] = base
    return rows
