"""python -m dgr.compare.document outputs/<sweep> ... --out DIR: what studies found, as Markdown and SVG."""

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from dgr.compare import probing
from dgr.compare.comparison import Comparison, compare_runs, with_rows
from dgr.compare.drawing import svg
from dgr.compare.escaping import markdown
from dgr.compare.figures import Figure
from dgr.compare.page import write_rows
from dgr.compare.probing import Probe, read_probe, sentence
from dgr.compare.runs import read_run, run_folders
from dgr.compare.studies import studies
from dgr.compare.terminal import SEEDS
from dgr.compare.written import grid, header
from dgr.files import write_text

HEAD = "Written by `python -m dgr.compare.document` from finished runs; every number is computed, none is typed."


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 2 where a sweep has no runs."""
    parser = argparse.ArgumentParser("python -m dgr.compare.document", description="Write what studies found.")
    parser.add_argument("sweeps", nargs="+", metavar="outputs/<sweep>")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="results.md and figures go there")
    arguments = parser.parse_args(argv)
    if not find_spec("matplotlib"):
        parser.error("the figures need matplotlib: pip install 'dgr[documents]'")
    parts = ["# Results of the studies", HEAD]
    for sweep in map(Path, arguments.sweeps):
        try:
            runs = [read_run(folder) for folder in run_folders(sweep)]
            probe = read_probe(sweep)
        except ValueError as mistake:
            print(mistake, file=sys.stderr)
            return 2
        comparison = compare_runs(runs)
        told, _ = write_rows(comparison.runs, sweep.resolve() / "report_rows")
        parts += _sweep(with_rows(comparison, told), sweep.resolve().name, arguments.out, probe)
    write_text(arguments.out / "results.md", "\n\n".join(parts) + "\n")
    print(f"written to {arguments.out}: results.md")
    return 0


def _sweep(comparison: Comparison, name: str, out: Path, probe: Probe | None) -> list[str]:
    """A chapter: the findings, what does not hold, what `dgr.probe` measured, and the table of every setting."""
    missing = len(comparison.failed) + len(comparison.waiting)
    parts = [f"## {markdown(name)}", f"{len(comparison.runs)} finished runs, {missing} failed or unfinished."]
    for study in studies(comparison):
        parts += [f"### {markdown(study.title)}", *(markdown(sentence) for sentence in study.sentences)]
        parts.append(grid(study.headers, [[*map(markdown, row)] for row in study.rows]))
        if study.open:
            parts += ["What does not hold, or cannot be told from these runs:"]
            parts.append("\n".join(f"- {markdown(line)}" for line in study.open))
        parts += [_drawn(figure, name, out) for figure in study.figures]
    if probe is not None:
        parts += ["### Is it activation?", markdown(sentence(probe))]
        parts += [_drawn(figure, name, out) for figure in probing.figures(probe) if figure.panels]
    cells = []
    for row in comparison.table(by_seed=False):
        found = zip(row.cells, comparison.columns, strict=True)
        texts = (one.text(column.decimals, interval=True) if one else "-" for one, column in found)
        cells.append([row.name, *texts])
    table = grid(["setting", *(header(c.header) for c in comparison.columns)], [[*map(markdown, row)] for row in cells])
    return [*parts, "### Every setting", table, markdown(f"{SEEDS}; [ ] is the 95 % interval") + "."]


def _drawn(figure: Figure, name: str, out: Path) -> str:
    file = f"{name}-{figure.id}.svg"
    write_text(out / file, svg(figure))
    return f"![{markdown(figure.title)}]({file})\n\n{markdown(figure.reading)}"


if __name__ == "__main__":
    sys.exit(main())
