"""What the studies' part of a comparison says about runs whose answer is known."""

import copy
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from dgr.compare.activation import first_lasting, thresholds
from dgr.compare.comparison import compare_runs, with_rows
from dgr.compare.grouping import GAP, TAX, over_seeds
from dgr.compare.page import write_rows
from dgr.compare.rows import RunRows
from dgr.compare.runs import Run, read_run
from dgr.compare.studies import probes, strengths, studies
from dgr.compare.study_figures import curves_figure
from dgr.compare.written import markdown_text
from dgr.naming import conf_dir, register_resolvers

ITEMS = 40


@pytest.fixture
def compared(tmp_path):
    def compare(folders):
        comparison = compare_runs([read_run(folder) for folder in folders])
        told, _ = write_rows(comparison.runs, tmp_path / "rows")
        return with_rows(comparison, told)

    return compare


def titles(comparison):
    return {study.title.split(" ")[0]: study for study in studies(comparison)}


def hits(right, answered=0):
    """So many items answered rightly, so many harmful requests answered."""
    return {"chain": [number < right for number in range(ITEMS)], "harmful_seen": [n < answered for n in range(ITEMS)]}


@pytest.fixture
def taxed(add, numbers):
    """vanilla loses 50 points, dgr 5, at three seeds."""
    return [
        add(numbers(accuracy=right / ITEMS), f"refine={arm}", f"seed={seed}", hits=hits(right))
        for seed in range(3)
        for arm, right in (("vanilla", 20 + seed), ("dgr", 38 - seed % 2))
    ]


def test_the_tax_study_says_what_each_arm_loses_and_what_is_saved(taxed, compared):
    study = titles(compared(taxed))["Does"]
    (sentence,) = study.sentences
    vanilla, dgr = (96 - 100 * np.mean(right) / ITEMS for right in ((20, 21, 22), (38, 37, 38)))
    assert f"vanilla loses {vanilla:.1f} ± 2.5 points, dgr {dgr:.1f} ±" in sentence
    assert f"saved {vanilla - dgr:+.1f} [" in sentence
    assert "paired p" in sentence
    assert sentence.endswith("3 seeds.")
    drawn = {one["name"]: one["x"] for one in study.figures[0].panels[0]["data"]}
    assert drawn["vanilla"] == pytest.approx([96 - 100 * right / ITEMS for right in (20, 21, 22)])


def test_the_paper_and_these_runs_never_share_a_cell(taxed, compared):
    study = titles(compared(taxed))["The"]
    assert study.headers == ["claim", "paper says", "measured here"]
    (row,) = study.rows
    assert row[1] == "+30.2 %, at equal safety (abstract of arXiv 2602.02136)"
    assert "30.2" not in row[2]
    assert "harmful replies 10.0 % and 10.0 %" in row[2]


def test_runs_of_another_question_get_no_study(add, numbers, compared):
    assert studies(compared([add(numbers(), "refine=vanilla", hits=hits(20))])) == []


@pytest.fixture(scope="module")
def made():
    """A finished run with the numbers of the test's choice, in memory: the default point with some keys changed."""
    register_resolvers()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        plain = OmegaConf.to_container(compose("config", overrides=["run_id=none"]), resolve=True)

    def run(metrics=None, **changes):
        config = copy.deepcopy(plain)
        for key, value in changes.items():
            *groups, last = key.split("__")
            node = config
            for group in groups:
                node = node[group]
            node[last] = value
        return Run(Path("run"), {}, metrics or {"x": 1.0}, config)

    return run


def datasets(made, taxes, spread=0.1):
    """One dataset a tax at growing gaps, three seeds each that differ by `spread` points."""
    runs = [
        made(
            {GAP: 1.0 + position, TAX: tax + spread * (seed - 1)},
            data__foreign=position,
            data__name="graded",
            seed=seed,
        )
        for position, tax in enumerate(taxes)
        for seed in range(3)
    ]
    return over_seeds(runs)


@pytest.mark.parametrize(("taxes", "rho"), [((1, 2, 4, 8, 16, 32), 1.0), ((32, 16, 8, 4, 2, 1), -1.0)])
def test_a_perfect_order_is_found_with_its_certainty(made, taxes, rho):
    whole, source = strengths(datasets(made, taxes))
    assert whole.scope == "micro, all sources"
    assert source.scope == "micro, graded"
    assert whole.points == 6
    assert whole.spearman == pytest.approx((rho, rho, rho))
    assert 0.5 < abs(whole.pearson[0]) < 1
    assert np.sign(whole.pearson[1]) == np.sign(whole.pearson[2]) == np.sign(rho)


def test_without_an_order_the_interval_leaves_the_direction_open(made):
    whole, _ = strengths(datasets(made, (5, 9, 1, 8, 2, 6)))
    assert whole.spearman[1] < 0 < whole.spearman[2]


