"""probe.json for a person: a table a question, and where it was written."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dgr.probe.causal import NONE
from dgr.probe.requests import CATEGORIES, TOPICS

Value = Mapping[str, Any]


def show(probe: Value, folder: Path, console: Console | None = None) -> None:
    console = console or Console(width=None if sys.stdout.isatty() else 120)
    for table in tables(probe):
        console.print(table)
    console.print(Text(f"written: {folder}/probe.json, probe_rows.jsonl, probe_weights.jsonl"), soft_wrap=True)


def tables(probe: Value) -> Iterator[Table]:
    yield linear(probe)
    if probe["steering"]:
        yield steering(probe)
    if probe["points"] or probe["untouched"]["ablation"]:
        yield points(probe)


def _grid(title: str, caption: str, texts: list[str], numbers: list[str]) -> Table:
    grid = Table(title=title, title_justify="left", caption=caption, caption_justify="left")
    for header in texts:
        grid.add_column(header)
    for header in numbers:
        grid.add_column(header, justify="right")
    return grid


def linear(probe: Value) -> Table:
    caption = "AUROC [95 % interval, whole topics resampled]; shuffled: mean with the training labels shuffled"
    grid = _grid(
        f"{probe['target']}: is harm linearly readable?",
        caption,
        ["position", "layer"],
        ["held-out topics", "shuffled", "held-out categories", "shuffled"],
    )
    place = {"position": probe["direction"]["position"], "layer": probe["direction"]["layer"]}
    for one in probe["linear"]["probes"]:
        mark = " *" if {key: one[key] for key in place} == place else ""
        grid.add_row(one["position"], f"{one['layer']}{mark}", *_areas(one))
    grid.add_section()
    grid.add_row("words", "-", *_areas(probe["linear"]["words"]))
    grid.caption = f"{caption}; *: where the direction is taken"
    return grid


def _areas(one: Value) -> Iterator[str]:
    for split in (TOPICS, CATEGORIES):
        area = one[split]["auroc"]
        yield f"{area['value']:.3f} [{area['low']:.3f}, {area['high']:.3f}]"
        yield f"{np.mean(area['shuffled']):.3f}"


def steering(probe: Value) -> Table:
    grid = _grid(
        f"{probe['target']}: does adding a direction make it refuse?",
        "% refused and % neither refused nor answered [95 % interval]; alpha in lengths of the direction of harm",
        ["direction", "alpha"],
        ["harmful: refused", "neither", "harmless: refused", "neither"],
    )
    for one in probe["steering"]:
        cells = [
            percent(one.get(side, {}).get(key)) for side in ("harmful", "harmless") for key in ("refusal", "neither")
        ]
        grid.add_row(one["direction"], f"{one['alpha']:g}", *cells)
    return grid


def points(probe: Value) -> Table:
    """Means over the seeds of an arm and n."""
    names = [name for name in (probe["untouched"]["ablation"] or {}) if name != NONE]
    grid = _grid(
        f"{probe['target']}: what training changed",
        "means over seeds. share: of the squared shift of harmful requests along the direction of harm; chance: that "
        "of directions drawn from the states' spread; refused: harmful requests; -x: with direction x projected out "
        "(+ what was neither refused nor answered)",
        ["arm", "n"],
        ["seeds", "weights %", "rank", "shift", "cosine", "share %", "chance %", "refused %"]
        + [f"-{name} %" for name in names],
    )
    if probe["untouched"]["ablation"]:
        grid.add_row("untouched", "0", *[""] * 7, *_refused([probe["untouched"]], [NONE, *names]))
    for (arm, n), group in by_setting(probe).items():
        counts = f"{n:,}", str(len(group))
        grid.add_row(arm, *counts, *_changed(group), *_moved(group), *_refused(group, [NONE, *names]))
    return grid


def _changed(group: list[Value]) -> list[str]:
    totals = [point["weights"]["total"] for point in group]
    ranks = [total["effective_rank"] for total in totals if total["effective_rank"] is not None]
    return [
        f"{100 * np.mean([total['relative_norm'] for total in totals]):.2f}",
        f"{np.mean(ranks):.0f}" if ranks else "-",
    ]


def _moved(group: list[Value]) -> list[str]:
    moved = [point["shift"]["harmful"] for point in group]
    size = f"{np.mean([one['size']['value'] for one in moved]):.2f}"
    if not all("share" in one for one in moved):
        return [size, "-", "-", "-"]
    cosine, share = (np.mean([one[key]["value"] for one in moved]) for key in ("cosine", "share"))
    chance = np.mean([one["controls"]["spread"] for one in moved])
    return [size, f"{cosine:.2f}", f"{100 * share:.1f}", f"{100 * chance:.1f}"]


def _refused(group: list[Value], names: list[str]) -> Iterator[str]:
    for name in names:
        found = [point["ablation"][name].get("harmful") for point in group if point["ablation"]]
        if not found or None in found:
            yield "-"
            continue
        refused, neither = (100 * np.mean([one[key]["value"] for one in found]) for key in ("refusal", "neither"))
        yield f"{refused:.0f} (+{neither:.0f})" if round(neither) else f"{refused:.0f}"


def by_setting(probe: Value) -> dict[tuple[str, int], list[Value]]:
    """The points by arm and n; the arm names its dataset where there are several."""
    several = len({point["data"] for point in probe["points"]}) > 1
    groups: dict[tuple[str, int], list[Value]] = {}
    for point in probe["points"]:
        arm = f"{point['arm']} / {point['data']}" if several else point["arm"]
        groups.setdefault((arm, point["n_samples"]), []).append(point)
    return groups


def percent(rate: Value | None) -> str:
    return "-" if rate is None else f"{100 * rate['value']:.0f} [{100 * rate['low']:.0f}, {100 * rate['high']:.0f}]"
