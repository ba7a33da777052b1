"""The sentences on top of the report, computed from its numbers."""

from collections.abc import Sequence

from dgr.compare.columns import BASE, Cell, Column, cell
from dgr.compare.comparison import Comparison
from dgr.compare.figures import ACCURACY, HARMFUL, OVER, TAX_COLUMN
from dgr.compare.grouping import Group
from dgr.compare.paired import Paired

FAVOURITE = "dgr"  # the arm that the sentence is about, if it is there


def finding(comparison: Comparison) -> list[str]:
    """What a reader should know first; never a choice of the best number: the arm is `dgr`, else the first one, at the
    largest n and the first dataset."""
    if not comparison.groups:
        return ["No run has finished yet."]
    reasoning = [pair for pair in comparison.paired if pair.kind == "reasoning"]
    if not reasoning:
        return [_alone(comparison), f"No arm can be compared with the baseline, {comparison.baseline}, yet."]
    pair = _chosen(reasoning)
    return [_against(pair), _safety(pair.group, pair.baseline), _count(reasoning, comparison.baseline)]


def _chosen(pairs: Sequence[Paired]) -> Paired:
    favourite = [pair for pair in pairs if pair.group.first.named("refine") == FAVOURITE] or list(pairs)
    world = favourite[0].group.world
    return max((pair for pair in favourite if pair.group.world == world), key=lambda pair: pair.group.first.n_samples)


def _against(pair: Paired) -> str:
    group, ours, theirs = pair.group, _text(pair.group, TAX_COLUMN), _text(pair.baseline, TAX_COLUMN)
    sure = "beyond chance" if pair.beyond_chance else "not beyond chance"
    difference = f"{abs(pair.effect):.1f} points {'less' if pair.effect > 0 else 'more'}"
    return (
        f"Trained on {group.first.n_samples:,} samples ({group.world}), {group.arm} costs {ours} points of reasoning "
        f"accuracy and {pair.baseline.arm} {theirs}: {difference} [{pair.low:+.1f}, {pair.high:+.1f}], {sure} "
        f"(p = {pair.p_holm:.2g} after Holm's correction; {pair.items} items, {_seeds(pair.seeds)})."
    )


def _safety(group: Group, baseline: Group) -> str:
    before = cell([group.first.metrics], HARMFUL, BASE)
    arms = (group, baseline)
    harmful, over = ([cell_of for arm in arms if (cell_of := _cell(arm, column))] for column in (HARMFUL, OVER))
    if before is None or len(harmful) < len(arms):
        return ""
    said = f"Harmful replies: {before.value:.1f} % untouched, {_of_both(arms, harmful)}."
    return f"{said} Harmless requests declined: {_of_both(arms, over)}." if len(over) == len(arms) else said


def _of_both(arms: Sequence[Group], cells: Sequence[Cell]) -> str:
    return " and ".join(f"{one.value:.1f} % with {arm.arm}" for arm, one in zip(arms, cells, strict=True))


def _count(pairs: Sequence[Paired], baseline: str) -> str:
    better = sum(pair.beyond_chance and pair.effect > 0 for pair in pairs)
    worse = sum(pair.beyond_chance and pair.effect < 0 for pair in pairs)
    return f"Of {len(pairs)} comparisons of reasoning with {baseline}: {better} better, {worse} worse beyond chance."


def _alone(comparison: Comparison) -> str:
    lines = [f"{group.name}: {_text(group, ACCURACY)} % reasoning accuracy" for group in comparison.groups[:2]]
    return f"{len(comparison.runs)} finished runs. {'; '.join(lines)}."


def _seeds(number: int) -> str:
    return f"{number} seeds" if number > 1 else "1 seed"


def _cell(group: Group, column: Column) -> Cell | None:
    return cell([run.metrics for run in group.runs], column)


def _text(group: Group, column: Column) -> str:
    found = _cell(group, column)
    return "?" if found is None else f"{found.value:.{column.decimals}f}"
