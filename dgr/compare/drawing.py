"""A figure of the report as SVG, for documents: its scatter traces, drawn by matplotlib."""

import html
import io
from typing import TYPE_CHECKING, Any

from dgr.compare.figures import Figure
from dgr.compare.panels import DASHES, SYMBOLS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = dict(zip(DASHES, ("-", "--", ":", "-.", (0, (8, 3)), (0, (8, 3, 1, 3))), strict=True))
MARKS = dict(zip(SYMBOLS, ("o", "s", "^", "d", "X", "*"), strict=True))
STYLE = {"svg.hashsalt": "dgr", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False,
         "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3, "legend.frameon": False}  # fmt: skip
WIDTH = 9.0  # inches


def svg(figure: Figure) -> str:
    """The same bytes for the same figure. Panels stand side by side, three in a row at most; the legend is below."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        from matplotlib.figure import Figure as Canvas

        across = {1: 1, 2: 2, 4: 2}.get(len(figure.panels), 3)
        down = -(-len(figure.panels) // across)
        rows = max(len(_names(panel)) for panel in figure.panels)
        height = 1.0 + 0.28 * rows if rows else 3.2 if across < 3 else 2.2  # inches, of a panel
        labels = {html.unescape(trace["name"]) for panel in figure.panels for trace in panel["data"]}
        columns = max(1, min(4, 110 // (8 + max(map(len, labels)))))  # as many as a line has room for
        legend = 0.2 * -(-len(labels) // columns)
        canvas = Canvas(figsize=(WIDTH, height * down + 0.3 + legend), layout="constrained")
        axes = [canvas.add_subplot(down, across, place + 1) for place in range(len(figure.panels))]
        for ax, panel in zip(axes, figure.panels, strict=True):
            _draw(ax, panel)
            ax.tick_params(labelsize=9 if across < 3 else 6.5)
        canvas.suptitle(figure.title, fontsize=11)
        handles = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
        if len(handles) > 1:
            canvas.legend(handles.values(), handles, loc="outside lower center", ncols=columns)
        out = io.StringIO()
        canvas.savefig(out, format="svg", metadata={"Date": None})
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _names(panel: dict[str, Any]) -> list[str]:
    """The rows of a panel whose y axis lists names; else empty."""
    if panel["layout"]["yaxis"].get("type") != "category":
        return []
    return list(dict.fromkeys(html.unescape(name) for trace in panel["data"] for name in trace["y"]))


def _draw(ax: "Axes", panel: dict[str, Any]) -> None:
    names = _names(panel)
    for number, trace in enumerate(panel["data"]):
        y = trace["y"]
        if names:
            shift = 0.6 * ((number + 0.5) / len(panel["data"]) - 0.5)
            y = [names.index(html.unescape(name)) + shift for name in y]
        _trace(ax, trace, y)
    for which, axis in (("x", panel["layout"]["xaxis"]), ("y", panel["layout"]["yaxis"])):
        ax.set(**{f"{which}label": html.unescape(axis["title"]["text"])})
        if axis.get("type") == "log":
            ax.set(**{f"{which}scale": "log"})
            getattr(ax, f"{which}axis").minorticks_off()
        if "tickvals" in axis:
            ax.set(**{f"{which}ticks": axis["tickvals"], f"{which}ticklabels": axis["ticktext"]})
        if axis.get("rangemode") == "tozero":
            ax.set_xlim(left=min(0, ax.get_xlim()[0])) if which == "x" else ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
        if "range" in axis:
            ax.set(**{f"{which}lim": axis["range"]})
    if names:
        ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    ax.set_title(html.unescape(panel["title"]), fontsize=9)


def _trace(ax: "Axes", trace: dict[str, Any], y: list[float]) -> None:
    line, mark = trace.get("line", {}), trace.get("marker", {})
    bars = {
        f"{side[-1]}err": [trace[side]["arrayminus"], trace[side]["array"]]
        for side in ("error_x", "error_y")
        if side in trace
    }
    shown = ax.errorbar(
        trace["x"],
        y,
        **bars,
        label=html.unescape(trace["name"]),
        color=mark.get("color") or line.get("color"),
        linestyle=LINES[line.get("dash", "solid")] if "lines" in trace["mode"] else "none",
        marker=MARKS.get(mark.get("symbol"), "o") if "markers" in trace["mode"] else "none",
        markersize=5,
        linewidth=1.3,
        elinewidth=1,
        alpha=mark.get("opacity", 0.9),
    )
    shown.lines[0].set_zorder(3)
