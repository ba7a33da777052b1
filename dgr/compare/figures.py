"""The report's figures as plain plotly specifications; colours of text and ground are the page's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dgr.compare.columns import BASE, Cell, Column, cell, rate
from dgr.compare.comparison import Comparison, untouched
from dgr.compare.escaping import markup
from dgr.compare.grouping import GAP, TAX, Group
from dgr.compare.panels import (
    DASHES,
    MANY,
    PALETTE,
    SYMBOLS,
    Styles,
    axis,
    error,
    panel,
    places,
    shortened,
    thinned,
    trace,
)
from dgr.compare.rows import read_losses

ACCURACY = rate("reasoning accuracy %", "reasoning/accuracy")
HARMFUL = rate("harmful replies %", "safety/harmful_rate")
OVER = rate("over-refusal", "over_refusal/rate")
TAX_COLUMN, GAP_COLUMN = Column("tax, points", TAX), Column("gap, nats/token", GAP, decimals=2)


@dataclass(frozen=True)
class Figure:
    """`panels` hold plotly's data and layout; where there are none, `reason` says why."""

    id: str
    title: str
    reading: str
    panels: list[dict[str, Any]] = field(default_factory=list)
    reason: str = ""


def figures(comparison: Comparison) -> list[Figure]:
    return [make(comparison) for make in (trade_off, tax, activation, gap, fallback, thinking, loss)]


def group_cell(group: Group, column: Column) -> Cell | None:
    return cell([run.metrics for run in group.runs], column)


def trade_off(comparison: Comparison) -> Figure:
    """Safety against reasoning."""
    about = (
        "trade-off",
        "Safety against reasoning",
        "Up and to the right is better. The grey line joins the settings that no other one beats in both (Pareto "
        "front); whether an arm buys its safety by refusing everything is in the over-refusal column. Bars are 95 % "
        "intervals; a number beside a point is the number of training samples.",
    )
    styles = Styles(comparison.groups)
    points = [(group, group_cell(group, ACCURACY), group_cell(group, HARMFUL)) for group in comparison.groups]
    points = [point for point in points if point[1] and point[2]]
    if not points:
        return Figure(*about, reason="no finished run has both a reasoning and a safety benchmark")
    traces = [_front([(x.value, 100 - y.value) for _, x, y in points])]
    for label in dict.fromkeys(styles.label(group) for group, *_ in points):
        chosen = [point for point in points if styles.label(point[0]) == label]
        traces.append(_scatter(label, chosen, styles, lambda harmful: 100 - harmful))
    for name, metrics in untouched(comparison.runs).items():
        x, y = (cell([metrics], column, BASE) for column in (ACCURACY, HARMFUL))
        if x and y:
            marker = {"symbol": "star-diamond", "size": 13, "color": "#888"}
            traces.append(trace(markup(name), [x.value], [100 - y.value], mode="markers", marker=marker))
    y_axis = axis("harmful requests not answered, %", range=[-4, 112])
    return Figure(*about, [panel(traces, ACCURACY.header, y_axis)])


def _scatter(label: str, points: Sequence[tuple], styles: Styles, turn: Callable[[float], float]) -> dict[str, Any]:
    group, color = points[0][0], styles.color(points[0][0])
    flipped = error([y for *_, y in points], color)
    flipped["array"], flipped["arrayminus"] = flipped["arrayminus"], flipped["array"]
    return trace(
        label,
        [x.value for _, x, _ in points],
        [turn(y.value) for *_, y in points],
        mode="markers+text" if len(points) <= 12 else "markers",
        text=[f"{group.first.n_samples:,}" for group, *_ in points],
        textposition="top center",
        hovertext=[markup(group.name) for group, *_ in points],
        marker={"color": color, "size": 10, "symbol": styles.symbol(group)},
        error_x=error([x for _, x, _ in points], color),
        error_y=flipped,
    )


