"""Two arms on the same items: the effect is right, the p-values are the named tests', and what cannot be is said."""

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_1samp

from dgr.compare.columns import Column, cell, rate
from dgr.compare.comparison import compare_runs, with_rows
from dgr.compare.page import write_rows
from dgr.compare.paired import MCNEMAR, SEEDS, mcnemar_p, over_seeds_too, resampled
from dgr.compare.runs import read_run


def comparison(folders, tmp_path, baseline="vanilla"):
    found = compare_runs([read_run(folder) for folder in folders], baseline)
    told, _ = write_rows(found.runs, tmp_path / "rows")
    return with_rows(found, told)


def halves(right, n=40):
    return [number < right for number in range(n)]


def test_one_seed_is_mcnemar_s_exact_test_on_the_discordant_items(add, numbers, tmp_path):
    ours = {"chain": halves(30), "benign": halves(0)}
    theirs = {"chain": halves(20), "benign": halves(4)}
    folders = [add(numbers(), "refine=dgr", hits=ours), add(numbers(), "refine=vanilla", hits=theirs)]
    reasoning, over = comparison(folders, tmp_path).paired
    assert (reasoning.kind, reasoning.method, reasoning.items, reasoning.seeds) == ("reasoning", MCNEMAR, 40, 1)
    assert reasoning.effect == pytest.approx(25.0)
    assert reasoning.low < 25 < reasoning.high
    assert reasoning.p == pytest.approx(binomtest(10, 10).pvalue)
    assert over.effect == pytest.approx(-10.0)
    assert reasoning.p_holm == pytest.approx(2 * reasoning.p), "Holm over the table of two"
    assert over.p_holm == pytest.approx(max(over.p, 2 * reasoning.p))
    assert reasoning.beyond_chance
    assert not over.beyond_chance


def test_benchmarks_weigh_alike_as_in_the_metrics(add, numbers, tmp_path):
    def both(right):
        return {"chain": halves(right, 10)}

    folders = [add(numbers(), "refine=dgr", hits=both(6)), add(numbers(), "refine=vanilla", hits=both(1))]
    rows = [folder / "evaluation" / "tracking.jsonl" for folder in folders]
    for path in rows:  # a benchmark of twenty items without a difference
        text = (path.parent / "chain.jsonl").read_text().splitlines() * 2
        path.write_text(
            "\n".join(line.replace("chain-", f"t{n}-") for n, line in enumerate(text)).replace("wrong", "correct")
        )
    (pair,) = comparison(folders, tmp_path).paired
    assert pair.effect == pytest.approx((50 + 0) / 2)
    assert pair.items == 30


def test_several_seeds_are_paired_by_seed_and_resampled_with_the_items(add, numbers, tmp_path):
    folders = []
    for seed, (ours, theirs) in enumerate(((30, 20), (32, 20), (28, 18))):
        folders.append(add(numbers(), "refine=dgr", f"seed={seed}", hits={"chain": halves(ours)}))
        folders.append(add(numbers(), "refine=vanilla", f"seed={seed}", hits={"chain": halves(theirs)}))
    folders.append(add(numbers(), "refine=dgr", "seed=9", hits={"chain": halves(0)}))  # without a partner
    (pair,) = comparison(folders, tmp_path).paired
    assert (pair.method, pair.seeds) == (SEEDS, 3)
    assert pair.effect == pytest.approx(100 * (10 + 12 + 10) / 40 / 3)
    assert pair.low < pair.effect < pair.high
    assert pair.p == pytest.approx(ttest_1samp([10, 12, 10], 0).pvalue)


def test_arms_are_compared_at_the_same_settings_only(add, numbers, tmp_path):
    hits = {"chain": halves(20)}
    folders = [
        add(numbers(), "refine=vanilla", "n_samples=10", hits=hits),
        add(numbers(), "refine=dgr", "n_samples=20", hits=hits),
        add(numbers(), "refine=sdft", "n_samples=10", "trainer.max_steps=7", hits=hits),
    ]
    found = comparison(folders, tmp_path)
    assert not found.paired
    assert len(found.left_out) == 2
    assert all("no vanilla run" in reason for reason in found.left_out)
    assert (
        comparison(folders, tmp_path, "dgr").left_out[0].endswith("no dgr run at the same model, data, n and settings")
    )


