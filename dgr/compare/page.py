"""report.html: one page that opens offline, and the rows to browse in script files beside it, loaded when asked for."""

import base64
import hashlib
import html
import json
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from dgr.compare import probing
from dgr.compare.comparison import Comparison, TableRow
from dgr.compare.figures import figures
from dgr.compare.finding import finding
from dgr.compare.recorded import command
from dgr.compare.rows import SAMPLES, TITLES, RunRows, parts
from dgr.compare.runs import Run
from dgr.compare.studies import studies
from dgr.compare.written import header
from dgr.files import write_text

ROWS = "report_rows"  # the folder beside report.html
CHUNK = 4_000_000  # characters of one file; a file:// page cannot read less than a whole one
SAMPLE_KEYS = (
    "id", "prompt", "source_reasoning", "source_answer", "reasoning", "answer", "accepted", "fallback", "attempts",
    "failed", "nll_before", "nll_after",
)  # fmt: skip
REPLY_KEYS = ("id", "prompt", "gold", "reply", "verdict", "why", "truncated", "thinking_tokens")


def script_json(value: Any) -> str:
    """JSON that may stand inside a script element: no `<`, no line separators, ASCII only."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@dataclass(frozen=True)
class Chunk:
    """One file of rows and how many of each part it holds."""

    file: str
    counts: dict[str, int]


def write_rows(runs: Sequence[Run], folder: Path) -> tuple[dict[Run, RunRows], dict[Run, list[Chunk]]]:
    """Read the rows of every run once: what they tell, and the files in `folder` to browse them by.

    The new folder takes the place of an older one when it is complete.
    """
    fresh = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    fresh.mkdir(parents=True)
    told, chunks = {}, {}
    try:
        for number, run in enumerate(runs):
            told[run] = RunRows()
            chunks[run] = list(_chunks(run, told[run], fresh, number))
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return told, chunks


def _chunks(run: Run, rows: RunRows, folder: Path, number: int) -> Iterator[Chunk]:
    held: dict[str, list[str]] = {}
    size = count = 0
    for part, found in parts(run, rows):
        keys = SAMPLE_KEYS if part == SAMPLES else REPLY_KEYS
        for row in found:
            text = json.dumps([row.get(key) for key in keys], separators=(",", ":"))
            if size and size + len(text) > CHUNK:
                yield _write_chunk(folder / f"{number:05d}_{count}.js", held)
                held, size, count = {}, 0, count + 1
            held.setdefault(part, []).append(text)
            size += len(text)
    if held:
        yield _write_chunk(folder / f"{number:05d}_{count}.js", held)


def _write_chunk(path: Path, held: dict[str, list[str]]) -> Chunk:
    body = ",\n".join(f"{json.dumps(part)}:[{','.join(rows)}]" for part, rows in held.items())
    body = body.replace("<", "\\u003c")
    path.write_text(f"dgrRows({json.dumps(path.name)},{{{body}}});\n", encoding="ascii")
    return Chunk(path.name, {part: len(rows) for part, rows in held.items()})


def write_report(comparison: Comparison, chunks: dict[Run, list[Chunk]], folder: Path, title: str) -> Path:
    """report.html; `chunks` are those of `write_rows` with `folder / ROWS`."""
    from plotly.offline import get_plotlyjs

    data = _data(comparison, chunks, title)
    static = files("dgr.compare") / "static"
    style, script, page = (static.joinpath(f"page.{kind}").read_text("utf-8") for kind in ("css", "js", "html"))
    plotly = get_plotlyjs()
    holes = {
        "TITLE": html.escape(title),
        "HASHES": " ".join(f"'sha256-{_sha256(text)}'" for text in (plotly, script)),
        "STYLE": style,
        "DATA": script_json(data),
        "PLOTLY": plotly,
        "SCRIPT": script,
    }
    write_text(folder / "report.html", re.sub(r"\{\{([A-Z]+)\}\}", lambda hole: holes[hole[1]], page))
    return folder / "report.html"


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _data(comparison: Comparison, chunks: dict[Run, list[Chunk]], title: str) -> dict[str, Any]:
    lines: dict[str, int] = {}
    numbers = {run: number for number, run in enumerate(comparison.runs)}
    made = studies(comparison)
    probes, problems = _probes(comparison)
    drawn = [figure for one in made for figure in one.figures] + [
        figure for probe in probes for figure in probing.figures(probe)
    ]
    return {
        "title": title,
        "made": datetime.now(UTC).isoformat(timespec="minutes"),
        "finding": [*finding(comparison), *map(probing.sentence, probes)],
        "baseline": comparison.baseline,
        "columns": [header(column.header) for column in comparison.columns],
        "tables": {
            "settings": [_row(row, comparison, numbers) for row in comparison.table(by_seed=False)],
            "runs": [_row(row, comparison, numbers) for row in comparison.table(by_seed=True)],
        },
        "seeds": comparison.several_seeds,
        "paired": [_paired(pair) for pair in comparison.paired],
        "notes": [*_notes(comparison), *problems],
        "studies": [[one.title, one.sentences, one.headers, one.rows] for one in made],
        "figures": [vars(figure) for figure in [*figures(comparison), *drawn]],
        "runs": [_run(run, chunks.get(run, []), lines) for run in comparison.runs],
        "lines": list(lines),
        "keys": {"samples": SAMPLE_KEYS, "replies": REPLY_KEYS},
        "samplesPart": SAMPLES,
        "rows": ROWS,
    }


def _row(row: TableRow, comparison: Comparison, numbers: dict[Run, int]) -> dict[str, Any]:
    cells = zip(row.cells, comparison.columns, strict=True)
    return {
        "name": row.name,
        "untouched": row.group is None,
        "run": None if row.run is None else numbers[row.run],
        "cells": [
            None if one is None else [one.value, one.text(column.decimals), _interval(one, column.decimals), one.n]
            for one, column in cells
        ],
    }


def _interval(one, decimals: int) -> str:
    return "" if one.low is None else f"[{one.low:.{decimals}f}, {one.high:.{decimals}f}]"


def _paired(pair) -> list:
    interval = f"[{pair.low:+.1f}, {pair.high:+.1f}]"
    numbers = [pair.effect, f"{pair.effect:+.1f}", interval, pair.p, pair.p_holm, pair.seeds, pair.items, pair.method]
    return [pair.group.name, TITLES[pair.kind], *numbers, pair.beyond_chance]


def _notes(comparison: Comparison) -> list[str]:
    found = [f"Failed: {run.name}: {run.status.get('error', '')}" for run in comparison.failed]
    found += [f"Unfinished: {run.name} (stage {run.status.get('stage', 'none yet')})" for run in comparison.waiting]
    found += [f"Rows missing: {run.name}: {text}" for run, rows in comparison.rows.items() for text in rows.problems]
    return found + [f"Not compared: {reason}" for reason in comparison.left_out]


def _probes(comparison: Comparison) -> tuple[list[probing.Probe], list[str]]:
    """What was probed of the sweep, and what cannot be read; of several sweeps the first one that was probed."""
    problems: list[str] = []
    for folder in dict.fromkeys(run.folder.parent for run in comparison.runs):
        try:
            if (probe := probing.read_probe(folder)) is not None:
                return [probe], problems
        except ValueError as error:
            problems.append(str(error))
    return [], problems


def _run(run: Run, chunks: Sequence[Chunk], lines: dict[str, int]) -> dict[str, Any]:
    """The config as numbers of lines, for most lines are the same in all runs."""
    config = (run.folder / "config.yaml").read_text(encoding="utf-8").splitlines()
    return {
        "name": run.name,
        "sweep": run.sweep,
        "command": command(run.config),
        "config": [lines.setdefault(line, len(lines)) for line in config],
        "chunks": [[chunk.file, chunk.counts] for chunk in chunks],
    }
