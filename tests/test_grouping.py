"""Runs that differ in their seed only are one row; their spread and the correlation over rows are right."""

import statistics

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from rich.console import Console

from dgr.compare import main
from dgr.files import write_json, write_text
from dgr.grouping import Correlation, over_seeds, rank_correlation
from dgr.naming import conf_dir, register_resolvers


@pytest.fixture
def add(tmp_path):
    """Adds a finished run of the given overrides with these numbers; returns its folder."""
    register_resolvers()

    def run(metrics, *overrides):
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            cfg = compose("config", overrides=[f"outputs={tmp_path}", "sweep=some", *overrides])
        folder = tmp_path / "some" / cfg.run_id
        write_text(folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
        write_json(folder / "metrics.json", metrics)
        write_json(folder / "status.json", {"state": "finished"})
        return folder

    return run


def numbers(gap, tax):
    return {"gap/nll_per_token": gap, "gap/nll_per_token/stderr": 9.0, "tax/reasoning": tax, "base/x": 1.0}


def test_seeds_are_averaged_and_everything_else_is_told_apart(add):
    runs = {
        add(numbers(gap, 0.0), "refine=dgr", f"seed={seed}"): numbers(gap, 0.0) for seed, gap in enumerate((1, 2, 6))
    }
    runs[add({}, "refine=dgr", "refine.part=answer")] = numbers(5.0, 1.0)
    runs[add({}, "refine=vanilla")] = numbers(7.0, 1.0)
    found = over_seeds(runs)
    assert list(found) == [
        "micro-micro_direct_refusal-dgr-n1000 part=answer",
        "micro-micro_direct_refusal-dgr-n1000 part=both",
        "micro-micro_direct_refusal-vanilla-n1000",
    ]
    alone, averaged, _ = found.values()
    assert averaged["gap/nll_per_token"] == 3.0
    assert averaged["gap/nll_per_token/n"] == 3
    assert averaged["gap/nll_per_token/stderr"] == pytest.approx(statistics.stdev((1, 2, 6)))
    assert averaged["base/x"] == 1.0
    assert "gap/nll_per_token/stderr" not in alone


def test_rows_with_a_number_that_differs_stand_in_its_order(add):
    runs = {add({}, "data=micro_graded", f"data.foreign={foreign}"): numbers(1, 1) for foreign in (0.5, 1, 0, 0.25)}
    assert [name.partition(" ")[2] for name in over_seeds(runs)] == [
        f"foreign={foreign}" for foreign in ("0", "0.25", "0.5", "1")
    ]


def test_what_does_not_change_a_result_makes_no_group_of_its_own(add):
    runs = {add({}, "seed=0"): numbers(1, 1), add({}, "seed=1", "generator.batch_size=7"): numbers(2, 2)}
    assert len(over_seeds(runs)) == 1


def test_the_rank_correlation_is_spearman_s():
    groups = [numbers(gap, tax) for gap, tax in ((0.1, 1.0), (0.2, 5.0), (3.0, 4.0), (10.0, 20.0))]
    assert rank_correlation(groups) == Correlation(pytest.approx(0.8), pytest.approx(0.2), 4)
    assert rank_correlation([*groups, {"tax/reasoning": 1.0}]).n == 4


@pytest.mark.parametrize("pairs", [[(1, 2), (2, 3)], [(1, 2), (1, 3), (1, 4)]])
def test_too_few_rows_or_one_gap_only_have_no_correlation(pairs):
    assert rank_correlation([numbers(*pair) for pair in pairs]) is None


def test_the_command_shows_one_row_for_all_seeds_and_the_correlation(add, capsys, monkeypatch):
    monkeypatch.setattr(Console, "width", 200)
    for arm, gap, tax in (("dgr", 0.3, 4.0), ("vanilla", 10.0, 20.0), ("sdft", 0.5, 6.0)):
        folders = [add(numbers(gap + seed, tax), f"refine={arm}", f"seed={seed}") for seed in (0, 2)]
    assert main(["--over-seeds", str(folders[0].parent)]) == 0
    text = capsys.readouterr().out
    assert text.count("n1000") == 3
    assert "1.30 ± 1.41" in text
    assert "Spearman's rho = 1.00" in text
    assert "n = 3" in text
