"""gap.json for a person: a table a measurement, and where it was written."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dgr.files import read_json
from dgr.gap import FLOOR, SCOPES, SOURCE, TRAINED
from dgr.gap.likelihood import BANDS
from dgr.status import read_status

Numbers = Mapping[str, float | None]
HEADERS = {"top1": "top 1", "2_10": "2-10", "11_100": "11-100", "beyond100": "> 100"}


def report(folders: Sequence[Path], console: Console | None = None) -> int:
    """Print every measurement, then what failed and why; exit status 1 if one failed."""
    console = console or Console(width=None if sys.stdout.isatty() else 120)
    failed = []
    for folder in dict.fromkeys(folders):
        if not (folder / "gap.json").exists():
            failed.append(folder)
            continue
        found = read_json(folder / "gap.json")
        console.print(table(found, title=folder.name))
        for line in summary(found):
            console.print(Text(line))
        console.print(Text(f"written: {folder}/gap.json and gap.jsonl"), soft_wrap=True)
    for folder in failed:
        error = read_status(folder).get("error", "it was not started")
        console.print(Text(f"failed: {folder.name}: {error} - see {folder}/status.json"), soft_wrap=True)
    return 1 if failed else 0


def table(found: Numbers, title: str) -> Table:
    """One row for each text and part; without a refined text the source is the dataset."""
    caption = "± is one standard error; ranks: share of the text's tokens, by how many the model finds likelier"
    grid = Table(title=title, title_justify="left", caption=caption, caption_justify="left")
    grid.add_column("text")
    grid.add_column("part")
    for header in ("nats/token", "perplexity", *(f"{HEADERS[band]} %" for band in BANDS), "tokens", "median"):
        grid.add_column(header, justify="right", no_wrap=True)
    for label, side in texts(found).items():
        for scope in ("reasoning/", "answer/", ""):
            grid.add_row(label, scope.removesuffix("/") or "both", *_cells(found, f"{side}{scope}"))
            label = ""
        grid.add_section()
    return grid


def texts(found: Numbers) -> dict[str, str]:
    """Label: prefix of the keys."""
    refined = f"{SOURCE}nll_per_token" in found and not _unchanged(found)
    shown = {"source": SOURCE, "refined": TRAINED} if refined else {"dataset": TRAINED}
    return shown | ({"own (floor)": FLOOR} if f"{FLOOR}nll_per_token" in found else {})


def _unchanged(found: Numbers) -> bool:
    return all(found[f"similarity/{scope}rouge_l"] == 1 for scope in SCOPES)


def _cells(found: Numbers, key: str) -> list[str]:
    ranks = [f"{100 * found[f'{key}rank/{band}']:.1f}" for band in BANDS]
    nats = with_error(found, f"{key}nll_per_token")
    return [
        nats,
        f"{found[f'{key}perplexity']:,.2f}",
        *ranks,
        f"{found[f'{key}tokens']:.1f}",
        f"{found[f'{key}tokens/q50']:.0f}",
    ]


def with_error(found: Numbers, key: str) -> str:
    error = found.get(f"{key}/stderr")
    return f"{found[key]:.3f}" + ("" if error is None else f" ± {error:.3f}")


def summary(found: Numbers) -> list[str]:
    """What the table does not show: the distance to the floor, what the floor lacks, what refinement changed."""
    lines = []
    if "above_floor/nll_per_token" in found:
        n = found["above_floor/nll_per_token/n"]
        above = with_error(found, "above_floor/nll_per_token")
        lines.append(f"above the floor: {above} nats/token, over the {n} prompts whose own reply is usable")
    parts = [f"{100 * found[f'floor/{name}']:.1f} % {name}" for name in ("unfinished", "malformed")]
    lines.append(f"own replies left out of the floor: {', '.join(parts)} of {found['floor/unfinished/n']}")
    if "refined" in texts(found):
        lines.append(
            f"refined against source: ROUGE-L {with_error(found, 'similarity/rouge_l')}, "
            f"{with_error(found, 'similarity/nll_difference')} nats/token"
        )
    return lines
