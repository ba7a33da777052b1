"""What `python -m dgr.probe` measured, as figures and a sentence of the report."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dgr.compare.escaping import markup
from dgr.compare.figures import Figure
from dgr.compare.finding import FAVOURITE
from dgr.compare.panels import DASHES, PALETTE, SYMBOLS, axis, panel, places, trace
from dgr.files import read_json
from dgr.probe.causal import NONE, RANDOM, SIDES, SPREAD
from dgr.probe.direction import HARM
from dgr.probe.intervals import over_draws
from dgr.probe.measure import FORMAT
from dgr.probe.requests import CATEGORIES, TESTS
from dgr.probe.table import by_setting

Probe = Mapping[str, Any]
Entry = Mapping[str, Any]
TEN = 10  # the n that the claim is about


def read_probe(folder: Path) -> Probe | None:
    """The sweep's probe.json; None where there is none. ValueError for one that cannot be read."""
    path = folder / "probe.json"
    if not path.exists():
        return None
    value = read_json(path)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise ValueError(f"{path} was written by another version; run python -m dgr.probe sweep={folder.name} again")
    return value


def figures(probe: Probe) -> list[Figure]:
    return [make(probe) for make in (linear, steering, shift, weights, ablation)]


def linear(probe: Probe) -> Figure:
    """Where harm can be read."""
    place = probe["direction"]
    about = (
        "probe-linear",
        "Can harm be read off the untouched model?",
        f"Logistic regressions on hidden states of {probe['target']}, fitted on other topics and categories: the area "
        "under the ROC curve by layer (0: the embeddings), with 95 % intervals. Words: the same from the request's "
        "words alone. Dotted: the training labels shuffled. The direction below is taken at layer "
        f"{place['layer']}, {place['position'].replace('_', ' ')}.",
    )
    probes = probe["linear"]["probes"]
    panels = []
    for split in TESTS:
        traces = []
        for number, position in enumerate(dict.fromkeys(one["position"] for one in probes)):
            chosen = [one for one in probes if one["position"] == position]
            layers, areas = [one["layer"] for one in chosen], [one[split]["auroc"] for one in chosen]
            label = position.replace("_", " ")
            traces.append(_line(label, layers, areas, number))
            shuffled = [float(np.mean(area["shuffled"])) for area in areas]
            line = {"color": PALETTE[number % len(PALETTE)], "dash": "dot", "width": 1}
            traces.append(trace(f"{label}, shuffled", layers, shuffled, mode="lines", line=line))
        words = probe["linear"]["words"][split]["auroc"]["value"]
        ends = [probes[0]["layer"], probes[-1]["layer"]]
        traces.append(trace("words", ends, [words, words], mode="lines", line={"color": "#888", "dash": "dash"}))
        panels.append(panel(traces, axis("layer", dtick=1), axis("AUROC", range=[0.2, 1.04]), split.replace("_", " ")))
    return Figure(*about, panels)


def steering(probe: Probe) -> Figure:
    """Refusal of the untouched model under added directions."""
    about = (
        "probe-steering",
        "Does adding the direction make the untouched model refuse?",
        f"Refusals while a direction is added to the residual stream at layer {probe['direction']['layer']}, in "
        "lengths of the direction of harm; random: the mean of several directions of that length. 95 % intervals.",
    )
    if not probe["steering"]:
        return Figure(*about, reason="the evaluation has no requests of its own to ask")
    start = next(one for one in probe["steering"] if one["direction"] == NONE)
    names = dict.fromkeys(one["direction"] for one in probe["steering"] if one["direction"] != NONE)
    panels = []
    for side in SIDES:
        traces = []
        for number, name in enumerate(names):
            chosen = [start, *(one for one in probe["steering"] if one["direction"] == name)]
            chosen = sorted((one for one in chosen if side in one), key=lambda one: one["alpha"])
            alphas, refused = [one["alpha"] for one in chosen], [one[side]["refusal"] for one in chosen]
            traces.append(_line(markup(name), alphas, refused, number, 100))
        panels.append(panel(traces, "alpha", axis("% refused", range=[-4, 104]), f"{side} requests"))
    return Figure(*about, panels)


