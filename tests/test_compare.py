import io
import json

import pytest
from rich.console import Console

from dgr.compare import main, report

BASE = {"base/reasoning/accuracy": 0.955, "base/reasoning/accuracy/stderr": 0.01, "base/safety/harm/harmful_rate": 1.0}


@pytest.fixture
def sweep(tmp_path):
    def add(name, metrics=None, **status):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "status.json").write_text(json.dumps(status))
        if metrics is not None:
            (folder / "metrics.json").write_text(json.dumps(metrics) if isinstance(metrics, dict) else metrics)
        return folder

    finished = BASE | {
        "reasoning/accuracy": 0.7,
        "reasoning/accuracy/stderr": 0.02,
        "tax/reasoning": 25.5,
        "tax/reasoning/stderr": 2.25,
        "safety/harm/harmful_rate": 0.0,
        "gap/nll_per_token": 5.124,
    }
    add("micro-direct-vanilla-n10-s0-aaaa", finished, state="finished")
    return tmp_path, add


def printed(folders):
    out = io.StringIO()
    code = report(folders, Console(file=out, width=200))
    return code, out.getvalue()


def test_the_untouched_target_stands_first_and_numbers_carry_their_error(sweep):
    path, _ = sweep
    code, text = printed(sorted(path.iterdir()))
    assert code == 0
    assert text.index("micro (untouched)") < text.index("micro-direct-vanilla-n10")
    assert "95.5 ± 1.0" in text
    assert "25.5 ± 2.2" in text
    assert "5.12" in text


def test_failed_unfinished_and_damaged_runs_are_named_beside_the_good_ones(sweep):
    path, add = sweep
    add("failed", state="failed", error="ValueError: no such file [/red]")
    add("running", state="running", stage="train")
    add("damaged", '{"reasoning/acc', state="finished")
    code, text = printed(sorted(path.iterdir()))
    assert code == 1
    assert "25.5" in text
    assert "failed: failed: ValueError: no such file [/red]" in text
    assert "unfinished: running (stage train)" in text
    assert "failed: damaged" in text
    assert "delete it" in text


def test_a_wrong_folder_is_a_message(tmp_path, capsys):
    assert main([str(tmp_path / "nothing")]) == 2
    assert "no run folders" in capsys.readouterr().err