def test_seeds_that_disagree_widen_the_interval(made):
    steady, noisy = (strengths(datasets(made, (1, 2, 3, 4, 5), spread))[0] for spread in (0.1, 20))
    assert noisy.spearman[0] == pytest.approx(steady.spearman[0]), "the means over seeds are the same"
    assert noisy.spearman[1] < steady.spearman[1] - 0.5


def test_four_datasets_are_too_few(made):
    assert strengths(datasets(made, (1, 2, 3, 4))) == []


def test_a_probe_is_compared_with_plain_dgr_of_the_same_setting(add, numbers, compared):
    plain = add(numbers(accuracy=0.9, gap=0.4), "refine=dgr", hits=hits(36))
    part = add(numbers(accuracy=0.5, gap=4.0), "refine=dgr", "refine.part=answer", hits=hits(20))
    other = add(numbers(accuracy=0.6, gap=10.0), "refine=cross_rewrite", hits=hits(24))
    (probe,) = probes(compared([plain, part, other]))
    assert probe.effect == pytest.approx(-30)
    assert probe.baseline.metrics["gap/nll_per_token"] == 0.4


STEPS = {"trainer__max_steps": 250, "trainer__epochs": None}
EPOCHS = {"trainer__max_steps": None, "trainer__epochs": 4}


def activated(made, answered, budget):
    """Runs of dgr at growing n with their rows; `answered`: of ITEMS harmful requests, how many are still answered."""
    told = {}
    for n, count in answered.items():
        for seed in range(3):
            refused = {f"item {number}": float(number >= count) for number in range(ITEMS)}
            run = made(n_samples=n, seed=seed, **budget)
            told[run] = RunRows(refused={"harmful_seen": refused})
    return told


def found(*told):
    rows = {run: one for part in told for run, one in part.items()}
    return {one.budget: one for one in thresholds(over_seeds(list(rows)), rows)}


def test_the_smallest_n_is_found_for_each_budget_and_the_largest_point_is_shared(made):
    steps = activated(made, {1: 40, 10: 0, 100: 0, 1000: 0}, STEPS)
    epochs = activated(made, {1: 40, 10: 40, 100: 30, 300: 0}, EPOCHS)
    both = found(steps, epochs)
    assert set(both) == {"equal steps", "equal epochs"}
    one, other = both["equal steps"], both["equal epochs"]
    assert (one.arm, one.n, one.low, one.high, one.largest, one.at_ten, one.seeds) == ("dgr", 10, 10, 10, 1000, 1.0, 3)
    assert (other.n, other.low, other.high, other.largest, other.at_ten) == (300, 300, 300, 1000, 0.0)


def test_a_rate_at_the_threshold_has_an_interval_over_both_sides(made):
    near = found(activated(made, {1: 40, 10: 4, 100: 4, 1000: 0}, STEPS))["equal steps"]  # exactly 90 % at 10
    assert (near.n, near.low, near.high) == (10, 10, 1000)


def test_the_curves_have_a_line_for_every_arm_and_budget_and_begin_at_the_untouched_model(made):
    def run(n, seed, rate, **settings):
        numbers = {"safety/harmful_seen/refusal_rate": rate, "over_refusal/look_alikes/rate": 0.0}
        return made(numbers | {"reasoning/accuracy": 1 - rate}, n_samples=n, seed=seed, **settings)

    runs = [run(0, 0, 0.0, **STEPS)]
    runs += [run(n, seed, 0.8 + seed / 10, **STEPS) for n in (1, 10, 1000) for seed in (0, 1)]
    runs += [run(n, seed, n / 400, **EPOCHS) for n in (1, 10, 100) for seed in (0, 1)]
    figure = curves_figure(over_seeds(runs))
    assert [panel["title"] for panel in figure.panels] == ["harmful seen", "look alikes (harmless)", "reasoning"]
    seen, _, reasoning = ({one["name"]: one["y"] for one in panel["data"]} for panel in figure.panels)
    assert seen["dgr, equal steps"] == pytest.approx([0, 85, 85, 85])
    assert seen["dgr, equal epochs"] == pytest.approx([0, 0.25, 2.5, 25, 85]), (
        "the largest n has as many steps as epochs"
    )
    assert reasoning["dgr, equal steps"] == pytest.approx([100, 15, 15, 15])


def test_two_numbers_of_samples_or_a_model_that_never_refuses_have_no_threshold(made):
    assert found(activated(made, {1: 40, 10: 0}, STEPS)) == {}
    assert found(activated(made, {1: 40, 10: 40, 100: 40}, STEPS)) == {}


def test_a_dip_after_the_threshold_counts():
    assert first_lasting(np.array([0.0, 0.95, 0.5, 0.95, 1.0])) == 3
    assert first_lasting(np.array([0.95, 0.95, 1.0])) == 0


def test_the_files_hold_the_studies(taxed, compared):
    text = markdown_text(compared(taxed), by_seed=False)
    assert "**Does refined data cost less reasoning?**" in text
    assert "| claim | paper says | measured here |" in text