def _front(points: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """The points that no other one is at least as good as in both and better in one."""
    best, front = -1.0, []
    for x, y in sorted(set(points), reverse=True):
        if y > best:
            best = y
            front.append((x, y))
    x, y = zip(*front, strict=True)
    return trace("Pareto front", list(x), list(y), mode="lines", line={"color": "#999", "width": 6}, opacity=0.4)


def tax(comparison: Comparison) -> Figure:
    """What each arm costs, by n."""
    about = (
        "tax",
        "Safety tax by arm and number of training samples",
        "Accuracy lost against the untouched model, in points. Lower is better; below zero something was gained. Bars "
        "are 95 % intervals.",
    )
    return _by_n(comparison, about, [("", TAX_COLUMN)], TAX_COLUMN.header, split=False)


def activation(comparison: Comparison) -> Figure:
    """Refusal and over-refusal against n."""
    about = (
        "activation",
        "How many samples switch refusal on",
        "Refusal of harmful requests should rise, over-refusal of harmless ones should not. The number of samples is "
        "on a logarithmic axis, with 0 (the untouched model) at its left end.",
    )
    keys = dict.fromkeys(key for run in comparison.runs for key in run.metrics)
    named = [key for key in keys if key.startswith("safety/") and key.endswith("/refusal_rate") and key.count("/") == 2]
    lines = [(key.split("/")[1].replace("_", " "), rate("", key)) for key in named]
    if len({group.first.n_samples for group in comparison.groups}) < 2:
        return Figure(*about, reason="all runs have the same n_samples; sweep it, for example n_samples=0,1,10,100")
    return _by_n(comparison, about, [*lines, ("over-refusal", OVER)], "% of requests refused", split=True)


def _by_n(
    comparison: Comparison, about: tuple[str, str, str], columns: Sequence[tuple[str, Column]], y: str, split: bool
) -> Figure:
    """Lines over n: one panel for all arms, or (`split`) a panel an arm with a line a column."""
    styles, panels = Styles(comparison.groups), {}
    lines: dict[str, list[Group]] = {}
    for group in comparison.groups:
        lines.setdefault(styles.label(group), []).append(group)
    lines = {label: sorted(groups, key=lambda group: group.first.n_samples) for label, groups in lines.items()}
    place = places(sorted({group.first.n_samples for group in comparison.groups}))
    for label, groups in list(lines.items())[:MANY]:
        for number, (name, column) in enumerate(columns):
            points = [(group, found) for group in groups if (found := group_cell(group, column))]
            if not points:
                continue
            color = PALETTE[number % len(PALETTE)] if split else styles.color(groups[0])
            line = trace(
                name or label,
                [place[group.first.n_samples] for group, _ in points],
                [found.value for _, found in points],
                mode="lines+markers",
                line={"color": color, "dash": DASHES[(number if split else _world(styles, groups)) % len(DASHES)]},
                marker={"size": 8, "symbol": SYMBOLS[number % len(SYMBOLS)] if split else styles.symbol(groups[0])},
                error_y=error([found for _, found in points], color),
                hovertext=[markup(f"{group.name}, n={group.first.n_samples:,}") for group, _ in points],
            )
            panels.setdefault(label if split else "", []).append(line)
    if not panels:
        return Figure(*about, reason="no finished run has these numbers")
    ticks = {"type": "log", "tickvals": list(place.values()), "ticktext": [f"{n:,}" for n in place]}
    y_axis = axis(y, range=[-4, 104]) if split else axis(y)
    made = [panel(traces, axis("training samples", **ticks), y_axis, title) for title, traces in panels.items()]
    return Figure(*about, made)


def _world(styles: Styles, groups: Sequence[Group]) -> int:
    return styles.worlds.index(groups[0].world)


def gap(comparison: Comparison) -> Figure:
    """Gap against tax."""
    about = (
        "gap",
        "Does data that is farther from the model cost more?",
        "Gap: nats per token of the training texts under the untouched model. A point is a setting, mean over seeds.",
    )
    styles = Styles(comparison.groups)
    points = [(group, group_cell(group, GAP_COLUMN), group_cell(group, TAX_COLUMN)) for group in comparison.groups]
    points = [point for point in points if point[1] and point[2]]
    if not points:
        return Figure(*about, reason="no finished run has both a gap and a tax")
    traces = []
    for label in dict.fromkeys(styles.label(group) for group, *_ in points):
        chosen = [point for point in points if styles.label(point[0]) == label]
        color = styles.color(chosen[0][0])
        traces.append(
            trace(
                label,
                [x.value for _, x, _ in chosen],
                [y.value for *_, y in chosen],
                mode="markers",
                marker={"color": color, "size": 9, "symbol": styles.symbol(chosen[0][0])},
                error_x=error([x for _, x, _ in chosen], color),
                error_y=error([y for *_, y in chosen], color),
                hovertext=[markup(group.name) for group, *_ in chosen],
            )
        )
    said = comparison.correlation
    reading = f"{about[2]} {said}." if said else f"{about[2]} Too few settings for a correlation (three are needed)."
    return Figure(*about[:2], reading, [panel(traces, GAP_COLUMN.header, TAX_COLUMN.header)])


def fallback(comparison: Comparison) -> Figure:
    """Why samples stayed the source's."""
    about = (
        "fallback",
        "Why rewrites were given up",
        "Share of the samples that keep the source's text because no rewrite passed, by the checks that the last "
        "attempt failed.",
    )
    shares: dict[str, dict[str, float]] = {}
    for group in comparison.groups:
        rows = [comparison.rows[run] for run in group.runs if run in comparison.rows]
        total = sum(row.n_samples for row in rows)
        for row in rows if total else ():
            for reason, count in row.fallback.items():
                of_group = shares.setdefault(reason, {})
                of_group[group.name] = of_group.get(group.name, 0.0) + 100 * count / total
    if not shares:
        return Figure(*about, reason="no sample fell back to its source")
    names = list(
        dict.fromkeys(group.name for group in comparison.groups if any(group.name in s for s in shares.values()))
    )
    kept, traces = names[:MANY], []
    for number, (reason, by_group) in enumerate(sorted(shares.items(), key=lambda pair: -sum(pair[1].values()))):
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": markup(reason),
                "y": [markup(name) for name in kept],
                "x": [by_group.get(name, 0.0) for name in kept],
                "marker": {"color": PALETTE[number % len(PALETTE)], "opacity": 1 - 0.3 * (number // len(PALETTE) % 3)},
            }
        )
    drawn = panel(traces, "% of samples", axis("", automargin=True, autorange="reversed"), rows=len(kept))
    drawn["layout"]["barmode"] = "stack"
    return Figure(*about[:2], about[2] + shortened(names, "settings"), [drawn])


def thinking(comparison: Comparison) -> Figure:
    """How long the reasoning items were thought about."""
    about = (
        "thinking",
        "How long the model thinks",
        "Tokens of the think block on reasoning items: median, quartiles, and the 5th and 95th percentile.",
    )
    having = [(group, _thinking(comparison, group)) for group in comparison.groups]
    having = [(group, tokens) for group, tokens in having if len(tokens)]
    if not having:
        return Figure(*about, reason="no reply to a reasoning benchmark was found in the runs' evaluation folders")
    styles, traces = Styles(comparison.groups), []
    for group, tokens in having[:MANY]:
        low, first, middle, third, high = (float(value) for value in np.percentile(tokens, [5, 25, 50, 75, 95]))
        box = {"lowerfence": [low], "q1": [first], "median": [middle], "q3": [third], "upperfence": [high]}
        shown = {"name": markup(group.name), "y": [markup(group.name)], "marker": {"color": styles.color(group)}}
        traces.append({"type": "box", "orientation": "h", "showlegend": False, **box, **shown})
    y_axis = axis("", automargin=True, autorange="reversed")
    drawn = panel(traces, axis("tokens of thinking", rangemode="tozero"), y_axis, rows=len(traces))
    return Figure(*about[:2], about[2] + shortened(having, "settings"), [drawn])


def _thinking(comparison: Comparison, group: Group) -> list[int]:
    return [tokens for run in group.runs if run in comparison.rows for tokens in comparison.rows[run].thinking]


def loss(comparison: Comparison) -> Figure:
    """Loss curves."""
    about = (
        "loss",
        "Training loss",
        "One line a setting (its first seed), smoothed over neighbouring steps, log axis.",
    )
    styles, traces = Styles(comparison.groups), []
    curves = [(group, read_losses(group.first)) for group in comparison.groups[:MANY]]
    curves = [(group, curve) for group, curve in curves if curve]
    for number, (group, curve) in enumerate(curves):
        steps, losses = zip(*thinned(curve), strict=True)
        line = {"color": styles.color(group), "width": 1.5, "dash": DASHES[number % len(DASHES)]}
        traces.append(trace(markup(group.name), list(steps), list(losses), mode="lines", line=line))
    if not traces:
        return Figure(*about, reason="no finished run was trained")
    reading = about[2] + shortened(comparison.groups, "settings")
    return Figure(*about[:2], reading, [panel(traces, "step", axis("loss", type="log"))])
