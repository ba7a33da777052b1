"""Runs that differ in their seed only are one row; their spread and the correlation over rows are right."""

import statistics

import pytest
from rich.console import Console

from dgr.compare.__main__ import main
from dgr.compare.grouping import Correlation, arms, over_seeds, rank_correlation
from dgr.compare.runs import read_run


def measured(gap, tax):
    return {"gap/nll_per_token": gap, "gap/nll_per_token/stderr": 9.0, "tax/reasoning": tax, "base/x": 1.0}


def groups_of(folders):
    return over_seeds([read_run(folder) for folder in folders])


def test_seeds_are_averaged_and_everything_else_is_told_apart(add):
    folders = [add(measured(gap, 0.0), "refine=dgr", f"seed={seed}") for seed, gap in enumerate((1, 2, 6))]
    folders.append(add(measured(5.0, 1.0), "refine=dgr", "refine.part=answer"))
    folders.append(add(measured(7.0, 1.0), "refine=vanilla"))
    found = groups_of(folders)
    assert [group.name for group in found] == [
        "micro-micro_direct_refusal-dgr-n1000 part=answer",
        "micro-micro_direct_refusal-dgr-n1000 part=both",
        "micro-micro_direct_refusal-vanilla-n1000",
    ]
    alone, averaged, _ = (group.metrics for group in found)
    assert averaged["gap/nll_per_token"] == 3.0
    assert averaged["gap/nll_per_token/n"] == 3
    assert averaged["gap/nll_per_token/stderr"] == pytest.approx(statistics.stdev((1, 2, 6)))
    assert averaged["base/x"] == 1.0
    assert "gap/nll_per_token/stderr" not in alone


def test_an_arm_is_named_by_what_tells_it_from_others_whatever_their_n(add):
    steps, epochs = ("trainer.max_steps=250", "trainer.epochs=null"), ("trainer.max_steps=null", "trainer.epochs=4")
    folders = [add({"x": 1.0}, "refine=dgr", *steps, f"n_samples={n}") for n in (10, 1000)]
    folders += [add({"x": 1.0}, "refine=dgr", *epochs, "n_samples=10"), add({"x": 1.0}, "refine=vanilla", *steps)]
    assert list(arms([read_run(one) for one in folders]).values()) == [
        *["dgr max_steps=250"] * 2,
        "dgr epochs=4",
        "vanilla",
    ]


def test_rows_with_a_number_that_differs_stand_in_its_order(add):
    folders = [add(measured(1, 1), "data=micro_graded", f"data.foreign={foreign}") for foreign in (0.5, 1, 0, 0.25)]
    assert [group.name.partition(" ")[2] for group in groups_of(folders)] == [
        f"foreign={foreign}" for foreign in ("0", "0.25", "0.5", "1")
    ]


def test_sample_numbers_stand_in_their_order(add):
    folders = [add(measured(1, 1), f"n_samples={n}") for n in (1000, 20, 100)]
    assert [group.first.n_samples for group in groups_of(folders)] == [20, 100, 1000]


def test_what_does_not_change_a_result_makes_no_group_of_its_own(add):
    folders = [add(measured(1, 1), "seed=0"), add(measured(2, 2), "seed=1", "generator.batch_size=7")]
    assert len(groups_of(folders)) == 1


def test_the_rank_correlation_is_spearman_s():
    groups = [measured(gap, tax) for gap, tax in ((0.1, 1.0), (0.2, 5.0), (3.0, 4.0), (10.0, 20.0))]
    assert rank_correlation(groups) == Correlation(pytest.approx(0.8), pytest.approx(0.2), 4)
    assert rank_correlation([*groups, {"tax/reasoning": 1.0}]).n == 4


def test_the_correlation_has_an_interval_that_holds_it():
    found = rank_correlation([measured(gap, tax) for gap, tax in enumerate((1.0, 3.0, 2.0, 5.0, 4.0, 7.0, 6.0))])
    assert -1 <= found.low < found.rho < found.high <= 1
    assert f"[{found.low:.2f}, {found.high:.2f}]" in str(found)


@pytest.mark.parametrize("pairs", [[(1, 2), (2, 3)], [(1, 2), (1, 3), (1, 4)]])
def test_too_few_rows_or_one_gap_only_have_no_correlation(pairs):
    assert rank_correlation([measured(*pair) for pair in pairs]) is None


def test_the_command_shows_one_row_for_all_seeds_and_the_correlation(add, capsys, monkeypatch):
    monkeypatch.setattr(Console, "width", 200)
    for arm, gap, tax in (("dgr", 0.3, 4.0), ("vanilla", 10.0, 20.0), ("sdft", 0.5, 6.0)):
        folders = [add(measured(gap + seed, tax), f"refine={arm}", f"seed={seed}") for seed in (0, 2)]
    assert main(["--over-seeds", str(folders[0].parent)]) == 0
    text = capsys.readouterr().out
    assert text.partition("not compared")[0].count("n1000") == 3
    assert "1.30 ± 1.41" in text
    assert "Spearman's rho = 1.00" in text
    assert "n = 3" in text
