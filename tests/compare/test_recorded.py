"""The command that the report shows makes the same run again."""

import shlex

import pytest
from hydra import compose, initialize_config_dir

from dgr.compare.recorded import command
from dgr.compare.runs import read_run
from dgr.naming import conf_dir


@pytest.mark.parametrize(
    "overrides",
    [
        ["refine=vanilla", "n_samples=10", "seed=3"],
        ["model=micro_other", "data=micro_r1_act", "refine=cross_rewrite", "refine.rewriter=micro_plain"],
        ["model=r1_qwen_7b", "data=star1", "evaluation=paper", "adapter=lora", "trainer.learning_rate=1e-05"],
        ["refine.checks.leak=false", "refine.part=answer", "trainer.epochs=2", "trainer.max_steps=null"],
        ["generator=openai", "generator.model='a b, c'", "evaluation=quick", "evaluation.limit=20"],
        ["data=jsonl", "data.path='my, file (1).jsonl'", "data.name='17'"],
    ],
)
def test_the_command_makes_the_same_config(add, overrides, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my, file (1).jsonl").write_text('{"prompt": "a", "answer": "b"}\n')
    run = read_run(add({"x": 1.0}, *overrides, replies={}))
    program, *words = shlex.split(command(run.config))[2:]
    assert program == "dgr.run"
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        again = compose("config", overrides=[*words, f"outputs={run.folder.parents[1]}"])
    assert again == run.config


def test_the_defaults_need_no_words(add):
    assert command(read_run(add({"x": 1.0}, sweep="default")).config) == "python -m dgr.run"
