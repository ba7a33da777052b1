"""`dgr.compare --wandb` where nobody is logged in."""

import json

import pytest

from dgr.compare.__main__ import main

pytest.importorskip("wandb_workspaces")


def test_compare_leaves_the_specification_and_says_that_there_is_no_login(tmp_path, monkeypatch, capsys, add, numbers):
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no_netrc"))
    tracked = ("tracker=wandb_offline", "tracker.project=theirs", "tracker.entity=team")
    good = add(numbers(), *tracked, sweep="mine")
    damaged = add(numbers(), "seed=1", *tracked, sweep="mine")
    (damaged / "metrics.json").write_text("{")
    assert main([str(good.parent), "--wandb"]) == 1, "one run is damaged"
    assert "W&B: no login" in capsys.readouterr().out.replace("\n", "")
    left = json.loads((good.parent / "wandb-workspace.json").read_text())
    assert (left["project"], left["entity"]) == ("theirs", "team")
    assert "summary:tax/reasoning" in json.dumps(left)
    assert left["spec"]["section"]["runSets"][0]["filters"]["filters"][0]["value"] == ["mine"]
