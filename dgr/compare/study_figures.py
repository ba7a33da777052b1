"""The studies' figures: each number with its interval, one line a row."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dgr.compare.activation import curves
from dgr.compare.columns import Column, rate
from dgr.compare.escaping import markup
from dgr.compare.figures import GAP_COLUMN, TAX_COLUMN, Figure, group_cell
from dgr.compare.grouping import TAX, Group
from dgr.compare.paired import Paired
from dgr.compare.panels import DASHES, MANY, PALETTE, SYMBOLS, Styles, axis, error, panel, places, shortened, trace

if TYPE_CHECKING:
    from dgr.compare.activation import Threshold
    from dgr.compare.studies import Strength

WORLDS = 3  # targets with datasets that a figure of curves can hold


def tax_figure(pairs: Sequence[Paired], styles: Styles) -> Figure:
    """Every seed's tax, arm beside baseline."""
    traces = []
    for number, side in enumerate(("group", "baseline")):
        runs = [(pair, run) for pair in pairs[:MANY] for run in getattr(pair, side).runs]
        color = styles.color(getattr(pairs[0], side))
        traces.append(
            trace(
                markup(getattr(pairs[0], side).first.named("refine")),
                [run.metrics.get(TAX) for _, run in runs],
                [markup(pair.group.world) for pair, _ in runs],
                mode="markers",
                marker={"color": color, "symbol": SYMBOLS[number], "size": 10, "opacity": 0.7},
                hovertext=[markup(f"{run.name}") for _, run in runs],
            )
        )
    reading = "A mark is a seed. Further left is better; at zero nothing was lost against the untouched model."
    title = "What refinement saves, seed by seed"
    return Figure(
        "study-tax", title, reading, [_rows(traces, axis("tax, points", rangemode="tozero"), len(pairs[:MANY]) + 4)]
    )


def gap_figure(groups: Sequence[Group], styles: Styles) -> Figure:
    """Gap against tax: a line joins the settings of one strategy on one dataset, at the n that most groups have."""
    n = Counter(group.first.n_samples for group in groups if group.first.n_samples).most_common(1)[0][0]
    families: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        if group.first.n_samples == n:
            families.setdefault((group.first.named("refine"), group.world), []).append(group)
    traces = []
    for (arm, world), members in families.items():
        points = [(one, group_cell(one, GAP_COLUMN), group_cell(one, TAX_COLUMN)) for one in members]
        points = sorted((point for point in points if point[1] and point[2]), key=lambda point: point[1].value)
        color = styles.color(members[0])
        traces.append(
            trace(
                markup(f"{arm}, {world}"),
                [x.value for _, x, _ in points],
                [y.value for *_, y in points],
                mode="lines+markers",
                line={"color": color, "dash": DASHES[styles.worlds.index(world) % len(DASHES)]},
                marker={"color": color, "symbol": styles.symbol(members[0]), "size": 8},
                error_y=error([y for *_, y in points], color),
                hovertext=[markup(one.name) for one, *_ in points],
            )
        )
    reading = (
        "A point is a setting, mean over seeds with the tax's 95 % interval; a line joins those of one strategy on one "
        "dataset (parts of a rewrite, numbers of candidates, rewriters, shares of foreign wording)."
    )
    drawn = panel([one for one in traces if one["x"]], GAP_COLUMN.header, TAX_COLUMN.header)
    return Figure("study-gap", "Does data that is farther from the model cost more?", reading, [drawn])


def correlation_figure(strengths: Sequence["Strength"]) -> Figure:
    """Spearman's and Pearson's coefficient of gap and tax."""
    traces = []
    for number, name in enumerate(("Spearman", "Pearson")):
        values = [getattr(one, name.lower()) for one in strengths]
        names = [markup(f"{one.scope} ({one.points})") for one in strengths]
        traces.append(_intervals(name, values, names, number))
    reading = (
        "Correlation of gap and tax over datasets with its 95 % interval (bootstrap over datasets and seeds); the "
        "number of datasets in brackets. An interval that holds 0 leaves the direction open."
    )
    drawn = _rows(traces, axis("correlation", range=[-1.05, 1.05]), len(strengths) + 4)
    return Figure("study-correlation", "How closely tax and gap go together", reading, [drawn])