def test_items_that_only_one_arm_has_do_not_count(add, numbers, tmp_path):
    folders = [
        add(numbers(), "refine=dgr", hits={"chain": halves(30)}),
        add(numbers(), "refine=vanilla", hits={"chain": halves(20, 25)}),
    ]
    (pair,) = comparison(folders, tmp_path).paired
    assert pair.items == 25
    assert pair.effect == pytest.approx(20.0)


def test_rows_of_another_version_are_named_and_the_rest_is_compared(add, numbers, tmp_path):
    folders = [
        add(numbers(), f"refine={arm}", hits={"chain": halves(9), "benign": halves(3)}) for arm in ("dgr", "vanilla")
    ]
    (folders[0] / "evaluation" / "chain.jsonl").write_text('{"id": "x", "verdict": "correct"}\n')
    (folders[1] / "evaluation" / "harmful_seen.jsonl").write_text('{"id": ')
    found = comparison(folders, tmp_path)
    assert [pair.kind for pair in found.paired] == ["over_refusal"]
    said = [problem for rows in found.rows.values() for problem in rows.problems]
    assert len(said) == 2
    assert any("chain.jsonl lacks 'item'" in problem for problem in said)


def test_two_seeds_far_apart_are_no_proof_though_both_fall_on_one_side():
    apart = [np.array([[-1.0] * 40 + [0.0] * 60, [-1.0] * 10 + [0.0] * 90])]
    low, high, p = resampled(apart)
    assert high < 0
    assert p < 0.01
    low, high, p = over_seeds_too(apart, low, high, p)
    assert (low, p) == (-1.0, pytest.approx(ttest_1samp([-0.4, -0.1], 0).pvalue))
    assert high > 0


def test_no_discordant_item_is_no_difference():
    assert mcnemar_p(np.zeros(10)) == 1.0
    assert resampled([np.zeros((1, 10))]) == (0.0, 0.0, 1.0)


def test_the_bootstrap_s_interval_is_that_of_the_paired_differences():
    """Against the normal interval of the mean, which holds for many items of one seed."""
    differences = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], size=(1, 400), p=[0.1, 0.7, 0.2])
    low, high, p = resampled([differences])
    error = differences.std(ddof=1) / 20
    assert low == pytest.approx(differences.mean() - 1.96 * error, abs=0.01)
    assert high == pytest.approx(differences.mean() + 1.96 * error, abs=0.01)
    assert 0 < p < 0.05


@pytest.mark.parametrize("between", [0.0, 0.2])
def test_two_equal_arms_rarely_differ(between):
    """Of 200 pairs of equal arms with two seeds, at most 8 % differ at 5 % (two standard errors above it), also where
    seeds differ by many points (`between`: their standard deviation)."""
    random, found = np.random.default_rng(1), 0
    for _ in range(200):
        easy = random.beta(2, 1, 150)
        chances = (np.clip(easy + random.normal(0, between, (2, 1)), 0, 1) for _ in range(2))
        ours, theirs = (random.random((2, 150)) < chance for chance in chances)
        differences = [ours.astype(float) - theirs]
        found += over_seeds_too(differences, *resampled(differences))[2] < 0.05
    assert found <= 16


def test_a_rate_of_zero_still_has_an_interval():
    """Wilson's, for 0 of 60: [0, 6.0] %."""
    none = {"x": 0.0, "x/n": 60, "x/stderr": 0.0}
    found = cell([none], rate("x", "x"))
    assert found.low == 0.0
    assert found.high == pytest.approx(6.02, abs=0.01)
    assert found.text(1, interval=True) == "0.0 ± 0.0 [0.0, 6.0]"


def test_seeds_give_the_t_interval_where_it_is_wider_than_that_over_items():
    runs = [{"x": value, "x/n": 50, "x/stderr": 0.001} for value in (1.0, 2.0, 3.0)]
    found = cell(runs, Column("x", "x"))
    assert (found.value, found.spread, found.n) == (2.0, 1.0, 3)
    assert found.high - 2.0 == pytest.approx(4.3027 / 3**0.5, abs=1e-3)
    same = cell([{"x": 2.0, "x/n": 50, "x/stderr": 0.5}] * 3, Column("x", "x"))
    assert same.high - 2.0 == pytest.approx(1.96 * 0.5, abs=1e-3)


def test_a_number_that_is_not_finite_is_absent(add, numbers):
    found = read_run(add(numbers() | {"tax/reasoning/stderr": None}))
    assert cell([found.metrics], Column("tax", "tax/reasoning")).spread is None
