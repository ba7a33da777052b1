"""What a comparison says about the claims that the studies test: sentences, a table and figures each.

A study is recognised by its data: an arm beside the baseline (what does refinement save?), five datasets at one n (does
the tax go with the gap?), three numbers of samples (how many switch refusal on?).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from dgr.compare.activation import THRESHOLD, Threshold, thresholds
from dgr.compare.columns import CONFIDENCE
from dgr.compare.comparison import Comparison
from dgr.compare.figures import HARMFUL, TAX_COLUMN, Figure, group_cell
from dgr.compare.grouping import GAP, TAX, Group
from dgr.compare.paired import Paired, compare
from dgr.compare.panels import Styles
from dgr.compare.study_figures import correlation_figure, curves_figure, gap_figure, tax_figure, threshold_figure

RESAMPLES = 999
METHOD = "dgr"  # the arm that the claims are about
PROBES = ("best_of_n", "cross_rewrite")
ABSTRACT = "abstract of arXiv 2602.02136"
# dataset (its name's end, for both worlds) -> the mean reasoning accuracy over vanilla SFT that the abstract states
GAINS = {"direct_refusal": "+30.2 %", "r1_act": "+21.2 %"}


@dataclass(frozen=True)
class Study:
    """`sentences` are computed from the numbers; `open` are those of them that the claim does not hold for."""

    title: str
    sentences: list[str]
    headers: list[str]
    rows: list[list[str]]
    figures: list[Figure] = field(default_factory=list)
    open: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Strength:
    """How gap and tax go together over the datasets of a scope, with bootstrap intervals over datasets and seeds."""

    scope: str
    points: int
    spearman: tuple[float, float, float]
    pearson: tuple[float, float, float]


@dataclass
class Found:
    """The numbers behind the studies."""

    pairs: list[Paired] = field(default_factory=list)
    strengths: list[Strength] = field(default_factory=list)
    probes: list[Paired] = field(default_factory=list)
    thresholds: list[Threshold] = field(default_factory=list)
    groups: Sequence[Group] = ()
    styles: Styles = field(default_factory=lambda: Styles([]))


def studies(comparison: Comparison) -> list[Study]:
    """Those that the runs are enough for."""
    groups = comparison.groups
    curves = thresholds(groups, comparison.rows)
    found = Found(method_pairs(comparison), strengths(groups), probes(comparison), curves, groups, Styles(groups))
    made = [make(found) for make in (_tax, _correlation, _activation, _claims)]
    return [study for study in made if study is not None]


def method_pairs(comparison: Comparison) -> list[Paired]:
    """dgr's reasoning against the baseline's at the largest n of each world."""
    pairs = [p for p in comparison.paired if p.kind == "reasoning" and p.group.first.named("refine") == METHOD]
    largest: dict[str, int] = {}
    for pair in pairs:
        largest[pair.group.world] = max(largest.get(pair.group.world, 0), pair.group.first.n_samples)
    return [pair for pair in pairs if pair.group.first.n_samples == largest[pair.group.world]]


def _tax(found: Found) -> Study | None:
    if not found.pairs:
        return None
    headers = ["dataset", "arm", "its tax", "baseline's tax", "saved [95 %]", "p", "seeds"]
    rows = [
        [p.group.world, p.group.arm, _mean(p.group), _mean(p.baseline), _interval(p), _p(p.p), str(p.seeds)]
        for p in found.pairs
    ]
    sentences = [
        f"{p.group.world}, n={p.group.first.n_samples:,}: {p.baseline.arm} loses {_mean(p.baseline)} points, "
        f"{p.group.arm} {_mean(p.group)}; saved {_interval(p)}, paired {_p(p.p)}, {_count(p.seeds, 'seed')}."
        for p in found.pairs
    ]
    unsure = [
        f"{p.group.world}, {p.group.arm}: {_interval(p)} points, {_p(p.p_holm)} after Holm's correction: "
        f"{'it costs more' if p.beyond_chance else 'not beyond chance'}."
        for p in found.pairs
        if p.effect <= 0 or not p.beyond_chance
    ]
    title = "Does refined data cost less reasoning?"
    return Study(title, sentences, headers, rows, [tax_figure(found.pairs, found.styles)], unsure)


def strengths(groups: Sequence[Group]) -> list[Strength]:
    """Over all datasets of a model at the number of samples that most of them have, and within each source."""
    found = []
    for model in dict.fromkeys(group.first.named("model") for group in groups):
        own = [
            g
            for g in groups
            if g.first.named("model") == model and g.first.n_samples and {GAP, TAX} <= g.metrics.keys()
        ]
        if not own:
            continue
        n = Counter(group.first.n_samples for group in own).most_common(1)[0][0]
        own = [group for group in own if group.first.n_samples == n]
        if len(own) < 5:
            continue
        scopes = {f"{model}, all sources": own}
        for source in dict.fromkeys(group.first.named("data") for group in own):
            scopes[f"{model}, {source}"] = [group for group in own if group.first.named("data") == source]
        whole = [_strength(scope, members) for scope, members in scopes.items() if len(members) >= 4]
        found += [strength for strength in whole if strength is not None]
    return found


def _strength(scope: str, groups: Sequence[Group]) -> Strength | None:
    """None where gap or tax never varies. Seeds are drawn first: a dataset drawn twice is the same point twice."""
    values = [np.array([[run.metrics[GAP], run.metrics[TAX]] for run in group.runs]) for group in groups]
    whole = _coefficients(np.array([[one.mean(axis=0) for one in values]]))[0]
    if np.isnan(whole).any():
        return None
    rng = np.random.default_rng(0)
    means = [one[rng.integers(len(one), size=(RESAMPLES, len(one)))].mean(axis=1) for one in values]
    drawn = rng.integers(len(values), size=(RESAMPLES, len(values), 1))
    resampled = _coefficients(np.take_along_axis(np.stack(means, axis=1), drawn, axis=1))
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.nanpercentile(resampled, [tail, 100 - tail], axis=0)
    return Strength(scope, len(groups), *zip(*(map(float, side) for side in (whole, low, high)), strict=True))


def _coefficients(points: np.ndarray) -> np.ndarray:
    """Spearman's and Pearson's of each row of `points` [rows, datasets, 2]; nan where a side never varies."""
    from scipy.stats import rankdata

    found = []
    for values in (rankdata(points, axis=1), points):
        centred = values - values.mean(axis=1, keepdims=True)
        spread = np.sqrt((centred**2).sum(axis=1).prod(axis=1))
        with np.errstate(invalid="ignore", divide="ignore"):
            found.append(np.where(spread > 1e-12, centred.prod(axis=2).sum(axis=1) / spread, np.nan))
    return np.stack(found, axis=1)


def probes(comparison: Comparison) -> list[Paired]:
    """best_of_n and cross_rewrite against plain dgr in the same setting: the gap moves, the prompt does not."""
    found = []
    for group in comparison.groups:
        if group.first.named("refine") not in PROBES:
            continue
        plain = [
            other
            for other in comparison.groups
            if other.first.named("refine") == METHOD
            and (other.world, other.first.n_samples) == (group.world, group.first.n_samples)
            and all(
                other.first.config["refine"].get(k) == group.first.config["refine"].get(k) for k in ("part", "prompt")
            )
        ]
        pair = compare(group, plain[0], "reasoning", comparison.rows) if len(plain) == 1 else None
        found += [pair] if pair else []
    return found


def _correlation(found: Found) -> Study | None:
    if not found.strengths:
        return None
    headers = ["over", "datasets", "Spearman [95 %]", "Pearson [95 %]"]
    rows = [[s.scope, str(s.points), _triple(s.spearman), _triple(s.pearson)] for s in found.strengths]
    sentences = [f"{s.scope}: {_direction(s)} over {s.points} datasets." for s in found.strengths]
    for pair in found.probes:
        moved = pair.group.metrics[GAP] - pair.baseline.metrics[GAP]
        sentences.append(
            f"{pair.group.world}: {pair.group.arm} in place of {METHOD} moves the gap by {moved:+.2f} nats and the tax "
            f"by {0 - pair.effect:+.1f} points [{0 - pair.high:+.1f}, {0 - pair.low:+.1f}], {_p(pair.p)}, "
            f"{_count(pair.seeds, 'seed')}."
        )
    title = "Does the tax grow with the gap?"
    figures = [gap_figure(found.groups, found.styles), correlation_figure(found.strengths)]
    unsure = [f"{s.scope}: {_direction(s)}." for s in found.strengths if s.spearman[1] <= 0]
    return Study(title, sentences, headers, rows, figures, unsure)


def _direction(strength: Strength) -> str:
    rho, low, high = strength.spearman
    told = f"Spearman's rho = {rho:.2f} [{low:.2f}, {high:.2f}]"
    if low > 0:
        return f"the tax grows with the gap, {told}"
    return f"the tax falls as the gap grows, {told}" if high < 0 else f"no direction can be told, {told}"


def _activation(found: Found) -> Study | None:
    if not found.thresholds:
        return None
    headers = [
        "dataset",
        "arm",
        "budget",
        "requests",
        f"samples for {THRESHOLD:.0%} of the last",
        "95 %",
        "refused at the last n",
    ]
    rows = [
        [
            t.world,
            t.arm,
            t.budget,
            t.benchmark,
            f"{t.n:,}",
            f"{t.low:,} to {t.high:,}",
            f"{t.reference:.1%} at {t.largest:,}",
        ]
        for t in found.thresholds
    ]
    sentences = [
        f"{t.world}, {t.arm}, {t.budget}: {t.benchmark} reaches {THRESHOLD:.0%} of its refusal at n={t.largest:,} "
        f"({t.reference:.1%}) with n={t.n:,} [{t.low:,}, {t.high:,}], {_count(t.seeds, 'seed')}."
        for t in found.thresholds
        if t.arm.split(" ")[0] == METHOD
    ]
    title = "How many samples switch refusal on?"
    figures = [curves_figure(found.groups), threshold_figure(found.thresholds)]
    unsure = [
        f"{t.world}, {t.arm}, {t.budget}: {t.benchmark} needs {_count(t.n, 'sample')} [{t.low:,}, {t.high:,}]"
        f"{', not 10' if t.n > 10 else '; more than 10 cannot be ruled out'}."
        for t in found.thresholds
        if t.arm.split(" ")[0] == METHOD and t.high > 10
    ]
    return Study(title, sentences, headers, rows, figures, unsure)


def _claims(found: Found) -> Study | None:
    """What the abstract states beside what these runs measured; the columns never mix."""
    rows = [[what, f"{said} ({ABSTRACT})", measured] for what, said, measured in _claim_rows(found)]
    if not rows:
        return None
    return Study("The paper's claims and these runs", [], ["claim", "paper says", "measured here"], rows)


def _claim_rows(found: Found) -> Iterator[tuple[str, str, str]]:
    for pair in (one for one in found.pairs if one.group.first.config["refine"]["part"] == "both"):
        for source, gain in GAINS.items():
            if pair.group.first.named("data").endswith(source):
                harmful = [group_cell(group, HARMFUL) for group in (pair.baseline, pair.group)]
                safety = (
                    ""
                    if None in harmful
                    else f"; harmful replies {harmful[0].value:.1f} % and {harmful[1].value:.1f} %"
                )
                before = pair.baseline.metrics["reasoning/accuracy"]
                relative = f"{pair.effect / before:+.1f} % of the baseline's" if before else "from a baseline at 0"
                measured = f"{pair.group.world}, {pair.group.arm}: {_interval(pair)} points, {relative}{safety}"
                yield f"reasoning accuracy over vanilla SFT, {source}", f"{gain}, at equal safety", measured
    for strength in found.strengths:
        if strength.scope.endswith("all sources"):
            yield "degradation and distribution shift", "they correlate", f"{strength.scope}: {_direction(strength)}"
    for one in found.thresholds:
        if one.arm.split(" ")[0] == METHOD and one.at_ten is not None:
            rates = f"{one.at_ten:.1%} refused at 10, {one.reference:.1%} at {one.largest:,}"
            measured = f"{one.world}, {one.budget}, {one.benchmark}: {rates}"
            yield "samples that activate refusal", "10 are enough", measured


def _mean(group: Group) -> str:
    """The tax over seeds with its standard deviation; with one seed its standard error."""
    found = group_cell(group, TAX_COLUMN)
    return "?" if found is None else found.text(1)


def _interval(pair: Paired) -> str:
    return f"{pair.effect:+.1f} [{pair.low:+.1f}, {pair.high:+.1f}]"


def _triple(values: tuple[float, float, float]) -> str:
    return "{:.2f} [{:.2f}, {:.2f}]".format(*values)


def _p(value: float) -> str:
    return "p < .001" if value < 0.001 else f"p = {value:.2g}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
