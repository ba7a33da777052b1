"""Strategies from the command line to the files of a run, on the embedded target."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dgr.command import check
from dgr.files import read_json, read_jsonl
from dgr.naming import choices
from dgr.preflight import Mistakes

PROJECT = Path(__file__).parents[2]
QUICK = ["evaluation=none", "trainer.max_steps=1"]
FILES_OF_THE_EXAMPLE = re.compile(r"`((?:dgr|conf)/[\w/.]+)`:\n\n```\w+\n(.*?)```", re.DOTALL)


def run(outputs: Path, *arguments: str, project: Path = PROJECT) -> subprocess.CompletedProcess:
    environment = {"DGR_OUTPUTS": str(outputs), "PYTHONPATH": str(project)}
    return subprocess.run(
        [sys.executable, "-m", "dgr.run", *arguments],
        capture_output=True,
        text=True,
        cwd=project,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.fixture
def twelve(tmp_path):
    """A source of twelve samples, as arguments."""
    from dgr.micro.sources import direct_refusal_rows

    rows = []
    for row in direct_refusal_rows()[:12]:
        prompt, answer = row["refusal"].removeprefix("Question: ").split("\nAnswer: ")
        rows.append({"prompt": prompt, "reasoning": "i should not answer this question !", "answer": answer})
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["data=jsonl", f"data.path={file}", "data.language=micro"]


@pytest.mark.slow
def test_one_command_runs_every_arm(tmp_path, twelve):
    done = run(tmp_path / "outputs", "-m", "refine=glob(*)", "n_samples=4", *twelve, *QUICK)
    assert done.returncode == 0, done.stderr
    folders = {folder.name.split("-")[2]: folder for folder in (tmp_path / "outputs" / "default").glob("micro-*")}
    assert set(folders) == set(choices("refine"))
    assert {"vanilla", "dgr", "sdft", "self_refusal", "best_of_n", "cross_rewrite"} <= set(folders)
    for name, folder in folders.items():
        attempts, rows = read_jsonl(folder / "attempts.jsonl"), read_jsonl(folder / "samples.jsonl")
        numbers = read_json(folder / "refine.json")
        assert numbers["n"] == len(rows)
        assert numbers["n"] == 4 or name == "self_refusal"
        assert numbers["n"] == 4 or numbers["n_source"] == 12, "it draws to the end of the source"
        assert len({row["id"] for row in attempts}) == numbers["tried"] == (name != "vanilla") * numbers["n_source"]
        assert all(row["nll_before"] > 0 and row["nll_after"] > 0 for row in rows)
        assert all(row["nll_before"] == row["nll_after"] for row in rows if not row["accepted"])
        assert read_json(folder / "metrics.json")["refine/n"] == len(rows)
    journals = list((tmp_path / "outputs" / "store" / "attempts").glob("*.jsonl"))
    assert len(journals) == 3, "dgr, sdft and best_of_n share one; self_refusal and cross_rewrite have their own"
    for journal in journals:
        made = [record["id"] for record in read_jsonl(journal)]
        assert len(made) == len(set(made)), "nothing is generated twice"


@pytest.mark.slow
def test_the_documented_example_runs(tmp_path):
    for folder in ("dgr", "conf"):
        shutil.copytree(PROJECT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    files = dict(FILES_OF_THE_EXAMPLE.findall((PROJECT / "docs" / "extending.md").read_text(encoding="utf-8")))
    assert set(files) == {"dgr/refine/shortest.py", "conf/refine/shortest.yaml"}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    wrong = run(tmp_path / "outputs", "refine=shortest", "refine.at_least=0", project=tmp_path)
    assert wrong.returncode == 2
    assert "refine.at_least=0" in wrong.stderr
    done = run(
        tmp_path / "outputs", "refine=shortest", "refine.max_attempts=2", "n_samples=3", *QUICK, project=tmp_path
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "outputs" / "default").iterdir()
    assert folder.name.startswith("micro-micro_direct_refusal-shortest-n3-s0-")
    assert read_json(folder / "refine.json")["attempts"] == {"2": 3}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["refine=cross_rewrite", "refine.rewriter=nope"], "choose one of micro, micro_other, micro_plain, qwen3_1_7b"),
        (["refine=cross_rewrite", "refine.rewriter=qwen3_1_7b"], "writes natural language, model=micro reads micro"),
        (["refine=best_of_n", "refine.n=0"], "refine.n=0: must be at least 1"),
        (["refine=best_of_n", "refine.n=many"], "refine.n=many"),
        (["refine=best_of_n", "refine.n=4", "refine.max_attempts=3"], "at most refine.max_attempts=3"),
        (["refine.part=all"], "refine.part=all: choose reasoning, answer, both"),
        (["refine=self_refusal", "refine.prompt=micro"], "shows only {prompt}"),
        (["refine.checks.script=2"], "refine.checks.script=2: give [low, high]"),
        (["refine=sdft", "refine.checks.stanse=true"], "there is no such key"),
    ],
)
def test_a_mistake_in_a_strategy_is_found_before_anything_starts(arguments, words):
    with pytest.raises(Mistakes) as caught:
        check([*arguments, "preflight.reachability=false"])
    assert words in str(caught.value)


def test_the_rewriter_and_its_weights_are_part_of_the_name_and_are_looked_for_on_the_hub(monkeypatch):
    def folder(*arguments):
        return check(["refine=cross_rewrite", *arguments])[0].folder.name

    assert folder() == folder("refine.rewriter=micro_other")
    assert folder() != folder("refine.rewriter=micro")
    monkeypatch.setattr("dgr.preflight._reach", lambda hub_id: f"{hub_id[0]} is far away")
    with pytest.raises(Mistakes, match=r"Qwen/Qwen3-8B is far away"):
        check(["refine=cross_rewrite", "refine.rewriter=qwen3_8b", "model=r1_qwen_7b", "data=direct_refusal"])


def test_axes_are_swept_like_any_key():
    points = check(
        ["-m", "refine.part=reasoning,answer", "refine.fallback=original,drop", "refine.checks.stance=false"]
    )
    assert len({point.folder for point in points}) == 4
    assert len({point.folder for point in check(["-m", "refine=best_of_n", "refine.n=1,2"])}) == 2


def test_the_content_of_a_prompt_counts_not_where_it_lies(tmp_path):
    from dgr.refine.prompt import load_prompt

    copy = tmp_path / "copy.txt"
    copy.write_text(f"# mine\n{load_prompt('micro')}\n")
    (shipped,), (own,) = check([]), check([f"refine.prompt={copy}"])
    assert own.folder == shipped.folder
    copy.write_text("{prompt} {reasoning} {answer}")
    assert check([f"refine.prompt={copy}"])[0].folder != shipped.folder