def curves_figure(groups: Sequence[Group]) -> Figure:
    """Refusal of every kind of request, and reasoning, against the number of samples: a colour an arm, a dash a budget.

    The untouched model begins every curve of its world.
    """
    found = list(curves(groups).items())
    untouched = {group.world: group for group in groups if not group.first.n_samples}
    place = places(sorted({0, *(group.first.n_samples for _, curve in found for group in curve)}))
    arms, budgets = (list(dict.fromkeys(key[part] for key, _ in found)) for part in (1, 2))
    worlds = list(dict.fromkeys(key[0] for key, _ in found))[:WORLDS]
    ticks = {"type": "log", "tickvals": list(place.values()), "ticktext": [f"{n:,}" for n in place]}
    panels = []
    for world in worlds:
        for title, column in _measures(groups, world):
            traces = []
            for (_, arm, budget), curve in ((key, curve) for key, curve in found if key[0] == world):
                points = [(one, group_cell(one, column)) for one in (untouched.get(world), *curve) if one]
                points = [(one, cell) for one, cell in points if cell]
                color = PALETTE[arms.index(arm) % len(PALETTE)]
                traces.append(
                    trace(
                        markup(f"{arm}, {budget}"),
                        [place[one.first.n_samples] for one, _ in points],
                        [cell.value for _, cell in points],
                        mode="lines+markers",
                        line={"color": color, "dash": DASHES[budgets.index(budget)]},
                        marker={"color": color, "symbol": SYMBOLS[arms.index(arm) % len(SYMBOLS)], "size": 7},
                        error_y=error([cell for _, cell in points], color),
                        hovertext=[markup(f"{one.name}, n={one.first.n_samples:,}") for one, _ in points],
                    )
                )
            shown = title if len(worlds) == 1 else f"{title} ({world})"
            panels.append(
                panel(traces, axis("training samples", **ticks), axis(column.header, range=[-4, 104]), markup(shown))
            )
    reading = (
        "Harmful requests should be refused, harmless ones should not, and reasoning should stay where it was. Mean "
        "over seeds with its 95 % interval; the number of samples is on a logarithmic axis, with 0 (the untouched "
        "model) at its left end."
    )
    return Figure("study-curves", "What a number of samples does", reading, panels)


def _measures(groups: Sequence[Group], world: str) -> list[tuple[str, Column]]:
    """Titles and numbers of the panels, as far as a world's runs have them."""
    keys = dict.fromkeys(key for group in groups if group.world == world for run in group.runs for key in run.metrics)
    found = []
    for key in keys:
        side, _, name = key.rpartition("/")[0].partition("/")
        if name and "/" not in name and key in (f"safety/{name}/refusal_rate", f"over_refusal/{name}/rate"):
            wanted = "harmful" if side == "safety" else "harmless"
            shown = name.replace("_", " ")
            found.append((shown if wanted in shown else f"{shown} ({wanted})", rate("% refused", key)))
    return [*found, ("reasoning", rate("% right", "reasoning/accuracy"))]


def threshold_figure(thresholds: Sequence["Threshold"]) -> Figure:
    """Samples that refusal needs, a colour a budget."""
    traces, several = [], len({one.world for one in thresholds}) > 1
    for number, budget in enumerate(dict.fromkeys(one.budget for one in thresholds)):
        chosen = [one for one in thresholds[:MANY] if one.budget == budget]
        values = [(one.n, one.low, one.high) for one in chosen]
        names = [markup(_request(one) + (f" ({one.world})" if several else "")) for one in chosen]
        traces.append(_intervals(budget, values, names, number))
    reading = (
        "The smallest number of samples from which on refusal is at least 90 % of what it is at the largest, with its "
        "95 % interval (bootstrap over seeds and items)." + shortened(thresholds, "curves")
    )
    counts = sorted({n for one in thresholds[:MANY] for n in (one.n, one.low, one.high)})
    ticks = {"type": "log", "tickvals": counts, "ticktext": [f"{n:,}" for n in counts]}
    drawn = _rows(traces, axis("training samples", **ticks), len(thresholds[:MANY]) + 4)
    return Figure("study-activation", "How many samples refusal needs", reading, [drawn])


def _request(one: "Threshold") -> str:
    return f"{one.arm}: {one.benchmark.replace('_', ' ')}"


def _intervals(name: str, values: Sequence[tuple], names: list[str], number: int) -> dict[str, Any]:
    color = PALETTE[number % len(PALETTE)]
    bars = {"type": "data", "thickness": 1, "width": 3, "color": color}
    bars |= {
        "array": [high - value for value, _, high in values],
        "arrayminus": [value - low for value, low, _ in values],
    }
    marker = {"color": color, "symbol": SYMBOLS[number % len(SYMBOLS)], "size": 9}
    x = [value for value, *_ in values]
    return trace(markup(name), x, names, mode="markers", marker=marker, error_x=bars)


def _rows(traces: list, x: str | dict, rows: int) -> dict[str, Any]:
    return panel(traces, x, axis("", automargin=True, autorange="reversed", type="category"), rows=rows)
