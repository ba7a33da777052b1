"""The comparison as files: comparison.csv (every number of every run), comparison.md and comparison.tex (the table)."""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

from dgr.compare.comparison import Comparison
from dgr.compare.escaping import markdown, spreadsheet, tex
from dgr.compare.paired import Paired
from dgr.compare.rows import TITLES
from dgr.compare.studies import studies
from dgr.compare.terminal import RUNS, SEEDS
from dgr.files import write_text

IDENTITY = ("run", "sweep", "model", "data", "refine", "n_samples", "seed")
PAIRED_HEADERS = (
    "run",
    "benchmarks",
    "difference (points)",
    "95 % interval",
    "p",
    "p (Holm)",
    "seeds",
    "items",
    "test",
)
BETWEEN = "; [ ] is the 95 % interval"


def write(comparison: Comparison, folder: Path, by_seed: bool) -> list[Path]:
    """Returns what was written; each file is replaced as a whole."""
    texts = {
        "comparison.csv": csv_text(comparison),
        "comparison_paired.csv": paired_csv(comparison),
        "comparison.md": markdown_text(comparison, by_seed),
        "comparison.tex": tex_text(comparison, by_seed),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


def csv_text(comparison: Comparison) -> str:
    """One line a run; numbers as in metrics.json, digit by digit."""
    keys = list(dict.fromkeys(key for run in comparison.runs for key in run.metrics))
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow([*IDENTITY, *keys])
    for run in comparison.runs:
        names = [run.name, run.sweep, *map(run.named, ("model", "data", "refine"))]
        lines.writerow([*map(spreadsheet, names), run.n_samples, run.seed, *(run.metrics.get(key, "") for key in keys)])
    return out.getvalue()


def paired_csv(comparison: Comparison) -> str:
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    numbers = ("effect", "low", "high", "p", "p_holm", "seeds", "items", "method")
    lines.writerow(["run", "baseline", "kind", *numbers])
    for pair in comparison.paired:
        names = map(spreadsheet, (pair.group.name, pair.baseline.name))
        lines.writerow([*names, pair.kind, *(getattr(pair, name) for name in numbers)])
    return out.getvalue()


def markdown_text(comparison: Comparison, by_seed: bool) -> str:
    texts = [grid(_headers(comparison), _rows(comparison, by_seed, markdown))]
    texts.append(markdown((RUNS if by_seed else SEEDS) + BETWEEN) + ".")
    if comparison.paired:
        texts.append(markdown(f"Against {comparison.baseline}, paired by item and seed:"))
        texts.append(grid(PAIRED_HEADERS, [_paired(pair, markdown) for pair in comparison.paired]))
    if comparison.correlation:
        texts.append(f"Gap and tax over settings: {markdown(comparison.correlation)}.")
    for study in studies(comparison):
        texts += [f"**{markdown(study.title)}**", *(markdown(sentence) for sentence in study.sentences)]
        texts.append(grid(study.headers, [[*map(markdown, row)] for row in study.rows]))
    failed = [f"failed: {run.name}: {run.status.get('error', '')}" for run in comparison.failed]
    lines = failed + [f"unfinished: {run.name}" for run in comparison.waiting] + list(comparison.left_out)
    return "\n\n".join([*texts, *(f"- {markdown(line)}" for line in lines)]) + "\n"


def grid(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; `rows` are escaped already."""
    rule = ["---", *["---:"] * (len(headers) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in ([*map(markdown, headers)], rule, *rows))


def tex_text(comparison: Comparison, by_seed: bool) -> str:
    """Two booktabs tables; the document needs \\usepackage{booktabs}."""
    caption = RUNS if by_seed else SEEDS
    grids = [_booktabs(_headers(comparison), _rows(comparison, by_seed, tex), caption + BETWEEN)]
    if comparison.paired:
        rows = [_paired(pair, tex) for pair in comparison.paired]
        grids.append(_booktabs(PAIRED_HEADERS, rows, f"Against {comparison.baseline}, paired by item and seed"))
    return "% needs \\usepackage{booktabs}\n" + "\n".join(grids)


def _booktabs(headers: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    lines = [" & ".join(map(tex, headers)), *(" & ".join(row) for row in rows)]
    body = "".join(f"{{}}{line} \\\\\n" for line in lines[1:])  # {}: a line may begin with [
    return (
        f"\\begin{{table}}\n\\centering\n\\caption{{{tex(caption)}.}}\n"
        f"\\begin{{tabular}}{{l{'r' * (len(headers) - 1)}}}\n\\toprule\n{lines[0]} \\\\\n\\midrule\n"
        f"{body}\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n"
    )


def _headers(comparison: Comparison) -> list[str]:
    return ["run", *(header(column.header) for column in comparison.columns)]


def header(text: str) -> str:
    """A header of the terminal's table in one line."""
    return text.replace("-\n", "-").replace("\n", " ")


def _rows(comparison: Comparison, by_seed: bool, escape: Callable[[object], str]) -> list[list[str]]:
    return [
        [
            escape(row.name),
            *(
                escape(cell.text(column.decimals, interval=True) if cell else "-")
                for cell, column in zip(row.cells, comparison.columns, strict=True)
            ),
        ]
        for row in comparison.table(by_seed)
    ]


def _paired(pair: Paired, escape: Callable[[object], str]) -> list[str]:
    interval = f"[{pair.low:+.1f}, {pair.high:+.1f}]"
    numbers = (f"{pair.effect:+.1f}", interval, f"{pair.p:.2g}", f"{pair.p_holm:.2g}", pair.seeds, pair.items)
    return [escape(text) for text in (pair.group.name, TITLES[pair.kind], *numbers, pair.method)]
