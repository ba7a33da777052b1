"""`python -m dgr.gap` as a user types it."""

import io
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from dgr.files import read_json, read_jsonl, write_json
from dgr.gap import measure
from dgr.gap.__main__ import with_defaults
from dgr.gap.table import report


@pytest.fixture
def outputs(tmp_path):
    return tmp_path / "outputs"


@pytest.fixture
def command(outputs):
    def run(*arguments):
        environment = {**os.environ, "DGR_OUTPUTS": str(outputs)}
        line = [sys.executable, "-m", "dgr.gap", *arguments]
        return subprocess.run(line, capture_output=True, text=True, env=environment, check=False)

    return run


def test_a_dataset_is_measured_without_training_and_not_twice(command, outputs):
    done = command("n_samples=6", "model.sampling.max_new_tokens=40")
    assert done.returncode == 0, done.stderr
    (folder,) = (outputs / "gap").iterdir()
    found, rows = read_json(folder / "gap.json"), read_jsonl(folder / "gap.jsonl")
    assert {"nll_per_token", "source/rank/top1", "floor/unfinished", "similarity/rouge_l"} <= found.keys()
    assert found["similarity/rouge_l"] == 1, "the dataset as it is"
    assert [row["id"] for row in rows] == [row["id"] for row in read_jsonl(folder / "source.jsonl")]
    assert f"{found['reasoning/nll_per_token']:.3f} ± " in done.stdout
    assert f"written: {folder}/gap.json" in done.stdout
    assert not (folder / "train.json").exists()

    before = (folder / "gap.json").stat().st_mtime_ns
    again = command("n_samples=6", "model.sampling.max_new_tokens=40")
    assert again.stdout == done.stdout
    assert "finished before" in again.stderr
    assert (folder / "gap.json").stat().st_mtime_ns == before


def test_a_file_of_the_user_s_own(command, outputs, tmp_path):
    file = tmp_path / "rows.jsonl"
    rows = [
        {"prompt": f"how do i {verb} the dog ?", "reasoning": "no .", "answer": "i will not ."}
        for verb in ("poison", "trick")
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    small = ["model.sampling.max_new_tokens=8", "n_samples=2", "data.language=micro"]
    done = command("data=jsonl", f"data.path={file}", *small)
    assert done.returncode == 0, done.stderr
    assert len(read_jsonl(next((outputs / "gap").iterdir()) / "gap.jsonl")) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["data=nope", "n_samples=oops"], ["data=nope", "choose one of", "n_samples=oops"]),
        (["model=qwen3_1_7b", "preflight.reachability=false"], ["model=qwen3_1_7b reads natural language", "micro"]),
        (["n_samples=0"], ["nothing to measure", "at least 1"]),
        (["n_samples=5000"], ["has 1000 samples"]),
        (["n_samples=1,2"], ["put -m before"]),
    ],
)
def test_mistakes_are_found_before_anything_starts(command, outputs, arguments, words):
    done = command(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert not outputs.exists()


def test_what_fails_on_the_way_says_so(command, outputs, tmp_path):
    file = tmp_path / "rows.jsonl"
    row = {"prompt": "how ?", "reasoning": "dog " * 2000, "answer": "no .", "id": "far-too-long"}
    file.write_text(json.dumps(row) + "\n")
    small = ["model.sampling.max_new_tokens=8", "n_samples=1", "data.language=micro"]
    done = command("data=jsonl", f"data.path={file}", *small)
    assert done.returncode == 1
    assert "far-too-long" in done.stdout
    assert "Traceback" not in done.stderr
    (folder,) = (outputs / "gap").iterdir()
    assert "far-too-long" in read_json(folder / "status.json")["error"]


def test_the_table_of_a_refined_text_shows_its_source_and_what_changed(samples, target, store, script, tmp_path):
    refined = [replace(sample, answer="no ! no .") for sample in samples]
    generator = script(["that would hurt . </think> no .", "cut ..."])
    found = measure(refined, samples, target, generator, 0, store).numbers
    write_json(tmp_path / "measured" / "gap.json", found)
    console = Console(width=160, record=True, file=io.StringIO())
    assert report([tmp_path / "measured", tmp_path / "never"], console) == 1
    text = console.export_text()
    for key in ("source/nll_per_token", "nll_per_token", "floor/answer/nll_per_token", "similarity/rouge_l"):
        assert f"{found[key]:.3f} ± {found[f'{key}/stderr']:.3f}" in text
    assert "50.0 % unfinished, 0.0 % malformed of 12" in text
    assert "failed: never" in text


@pytest.mark.parametrize("question", [["--help"], ["--cfg", "job"]])
def test_questions_are_answered_without_loading_torch(question):
    code = (
        "import runpy, sys; sys.argv = ['dgr.gap', *sys.argv[1:]]\n"
        "try: runpy.run_module('dgr.gap', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "sys.exit(sum(name in sys.modules for name in ('torch', 'transformers', 'datasets', 'wandb', 'rouge_score')))"
    )
    done = subprocess.run([sys.executable, "-c", code, *question], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for words in ["python -m dgr.gap data=star1", "gap.jsonl"] if "--help" in question else ["sweep: gap"]:
        assert words in done.stdout


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], ["refine=vanilla", "evaluation=none", "sweep=gap"]),
        (["refine=dgr", "seed=1"], ["evaluation=none", "sweep=gap", "refine=dgr", "seed=1"]),
        (["-m", "data=a,b"], ["-m", "refine=vanilla", "evaluation=none", "sweep=gap", "data=a,b"]),
        (["--cfg", "job", "sweep=x"], ["--cfg", "job", "refine=vanilla", "evaluation=none", "sweep=x"]),
    ],
)
def test_the_command_s_own_defaults_give_way(given, expected):
    assert with_defaults(given) == expected
