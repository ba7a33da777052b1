"""The training stage as a command runs it: several processes, inside a sweep."""

import os
import subprocess
import sys

import psutil
import pytest

from dgr.files import read_json


def dgr(outputs, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "dgr.run", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "DGR_OUTPUTS": str(outputs)},
        timeout=900,
        check=False,
    )


@pytest.mark.slow
def test_a_rank_s_error_comes_home_once_and_the_next_point_of_the_sweep_ends_like_one_process(tmp_path):
    from safetensors.torch import load_file

    small = ["refine=vanilla", "n_samples=8", "trainer.max_steps=4", "evaluation.limit=2", "trainer.max_grad_norm=0"]
    two = ["trainer=zero2", "trainer.nproc=2", "sweep=two"]
    # the first rate makes the loss no number, in every rank
    done = dgr(tmp_path, "-m", *small, *two, "trainer.learning_rate=1e30,2e-4")
    alone = dgr(tmp_path, *small, "sweep=one", "trainer.learning_rate=2e-4")
    assert (done.returncode, alone.returncode) == (1, 0), done.stderr + alone.stderr

    said = "lower trainer.learning_rate"
    assert said in done.stderr
    assert "Traceback" not in done.stderr, "the traceback is in status.json"
    (failed,) = [f.parent for f in tmp_path.glob("two/*/status.json") if read_json(f)["state"] == "failed"]
    status = read_json(failed / "status.json")
    assert (status["stage"], said in status["error"]) == ("train", True)
    assert "on_log" in status["traceback"], "the failing rank's own lines"
    assert not (failed / "errors").exists()

    (one,) = tmp_path.glob("one/*/model/model.safetensors")
    other = tmp_path / "two" / one.parents[1].name / "model" / "model.safetensors"
    mine, theirs = load_file(one), load_file(other)
    assert max((mine[name] - theirs[name]).abs().max().item() for name in mine) < 1e-5
    record = read_json(other.parents[1] / "train.json")
    assert (record["processes"], record["zero_stage"]) == (2, 2)
    assert sorted(path.name for path in other.parents[1].glob("curve*")) == []
    left = [process for process in psutil.process_iter(["cmdline"]) if str(tmp_path) in str(process.info["cmdline"])]
    assert not left