def shift(probe: Probe) -> Figure:
    """How much of what training moved lies along the direction."""
    about = (
        "probe-shift",
        "Does training move along the direction of harm?",
        "Share of the squared shift of the mean hidden state (held-out requests) along the direction. Grey: random "
        "directions drawn from the states' own spread, mean (dotted) and 95 % quantile (dashed), of the first arm; an "
        f"isotropic one expects {100 / probe['direction']['width']:.2g} %. Means over seeds, 95 % intervals.",
    )
    if not probe["points"]:
        return Figure(*about, reason=_NO_POINTS)
    panels = []
    for side in SIDES:
        traces = _by_n(probe, lambda point, side=side: point["shift"][side].get("share"), 100)
        traces += [_control(probe, side, key, dash) for key, dash in (("spread", "dot"), ("spread_high", "dash"))]
        panels.append(panel(traces, _n_axis(probe), axis("% of the shift", rangemode="tozero"), f"{side} requests"))
    return Figure(*about, panels)


def _control(probe: Probe, side: str, key: str, dash: str) -> dict[str, Any]:
    """A control's mean over the seeds of the first arm, over n."""
    groups, place = by_setting(probe), _places(probe)
    arm = next(iter(groups))[0]
    shares: dict[int, list[float]] = {}
    for n in sorted(n for name, n in groups if name == arm):
        moved = [point["shift"][side] for point in groups[arm, n]]
        shares[n] = [100 * one["controls"][key] for one in moved if "controls" in one]
    x, y = zip(*((place[n], float(np.mean(found))) for n, found in shares.items() if found), strict=True)
    line = {"color": "#888", "dash": dash}
    return trace(key.replace("_", " "), list(x), list(y), mode="lines", line=line)


def weights(probe: Probe) -> Figure:
    """How much training changed."""
    about = (
        "probe-weights",
        "How much of the model does training change?",
        "Norm of the change relative to the weights, and its effective rank (exp of the entropy of the singular "
        "values) over all matrices. Means over seeds, 95 % t intervals.",
    )
    if not probe["points"]:
        return Figure(*about, reason=_NO_POINTS)

    def total(key: str) -> Callable[[Probe], Entry | None]:
        def entry(point: Probe) -> Entry | None:
            value = point["weights"]["total"][key]
            return None if value is None else {"value": value, "low": value, "high": value, "n": 1}

        return entry

    norm = panel(_by_n(probe, total("relative_norm"), 100), _n_axis(probe), axis("% of the weights' norm"))
    rank = panel(_by_n(probe, total("effective_rank"), 1), _n_axis(probe), axis("effective rank"))
    return Figure(*about, [norm, rank])


def ablation(probe: Probe) -> Figure:
    """Refusal of trained points without the direction."""
    about = (
        "probe-ablation",
        "Does the trained model still refuse without the direction?",
        "Harmful requests refused as trained (none) and while a direction is projected out at every layer: of harm, of "
        "an instruction, a random one, one drawn from the states' own spread. What is no longer refused need not be "
        "answered: it may be garbled. Means over seeds, 95 % intervals.",
    )
    having = [point for point in probe["points"] if point["ablation"] and "harmful" in point["ablation"][NONE]]
    if not having:
        return Figure(*about, reason=_NO_POINTS if not probe["points"] else "the evaluation has no harmful requests")
    first = {arm: group[0] for (arm, _), group in by_setting({"points": having}).items()}
    start = [{**point, "n_samples": 0, "ablation": probe["untouched"]["ablation"]} for point in first.values()]
    shown, panels = {**probe, "points": [*start, *having]}, []
    for arm in first:
        traces = []
        for number, name in enumerate(having[0]["ablation"]):
            traces += _by_n(shown, _refusal(name), 100, only=arm, label=name, style=number)
        panels.append(panel(traces, _n_axis(shown), axis("% refused", range=[-4, 104]), markup(arm)))
    return Figure(*about, panels)


def _refusal(name: str) -> Callable[[Probe], Entry | None]:
    return lambda point: point["ablation"][name]["harmful"]["refusal"]


_NO_POINTS = "no trained point was probed; run python -m dgr.probe with sweep=NAME"


def _by_n(
    probe: Probe,
    value: Callable[[Probe], Entry | None],
    scale: float,
    only: str | None = None,
    label: str | None = None,
    style: int | None = None,
) -> list[dict[str, Any]]:
    """One line an arm over n, or the line of one arm."""
    lines: dict[str, dict[int, Entry]] = {}
    for (arm, n), group in by_setting(probe).items():
        entries = [entry for point in group if (entry := value(point)) is not None]
        if entries and only in (None, arm):
            highest = 1.0 if scale == 100 else None
            lines.setdefault(arm, {})[n] = over_draws(entries, highest)
    place = _places(probe)
    return [
        _line(
            markup(label or arm),
            [place[n] for n in sorted(found)],
            [found[n] for n in sorted(found)],
            number if style is None else style,
            scale,
            [f"{markup(label or arm)}, n={n:,}" for n in sorted(found)],
        )
        for number, (arm, found) in enumerate(lines.items())
    ]


