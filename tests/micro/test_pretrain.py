"""The pretraining recipe in miniature: its problems are right, it resumes exactly, it writes ordinary checkpoints."""

import random
from dataclasses import replace

import pytest

from dgr.files import read_json
from dgr.micro.pretrain import Run, parse, pretrain
from dgr.micro.problems import FAMILIES, solve
from dgr.micro.scoring import chain_result, extract_answer
from dgr.micro.style import OWN
from dgr.micro.tasks import draw_problem


@pytest.mark.parametrize("family", FAMILIES)
def test_the_solution_of_a_problem_reaches_its_gold(family):
    rng = random.Random(0)
    for _ in range(100):
        problem = draw_problem(rng, family)
        reasoning, answer = solve(rng, OWN, problem)
        assert chain_result(reasoning) == extract_answer(answer) == problem.gold
        assert not problem.for_evaluation


def test_a_chain_is_plain_arithmetic():
    problem = draw_problem(random.Random(5), "chain")
    numbers = [word for word in problem.prompt.split() if word.isdigit()]
    assert str(sum(map(int, numbers)) % 10) == problem.gold


@pytest.mark.parametrize("arguments", [["seed=1"], ["out=x", "sede=1"], ["out=x", "tokens=many"], ["out=x", "style=y"]])
def test_a_mistake_in_the_recipe_is_named(arguments):
    with pytest.raises(ValueError, match=r"out|sede|tokens|style"):
        parse(arguments)


def test_a_few_steps_lower_the_loss_and_resuming_gives_the_same_weights(tmp_path, monkeypatch):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.setattr("dgr.micro.pretrain.POOL", 16)
    monkeypatch.setattr("dgr.micro.pretrain.WARM_UP_STEPS", 2)
    recipe = parse([f"out={tmp_path / 'whole'}", "tokens=4000", "batch_tokens=512"])
    record = pretrain(recipe)
    assert record["loss"][-1]["loss"] < record["loss"][0]["loss"]

    broken = replace(recipe, out=str(tmp_path / "broken"))
    run = Run(broken)
    next(run.train())
    run.save_state()
    pretrain(broken)
    one, other = (AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in ("whole", "broken"))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert not list(tmp_path.glob("*/pretraining.pt"))
    assert read_json(tmp_path / "broken" / "recipe.json")["recipe"]["seed"] == 0
    assert AutoTokenizer.from_pretrained(tmp_path / "whole").chat_template


def test_the_state_of_another_recipe_is_not_taken_up(tmp_path):
    run = Run(parse([f"out={tmp_path}", "seed=3"]))
    run.save_state()
    with pytest.raises(ValueError, match="another recipe"):
        pretrain(parse([f"out={tmp_path}", "seed=4"]))
