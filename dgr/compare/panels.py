"""What the figures are made of: colours and symbols, traces, axes and error bars of plotly."""

from collections.abc import Iterator, Sequence
from typing import Any

from dgr.compare.escaping import markup
from dgr.compare.grouping import Group

# Okabe and Ito's colours, told apart by most colour-blind readers, without black and yellow
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
SYMBOLS = ("circle", "square", "triangle-up", "diamond-tall", "x", "star")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MANY = 40  # lines or boxes a figure can hold
POINTS = 150  # of one loss curve


class Styles:
    """One colour an arm, one symbol a dataset; the same in every figure."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.arms = list(dict.fromkeys(group.first.named("refine") for group in groups))
        self.worlds = list(dict.fromkeys(group.world for group in groups))

    def color(self, group: Group) -> str:
        return PALETTE[self.arms.index(group.first.named("refine")) % len(PALETTE)]

    def symbol(self, group: Group) -> str:
        return SYMBOLS[self.worlds.index(group.world) % len(SYMBOLS)]

    def label(self, group: Group) -> str:
        """The arm, and the world where there are several."""
        return markup(f"{group.arm} · {group.world}" if len(self.worlds) > 1 else group.arm)


def error(cells: Sequence, color: str | None = None) -> dict[str, Any]:
    """Plotly's error bars from the cells' intervals."""
    up = [0 if one.high is None else max(one.high - one.value, 0) for one in cells]
    down = [0 if one.low is None else max(one.value - one.low, 0) for one in cells]
    return {"type": "data", "array": up, "arrayminus": down, "thickness": 1, "width": 3} | (
        {"color": color} if color else {}
    )


def axis(title: str, **more: Any) -> dict[str, Any]:
    return {"title": {"text": title}, **more}


def places(counts: Sequence[int]) -> dict[int, float]:
    """Where each n stands on a logarithmic axis; 0 a third of a decade or more left of the smallest."""
    smallest = min((n for n in counts if n > 0), default=1)
    return {n: n if n > 0 else smallest / 4 for n in counts}


def thinned(curve: Sequence[tuple[int, float]]) -> Iterator[tuple[int, float]]:
    """Means of as many neighbours as leave POINTS points."""
    size = -(-len(curve) // POINTS) if len(curve) > POINTS else max(1, len(curve) // 50)
    for begin in range(0, len(curve), size):
        part = curve[begin : begin + size]
        yield part[-1][0], sum(value for _, value in part) / len(part)


def shortened(found: Sequence, what: str) -> str:
    return f" The first {MANY} of {len(found)} {what}; use --where to choose others." if len(found) > MANY else ""


def trace(name: str, x: list, y: list, **more: Any) -> dict[str, Any]:
    return {"type": "scatter", "name": name, "x": x, "y": y, **more}


def panel(traces: list, x: str | dict, y: str | dict, title: str = "", rows: int = 0) -> dict[str, Any]:
    layout = {"xaxis": x if isinstance(x, dict) else axis(x), "yaxis": y if isinstance(y, dict) else axis(y)}
    if rows:
        layout["height"] = 140 + 26 * rows
    return {"title": title, "data": traces, "layout": layout}
