"""Two arms on the same items: the difference in points with its interval, and whether it is beyond chance.

Both arms share model, data, n and every other setting but the refinement, and are paired by seed and by item. With one
seed and one reply an item, the p-value is the exact McNemar test's on the discordant items. Otherwise items (within
their benchmark) and seeds are resampled together (the pigeonhole bootstrap of Owen 2007, clustered by item and seed);
over items alone where there is one seed. With several seeds the t test over the seeds' differences has to agree: the
wider interval and the larger p count. Benchmarks weigh alike, as they do in the means of metrics.json.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dgr.compare.columns import CONFIDENCE
from dgr.compare.grouping import Group
from dgr.compare.rows import MEASURES, RunRows
from dgr.compare.runs import Run

RESAMPLES = 9_999
MCNEMAR, BOOTSTRAP, SEEDS = "exact McNemar", "paired bootstrap", "paired bootstrap, t over seeds"


@dataclass(frozen=True)
class Paired:
    """`effect` is the group minus the baseline, in points. `p_holm` is Holm's correction of `p` over the table."""

    group: Group
    baseline: Group
    kind: str
    effect: float
    low: float
    high: float
    p: float
    seeds: int
    items: int
    method: str
    p_holm: float = 1.0

    @property
    def beyond_chance(self) -> bool:
        return self.p_holm < 1 - CONFIDENCE


def against(groups: Sequence[Group], rows: Mapping[Run, RunRows], baseline: str) -> tuple[list[Paired], list[str]]:
    """Every other arm against the baseline arm, for each kind of benchmark; and why some are left out."""
    found, left_out = [], []
    base = [group for group in groups if group.first.named("refine") == baseline]
    trained = [group for group in groups if group not in base and group.first.n_samples > 0]  # n=0: the same model
    for group in trained:
        matching = [other for other in base if _setting(other) == _setting(group)]
        if len(matching) != 1:
            many = f"{len(matching)} settings of {baseline} match" if matching else f"no {baseline} run"
            left_out.append(f"{group.name}: {many} at the same model, data, n and settings")
            continue
        pairs = [pair for kind in MEASURES if (pair := compare(group, matching[0], kind, rows))]
        found += pairs
        if not pairs:
            left_out.append(f"{group.name}: no seed and item in common with {matching[0].name}")
    return holm(found), left_out


def holm(pairs: Sequence[Paired]) -> list[Paired]:
    if not pairs:
        return []
    from statsmodels.stats.multitest import multipletests

    corrected = multipletests([pair.p for pair in pairs], method="holm")[1]
    return [replace(pair, p_holm=float(p)) for pair, p in zip(pairs, corrected, strict=True)]


def _setting(group: Group) -> tuple:
    settings = group.first.settings.items()
    return tuple(sorted((key, repr(value)) for key, value in settings if not key.startswith("refine.")))


def compare(group: Group, baseline: Group, kind: str, rows: Mapping[Run, RunRows]) -> Paired | None:
    """None where the two have no seed or no item in common."""
    theirs = {run.seed: run for run in baseline.runs}
    pairs = [(rows[run], rows[theirs[run.seed]]) for run in group.runs if run.seed in theirs]
    pairs = [pair for pair in pairs if all(kind in side.scores for side in pair)]
    blocks = _blocks(kind, pairs) if pairs else []
    if not blocks:
        return None
    effect = float(np.mean([block.mean() for block in blocks]))
    low, high, p = resampled(blocks)
    method = BOOTSTRAP
    if len(pairs) > 1:
        low, high, p = over_seeds_too(blocks, low, high, p)
        method = SEEDS
    elif not any(side.both_answers for side in pairs[0]):
        p, method = mcnemar_p(np.concatenate([block[0] for block in blocks])), MCNEMAR
    points = [100 * number for number in (effect, low, high)]
    return Paired(group, baseline, kind, *points, p, len(pairs), sum(block.shape[1] for block in blocks), method)


def _blocks(kind: str, pairs: Sequence[tuple[RunRows, RunRows]]) -> list[np.ndarray]:
    """For each benchmark the differences, seeds x items, over the items that every run has."""
    sides = [side.scores[kind] for pair in pairs for side in pair]
    blocks = []
    for name in [name for name in sides[0] if all(name in side for side in sides)]:
        items = sorted(set.intersection(*(set(side[name]) for side in sides)))
        if items:
            scores = np.array([[side[name][item] for item in items] for side in sides])
            blocks.append(scores[0::2] - scores[1::2])
    return blocks


def mcnemar_p(differences: np.ndarray) -> float:
    """Of differences -1, 0 and 1. It stays exact over several benchmarks, whatever their weights: under the null
    hypothesis each discordant item is as likely to fall either way."""
    from statsmodels.stats.contingency_tables import mcnemar

    up, down = int((differences > 0).sum()), int((differences < 0).sum())
    return float(mcnemar([[0, up], [down, 0]], exact=True).pvalue) if up + down else 1.0


def over_seeds_too(blocks: Sequence[np.ndarray], low: float, high: float, p: float) -> tuple[float, float, float]:
    """The wider of the bootstrap's interval and the t interval over the seeds' differences, and the larger p.

    Few seeds that happen to fall on the same side leave the bootstrap certain, however far apart they are.
    """
    from scipy.stats import ttest_1samp

    by_seed = np.mean([block.mean(axis=1) for block in blocks], axis=0)
    if np.ptp(by_seed) == 0:  # nothing differs between seeds, the t test has no error to go by
        return low, high, p
    found = ttest_1samp(by_seed, 0.0)
    between = found.confidence_interval(CONFIDENCE)
    # a difference of two shares lies between -1 and 1
    left, right = max(float(between.low), -1.0), min(float(between.high), 1.0)
    return min(low, left), max(high, right), max(p, float(found.pvalue))


def resampled(blocks: Sequence[np.ndarray]) -> tuple[float, float, float]:
    """Percentile interval of the mean over blocks, and the two-sided p-value that belongs to it; never below
    2 / (RESAMPLES + 1). `blocks` are seeds x items; resampling works on their indices."""
    from scipy.stats import bootstrap

    seeds = blocks[0].shape[0]
    indices = [np.arange(block.shape[1]) for block in blocks]

    def mean(*drawn: np.ndarray, axis: int = -1) -> np.ndarray:
        items = drawn[1:] if seeds > 1 else drawn
        # one seed less than there are: resampling all of few would find too little variance (Rao and Wu 1988)
        chosen = drawn[0][..., : seeds - 1]
        means = []
        for block, columns in zip(blocks, items, strict=True):
            by_item = block[chosen].mean(axis=-2) if seeds > 1 else np.broadcast_to(block[0], columns.shape)
            means.append(np.take_along_axis(by_item, columns, -1).mean(axis=-1))
        return np.mean(means, axis=0)

    if any(len(one) < 2 for one in indices):
        effect = float(np.mean([block.mean() for block in blocks]))
        return effect, effect, 1.0
    data = [np.arange(seeds), *indices] if seeds > 1 else indices
    found = bootstrap(
        data, mean, vectorized=True, n_resamples=RESAMPLES, batch=2_000, method="percentile",
        confidence_level=CONFIDENCE, rng=0,
    )  # fmt: skip
    drawn = found.bootstrap_distribution
    tail = min((drawn <= 0).sum(), (drawn >= 0).sum())
    low, high = found.confidence_interval
    return float(low), float(high), min(1.0, 2 * (int(tail) + 1) / (RESAMPLES + 1))