def _line(
    name: str, x: list, entries: Sequence[Entry], number: int, scale: float = 1.0, hover: list[str] | None = None
) -> dict[str, Any]:
    color = PALETTE[number % len(PALETTE)]
    bars = {
        "type": "data",
        "array": [scale * max(one["high"] - one["value"], 0.0) for one in entries],
        "arrayminus": [scale * max(one["value"] - one["low"], 0.0) for one in entries],
        "thickness": 1,
        "width": 3,
        "color": color,
    }
    return trace(
        name,
        x,
        [scale * one["value"] for one in entries],
        mode="lines+markers",
        line={"color": color, "dash": DASHES[number % len(DASHES)]},
        marker={"size": 8, "symbol": SYMBOLS[number % len(SYMBOLS)]},
        error_y=bars,
        **({"hovertext": hover} if hover else {}),
    )


def _places(probe: Probe) -> dict[int, float]:
    return places(sorted({point["n_samples"] for point in probe["points"]}))


def _n_axis(probe: Probe) -> dict[str, Any]:
    place = _places(probe)
    return axis("training samples", type="log", tickvals=list(place.values()), ticktext=[f"{n:,}" for n in place])


def sentence(probe: Probe) -> str:
    """What was found, by fixed rules: the probe where the direction is taken, alpha 1 (else the smallest above 0), and
    `dgr` (else another arm; of several settings that with the largest n) at ten samples (else the fewest)."""
    place = probe["direction"]
    one = next(
        found
        for found in probe["linear"]["probes"]
        if (found["position"], found["layer"]) == (place["position"], place["layer"])
    )[CATEGORIES]["auroc"]
    words = probe["linear"]["words"][CATEGORIES]["auroc"]["value"]
    said = [
        f"Harm can be read off the untouched {probe['target']} with an AUROC of {one['value']:.2f} "
        f"[{one['low']:.2f}, {one['high']:.2f}] in held-out categories (words alone {words:.2f}, shuffled labels "
        f"{np.mean(one['shuffled']):.2f})",
        *_steered(probe),
        *_trained(probe),
    ]
    return "; ".join(said) + "."


def _steered(probe: Probe) -> list[str]:
    alphas = sorted({one["alpha"] for one in probe["steering"] or () if one["alpha"] > 0}, key=lambda a: (a != 1, a))
    if not alphas:
        return []
    found = {one["direction"]: one.get("harmful") for one in probe["steering"] if one["alpha"] == alphas[0]}
    if not found[HARM]:
        return []
    refused = {name: 100 * found[name]["refusal"]["value"] for name in (HARM, RANDOM)}
    return [
        f"adding {alphas[0]:g} of the direction makes it refuse {refused[HARM]:.0f} % of harmful requests (random "
        f"directions: {refused[RANDOM]:.0f} %)"
    ]


def _trained(probe: Probe) -> list[str]:
    groups = by_setting(probe)
    if not groups:
        return []
    arm, _ = max(groups, key=lambda group: (group[0].split(" ")[0] == FAVOURITE, group[1]))
    n = min((n for name, n in groups if name == arm), key=lambda n: (n != TEN, n))
    points = groups[arm, n]
    moved = [point["shift"]["harmful"] for point in points if "share" in point["shift"]["harmful"]]
    if not moved:
        return [f"{arm} at n={n:,} moves no hidden state"]
    share, spread = (100 * float(np.mean(values)) for values in zip(*map(_shares, moved), strict=True))
    said = [
        f"training on {n:,} samples ({arm}) moves harmful requests to {share:.1f} % along it (by chance {spread:.1f} %)"
    ]
    ablated = [point["ablation"] for point in points if point["ablation"] and "harmful" in point["ablation"][NONE]]
    if ablated:
        trained, without, random = (
            100 * float(np.mean([one[name]["harmful"]["refusal"]["value"] for one in ablated]))
            for name in (NONE, HARM, SPREAD)
        )
        said.append(
            f"it then refuses {trained:.0f} % of them, {without:.0f} % with the direction projected out and "
            f"{random:.0f} % with a random one of the states' spread"
        )
    return said


def _shares(moved: Mapping[str, Any]) -> tuple[float, float]:
    return moved["share"]["value"], moved["controls"]["spread"]
