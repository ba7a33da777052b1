"""A study's figure as a small SVG for documents: rows of marks with their intervals, from the report's own figure."""

import html
import math
from typing import Any

from dgr.compare.figures import Figure

WIDTH, LEFT, ROW, TOP, BOTTOM = 900, 400, 26, 24, 64
INK, LINE = "#333", "#ddd"


def svg(figure: Figure) -> str:
    """Of a figure whose y axis lists names, as the studies' figures do."""
    panel = figure.panels[0]
    names = list(dict.fromkeys(name for trace in panel["data"] for name in trace["y"]))
    ticks, place = _axis(panel)
    height = TOP + ROW * len(names) + BOTTOM
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        "<style>text{font-size:12px}</style>",
        f"<title>{html.escape(figure.title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    foot = TOP + ROW * len(names)
    for value in ticks:
        x = place(value)
        lines.append(f'<path d="M{x:.1f} {TOP}V{foot}" stroke="{LINE}"/>')
        lines.append(_text(x, foot + 16, f"{value:g}", "middle"))
    lines.append(_text((LEFT + WIDTH) / 2, foot + 34, panel["layout"]["xaxis"]["title"]["text"], "middle"))
    lines += [_text(LEFT - 10, TOP + ROW * row + 17, name, "end", escaped=True) for row, name in enumerate(names)]
    for number, trace in enumerate(panel["data"]):
        shift = ROW * (number + 1) / (len(panel["data"]) + 1)
        lines += _marks(trace, {name: TOP + ROW * row + shift for row, name in enumerate(names)}, place)
        x = LEFT + 150 * number
        lines.append(f'<circle cx="{x}" cy="{foot + 50}" r="4" fill="{trace["marker"]["color"]}"/>')
        lines.append(_text(x + 10, foot + 54, trace["name"], "start", escaped=True))
    return "\n".join([*lines, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, anchor: str, escaped: bool = False) -> str:
    """Names of traces and rows are escaped already."""
    shown = text if escaped else html.escape(text)
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{INK}">{shown}</text>'


def _marks(trace: dict[str, Any], rows: dict[str, float], place) -> list[str]:
    color, bars = trace["marker"]["color"], trace.get("error_x")
    found = []
    for position, (value, name) in enumerate(zip(trace["x"], trace["y"], strict=True)):
        if bars:
            left, right = value - bars["arrayminus"][position], value + bars["array"][position]
            line = f"M{place(left):.1f} {rows[name]:.1f}H{place(right):.1f}"
            found.append(f'<path d="{line}" stroke="{color}" stroke-width="1.5"/>')
        found.append(f'<circle cx="{place(value):.1f}" cy="{rows[name]:.1f}" r="4" fill="{color}" fill-opacity=".8"/>')
    return found


def _axis(panel: dict[str, Any]):
    """The ticks, and a function from a value to its place."""
    axis = panel["layout"]["xaxis"]
    values = [0.0] if axis.get("type") != "log" else []
    for trace in panel["data"]:
        bars = trace.get("error_x") or {"array": [0] * len(trace["x"]), "arrayminus": [0] * len(trace["x"])}
        for value, up, down in zip(trace["x"], bars["array"], bars["arrayminus"], strict=True):
            values += [value - down, value + up]
    low, high = axis.get("range") or (min(values), max(values))
    if axis.get("type") == "log":
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [10.0**power for power in powers]
        low, high, scale = math.log10(ticks[0]), math.log10(ticks[-1]), math.log10
    else:
        ticks, scale = _round_ticks(low, high), float
        low, high = min(low, ticks[0]), max(high, ticks[-1])
    return ticks, lambda value: LEFT + 10 + (WIDTH - LEFT - 40) * (scale(value) - low) / ((high - low) or 1)


def _round_ticks(low: float, high: float) -> list[float]:
    step = 10 ** math.floor(math.log10((high - low) or 1))
    step = next(step * part for part in (0.2, 0.5, 1, 2) if (high - low) / (step * part) <= 8)
    first = math.floor(low / step)
    return [step * number for number in range(first, math.ceil(high / step) + 1)]
