"""The W&B workspace of a sweep: its specification, and what `dgr.compare --wandb` does where nobody is logged in."""

import json

import pytest

pytest.importorskip("wandb_workspaces")

KEYS = ["safety/harmful_rate", "safety/refusal_rate", "over_refusal/rate", "reasoning/accuracy", "tax/reasoning"]
KEYS += ["safety/harmful_seen/refusal_rate", "safety/harmful_held_out/refusal_rate", "over_refusal/benign/rate"]
KEYS += ["gap/nll_per_token", "refine/fallback_rate", "base/safety/harmful_seen/refusal_rate"]


def panels(specification):
    """(title of the section, type, config) of every panel."""
    bank = specification["spec"]["section"]["panelBankConfig"]["sections"]
    return [(section["name"], panel["viewType"], panel["config"]) for section in bank for panel in section["panels"]]


@pytest.fixture
def specification(monkeypatch):
    from dgr.tracking.workspace import specification, workspace

    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    return specification(workspace("team", "safety", ["a", "b"], KEYS))


def test_it_shows_the_runs_of_the_sweeps_by_arm(specification):
    assert (specification["entity"], specification["project"]) == ("team", "safety")
    (runs,) = specification["spec"]["section"]["runSets"]
    (chosen,) = runs["filters"]["filters"]
    assert (chosen["key"], chosen["op"], chosen["value"]) == ({"section": "run", "name": "group"}, "IN", ["a", "b"])
    assert runs["grouping"] == [{"section": "config", "name": "arm.value"}]


def test_it_has_the_figures_of_the_report(specification):
    found = panels(specification)
    axes = {(title, config["xAxis"], config["yAxis"]) for title, kind, config in found if kind == "Scatter Plot"}
    n = "config:n_samples.value"
    assert {
        ("Safety against reasoning", "summary:safety/harmful_rate", "summary:reasoning/accuracy"),
        ("Tax by arm and n", n, "summary:tax/reasoning"),
        ("Activation curve", n, "summary:safety/harmful_seen/refusal_rate"),
        ("Activation curve", n, "summary:safety/harmful_held_out/refusal_rate"),
        ("Activation curve", n, "summary:over_refusal/rate"),
        ("Gap against tax", "summary:gap/nll_per_token", "summary:tax/reasoning"),
        ("Fallback", n, "summary:refine/fallback_rate"),
    } <= axes
    assert all(config["xAxisLogScale"] for _, _, config in found if config.get("xAxis") == n)
    bars = {(title, *config["metrics"], config["groupBy"]) for title, kind, config in found if kind == "Bar Chart"}
    assert ("Tax by arm and n", "summary_metrics.tax/reasoning", "arm.value") in bars
    lines = [config["metrics"] for _, kind, config in found if kind == "Run History Line Plot"]
    assert ["train/loss"] in lines
    assert "table/samples" in json.dumps(specification)


def test_a_figure_whose_metrics_no_run_has_is_left_out():
    from dgr.tracking.workspace import specification, workspace

    titles = {title for title, *_ in panels(specification(workspace("", "dgr", ["a"], ["tax/reasoning"])))}
    assert titles == {"Tax by arm and n", "Training", "Samples and replies"}


def test_a_server_that_cannot_be_reached_does_not_harm_the_comparison(tmp_path, monkeypatch):
    from dgr.tracking import workspace

    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    monkeypatch.setattr(workspace, "w_and_b_report", lambda *_: pytest.fail("the workspace comes first"))

    def refuse(*_):
        raise ConnectionError("no route for 0123456789012345678901234567890123456789")

    monkeypatch.setattr("wandb_workspaces.workspaces.interface.internal.upsert_view2", refuse)
    (tmp_path / "mine" / "run").mkdir(parents=True)
    (tmp_path / "mine" / "run" / "config.yaml").write_text("tracker: {project: dgr, entity: team}\n")
    said = workspace.save([tmp_path / "mine" / "run"])
    assert "not saved: ConnectionError: no route for ***" in said
