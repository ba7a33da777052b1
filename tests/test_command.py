"""The command line as a user types it: what is checked before anything starts, and what is said."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dgr.command import check
from dgr.help import HIDDEN
from dgr.naming import conf_dir
from dgr.preflight import Mistakes


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("DGR_OUTPUTS", str(tmp_path / "outputs"))
    return tmp_path / "outputs"


def dgr(*arguments, cwd=None, **environment):
    return subprocess.run(
        [sys.executable, "-m", "dgr.run", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
        check=False,
    )


def mistakes(*arguments):
    with pytest.raises(Mistakes) as caught:
        check(list(arguments))
    return str(caught.value)


def test_all_mistakes_of_a_grid_come_at_once_before_anything_starts(outputs):
    done = dgr("-m", "n_samples=10,oops", "refine=dgr,nope", "data.path=/missing")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for words in ("n_samples=oops", "refine=nope", "choose one of", "data.path"):
        assert words in done.stderr
    assert not outputs.exists()


def test_all_mistakes_of_one_point_come_at_once():
    text = mistakes("n_samples=oops", "refine=nope", "seed=-1", "trainer.learning_rate=fast", "trainer.lerning_rate=1")
    for words in ("n_samples=oops", "refine=nope", "seed=-1", "trainer.learning_rate=fast", "trainer.lerning_rate"):
        assert words in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["refine=vanila"], "did you mean vanilla?"),
        (["data=direct_refusal", "preflight.reachability=false"], "natural language; choose a micro dataset"),
        (["adapter=lora", "adapter.targets=[q_proj,nonsense]"], "nonsense"),
        (["trainer.global_batch=10", "trainer.per_device_batch=4"], "does not divide trainer.global_batch=10"),
        (["trainer=zero2", "trainer.nproc=3"], "choose auto or one of 1, 2, 4, 8, 16"),
        (["trainer=ddp", "trainer.nproc=2", "trainer.per_device_batch=16"], "(8 examples each); choose auto or one of"),
        (["trainer.nproc=2"], "choose trainer=ddp or zero2"),
        (["trainer=zero3", "adapter=full", "trainer.kl_to_base=0.1"], "choose adapter=lora"),
        (["trainer.kl_to_base=0.1"], "data=micro_direct_refusal has none"),
        (["adapter=lora", "adapter.bits=4"], "adapter.bits=4 needs a CUDA GPU"),
        (["adapter=lora", "adapter.bits=8"], "choose 4, or null"),
        (["trainer.packing=true", "model.attn_implementation=paged"], "trainer.packing=true needs an attention"),
        (["n_samples=1001"], "has 1000 samples"),
        (["data=jsonl", "data.path=/missing.jsonl"], "/missing.jsonl"),
        (["data=jsonl"], "data.path"),
        (["refine.max_attempts=0"], "max_attempts=0"),
        (["refine.prompt=/no/such/prompt.txt"], "/no/such/prompt.txt"),
        (["model.path=/no/such/model"], "no checkpoint there"),
        (["sweep=../elsewhere"], "plain folder name"),
        (["n_samples=10,100"], "put -m before"),
        (["evaluation.limit=1"], "evaluation.limit=1"),
        (["model=r1_qwen_1_5b", "data=direct_refusal"], "reads natural; choose another evaluation"),
        (
            ["evaluation=quick", "preflight.reachability=false"],
            "evaluation=quick asks in natural language, model=micro",
        ),
        (["evaluation.max_thinking_tokens=160"], "nothing is left for the answers of chain, tracking"),
        (["evaluation.benchmarks.chain.samples=4"], "benchmark chain: samples=4 at temperature 0"),
    ],
)
def test_a_mistake_says_what_is_wrong_with_which_value_and_what_to_do(monkeypatch, arguments, words):
    monkeypatch.setattr("dgr.training.adapter.which", lambda _: None)  # with SLURM here, GPUs may be elsewhere
    assert words in mistakes(*arguments)


def test_a_hub_that_cannot_be_reached_is_found_before_the_first_point(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    done = dgr("model=r1_qwen_1_5b", "data=direct_refusal", HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 2
    assert "model deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B" in done.stderr
    assert "dataset TianshengHuang/DirectRefusal" in done.stderr
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_grid_is_expanded_to_one_folder_a_point(outputs):
    points = check(["-m", "refine=dgr,vanilla", "n_samples=10,100,1000"])
    folders = [point.folder for point in points]
    assert len(set(folders)) == 6
    assert all(folder.parent == outputs / "default" for folder in folders)
    assert folders[0].name.startswith("micro-micro_direct_refusal-dgr-n10-s0-")


def test_the_name_covers_what_can_change_the_result_and_nothing_else(tmp_path):
    def name(*arguments):
        return check(list(arguments))[0].folder.name

    plain = name()
    for same in ("tracker=wandb_offline", "generator.batch_size=8", "trainer.per_device_batch=4", "sweep=other"):
        assert name(same) == plain, same
    for same in ("trainer=ddp", "trainer=zero2", "trainer=zero3_offload", "trainer.packing=true"):
        assert name(same) == plain, same
    assert name("trainer=zero2", "trainer.nproc=2") == plain
    for other in (
        "trainer.learning_rate=1e-3",
        "trainer.train_on_prompt=true",
        "trainer.label_smoothing=0.1",
        "refine.fallback=drop",
        "evaluation.limit=10",
        "adapter=lora",
    ):
        assert name(other) != plain, other


def test_the_content_of_a_file_counts_not_where_it_lies(tmp_path):
    rows = [{"id": str(i), "prompt": f"p {i}", "reasoning": "r", "answer": "a"} for i in range(3)]

    def name(path, rows):
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        arguments = ["data=jsonl", f"data.path={path}", "n_samples=2", "data.language=micro"]
        return check(arguments)[0].folder.name

    here = name(tmp_path / "a" / "rows.jsonl", rows)
    assert name(tmp_path / "b" / "rows.jsonl", rows) == here
    assert name(tmp_path / "a" / "rows.jsonl", rows[::-1]) != here


@pytest.mark.parametrize("question", [["--help"], ["--cfg", "job"]])
def test_questions_are_answered_without_loading_torch(question):
    code = (
        "import sys; sys.argv = ['dgr', *sys.argv[1:]]\n"
        "import dgr.run\n"
        "try: dgr.run.main()\n"
        "except SystemExit: pass\n"
        "sys.exit(sum(name in sys.modules for name in ('torch', 'transformers', 'datasets', 'wandb')))"
    )
    done = subprocess.run([sys.executable, "-c", code, *question], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "n_samples" in done.stdout


def test_the_help_is_written_for_a_person():
    text = dgr("--help").stdout
    for words in ("python -m dgr.run -m refine=dgr,vanilla n_samples=10,100,1000", "outputs/<sweep>", "--hydra-help"):
        assert words in text
    for file in (file for file in conf_dir().glob("*/*.yaml") if file.parent.name not in HIDDEN):
        assert next(line for line in file.read_text().splitlines() if "@package" not in line).lstrip("# ") in text


def test_it_works_from_any_folder_and_from_a_wheel(tmp_path):
    project = Path(__file__).parents[1]
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist")]
    subprocess.run([*build, str(project)], check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(tmp_path / "site"), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = {"PYTHONPATH": str(tmp_path / "site"), "DGR_OUTPUTS": ""}
    code = "import dgr, dgr.naming; print(dgr.__file__, dgr.naming.outputs_dir())"
    where = subprocess.run(
        [sys.executable, "-c", code], cwd=empty, env={**os.environ, **environment}, capture_output=True, text=True
    ).stdout
    assert str(tmp_path / "site") in where, "the test must look at the wheel, not at the checkout"
    assert str(empty / "outputs") in where
    arguments = ["refine=vanilla", "n_samples=4", "trainer.max_steps=1", "evaluation.limit=2"]
    done = dgr(*arguments, cwd=empty, **environment)
    assert done.returncode == 0, done.stderr
    assert list((empty / "outputs" / "default").glob("*/metrics.json"))
    (empty / "site" / "local").mkdir(parents=True)
    (empty / "site" / "local" / "slurm.yaml").write_text("partition: gpu\n")
    asked = ["--config-dir", "site", "hydra/launcher=slurm", "--cfg", "hydra", "-p", "hydra.launcher"]
    assert "partition: gpu" in dgr(*asked, cwd=empty, **environment).stdout, "its launcher, and the site's values"
