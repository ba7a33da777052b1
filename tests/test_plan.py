"""The estimate of a grid: what it says before anything ran, what a real run then used, and what is left afterwards."""

import json
import os
import subprocess
import sys

import pytest

from dgr.command import check
from dgr.files import read_json, read_jsonl
from dgr.plan import estimate, folder_bytes
from dgr.plan.shown import lines

STUDY = ["+experiment=safety_tax", "seed=0", "n_samples=40", "trainer.max_steps=6", "evaluation.limit=8"]
WITHIN = 1.4  # the factor that docs/studies.md states


def dgr(outputs, *arguments):
    environment = {**os.environ, "DGR_OUTPUTS": str(outputs)}
    command = [sys.executable, "-m", "dgr.run", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    return tmp_path_factory.mktemp("outputs")


def estimated(outputs, *arguments):
    before, os.environ["DGR_OUTPUTS"] = os.environ.get("DGR_OUTPUTS"), str(outputs)
    try:
        return estimate(check(list(arguments)))
    finally:
        os.environ.pop("DGR_OUTPUTS") if before is None else os.environ.update(DGR_OUTPUTS=before)


@pytest.fixture(scope="module")
def before(outputs):
    return estimated(outputs, *STUDY)


@pytest.fixture(scope="module")
def ran(before, outputs):
    """The study, run by its own sweeper as a user would."""
    done = dgr(outputs, *STUDY)
    assert done.returncode == 0, done.stderr
    return done.stdout


def written(outputs, kind):
    files = (outputs / "store" / kind).glob("**/*.jsonl")
    return sum(row["n_tokens"] for file in files for row in read_jsonl(file))


def test_plan_says_what_a_grid_costs_and_starts_nothing(outputs, before):
    done = dgr(outputs, *STUDY, "plan=true")
    assert done.returncode == 0, done.stderr
    assert "4 points: 0 finished, 4 to do" in done.stdout
    assert "all of it assumed (conf/costs)" in done.stdout
    assert not list(outputs.iterdir())


def test_a_study_runs_its_points_and_says_the_estimate_first(ran, outputs):
    folders = sorted(file.parent.name.rsplit("-", 3)[0] for file in outputs.glob("safety_tax/*/metrics.json"))
    sources = ("micro_direct_refusal", "micro_r1_act")
    assert folders == [f"micro-{source}-{arm}" for source in sources for arm in ("dgr", "vanilla")]
    assert ran.index("4 points: 0 finished") < ran.index("micro (untouched)")


def test_the_estimate_is_no_part_of_a_run(ran, outputs):
    for config in outputs.glob("safety_tax/*/config.yaml"):
        assert not {"plan", "costs"} & set(config.read_text().replace(":", " ").split())
    plain = check([*STUDY])[0].folder.name
    assert check([*STUDY, "costs.parallel=7", "plan=true"])[0].folder.name == plain


def test_predicted_tokens_and_disk_are_within_a_factor_of_what_was_used(before, ran, outputs):
    runs = list(outputs.glob("safety_tax/*/metrics.json"))
    replies = [row for run in runs for file in run.parent.glob("evaluation/*.jsonl") for row in read_jsonl(file)]
    used = {
        "refine": written(outputs, "attempts"),
        "own": written(outputs, "own"),
        "base": written(outputs, "evaluation"),
        "evaluate": sum(row["n_tokens"] for row in replies),
        "trained": sum(read_json(run.parent / "train.json")["total_tokens"] for run in runs),
        "disk": folder_bytes(outputs),
    }
    predicted = {**before.generated, "trained": before.trained, "disk": before.disk}
    for what, value in used.items():
        assert value / WITHIN < predicted[what] < value * WITHIN, (what, predicted[what], value)


def test_finished_points_cost_nothing_and_their_measurements_replace_assumptions(ran, outputs):
    assert (left := estimated(outputs, *STUDY)).todo == 0
    assert list(lines(left)) == ["4 points: 4 finished, 0 to do"]
    more = estimated(outputs, *STUDY, "n_samples=80")
    text = "\n".join(lines(more))
    assert "measured by 4 earlier run(s)" in text
    assert more.rates[0].attempts == pytest.approx(_attempts(outputs))
    longer = estimated(outputs, "+experiment=safety_tax", "seed=0,1", *STUDY[2:])
    assert (longer.finished, longer.todo) == (4, 4)


def _attempts(outputs):
    found = [read_json(file).get("attempts_mean") for file in outputs.glob("safety_tax/*-dgr-*/refine.json")]
    return sum(found) / len(found)


def test_what_points_share_is_counted_once(outputs):
    arms = estimated(outputs, "-m", "refine=dgr,sdft", "n_samples=10,100", "seed=9", "refine.max_attempts=1")
    alone = estimated(outputs, "-m", "refine=dgr", "n_samples=100", "seed=9", "refine.max_attempts=1")
    assert arms.generated["own"] == alone.generated["own"] > 0
    assert arms.generated["base"] == alone.generated["base"] > 0
    assert arms.generated["refine"] == pytest.approx(2 * alone.generated["refine"]), "sdft has a prompt of its own"


def test_an_assumption_is_changed_by_its_key(tmp_path):
    plain = estimated(tmp_path, "refine=vanilla", "n_samples=10")
    slow = estimated(tmp_path, "refine=vanilla", "n_samples=10", "costs.micro.share.generate_hf=0.01")
    assert slow.seconds["evaluate"] > 5 * plain.seconds["evaluate"]
    assert slow.seconds["train"] == plain.seconds["train"]
    assert json.dumps(slow.generated) == json.dumps(plain.generated)
