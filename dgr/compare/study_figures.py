"""The studies' figures: each number with its interval, one line a row."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dgr.compare.escaping import markup
from dgr.compare.figures import Figure
from dgr.compare.grouping import TAX
from dgr.compare.paired import Paired
from dgr.compare.panels import MANY, PALETTE, SYMBOLS, Styles, axis, panel, shortened, trace

if TYPE_CHECKING:
    from dgr.compare.activation import Threshold
    from dgr.compare.studies import Strength


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
    return Figure("study-tax", title, reading, [_rows(traces, "tax, points", len(pairs[:MANY]) + 4)])


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
    return Figure("study-correlation", "Does the tax grow with the gap?", reading, [drawn])


def threshold_figure(thresholds: Sequence["Threshold"]) -> Figure:
    """Samples that refusal needs, a colour a budget."""
    traces = []
    for number, budget in enumerate(dict.fromkeys(one.budget for one in thresholds)):
        chosen = [one for one in thresholds[:MANY] if one.budget == budget]
        values = [(one.n, one.low, one.high) for one in chosen]
        names = [markup(f"{one.arm}: {one.benchmark.replace('_', ' ')} ({one.world})") for one in chosen]
        traces.append(_intervals(budget, values, names, number))
    reading = (
        "The smallest number of samples from which on refusal is at least 90 % of what it is at the largest, with its "
        "95 % interval (bootstrap over seeds and items)." + shortened(thresholds, "curves")
    )
    counts = sorted({n for one in thresholds[:MANY] for n in (one.n, one.low, one.high)})
    ticks = {"type": "log", "tickvals": counts, "ticktext": [f"{n:,}" for n in counts]}
    drawn = _rows(traces, axis("training samples", **ticks), len(thresholds[:MANY]) + 4)
    return Figure("study-activation", "How many samples refusal needs", reading, [drawn])


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
