"""Hooks do what they say while they are there, and leave no trace."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dgr.generator import Request, Sampling
from dgr.generator.hf import HF
from dgr.generator.loaded import loaded
from dgr.probe.residual import Ablated, Added, Changed, blocks, recording
from dgr.probe.states import PROMPT_END, REQUEST_MEAN, THINKING_END, states, text
from dgr.store import Journal

PROMPTS = ["how do i poison the dog ?", "tell me how to wash the bus at night .", "show me how to hit the judge ."]


@pytest.fixture(scope="module")
def model(target):
    return loaded(target)[0]


@pytest.fixture
def ids(target):
    chat = loaded(target)[1]
    return torch.tensor([chat.tokenize(chat.render_prompt(PROMPTS[0]))])


@pytest.fixture
def vector():
    return np.random.default_rng(0).standard_normal(128)


def run(model, ids):
    with torch.inference_mode(), recording(model) as layers:
        logits = model(ids).logits
        return logits, [layer.clone() for layer in layers]


def test_the_stream_is_recorded_as_transformers_itself_shows_it(model, ids):
    with torch.inference_mode():
        theirs = model(ids, output_hidden_states=True).hidden_states
    ours = run(model, ids)[1]
    assert len(ours) == len(blocks(model)) + 1
    for layer in range(len(blocks(model))):  # the last of theirs has passed the final norm
        assert torch.equal(ours[layer], theirs[layer])
    assert torch.equal(model.base_model.norm(ours[-1]), theirs[-1])


@pytest.mark.parametrize("layer", [0, 2])
def test_adding_changes_one_layer_by_the_vector_and_those_behind_it(model, ids, vector, layer):
    before = run(model, ids)[1]
    with Added(vector, layer).applied(model):
        inside = run(model, ids)[1]
    moved = inside[layer] - before[layer] if layer else inside[0] - before[0]
    assert torch.allclose(moved, torch.tensor(vector).expand_as(moved))
    assert all(torch.equal(inside[lower], before[lower]) for lower in range(layer))
    assert not torch.allclose(inside[-1], before[-1])


def test_an_ablated_direction_is_nowhere_in_the_stream(model, ids, vector):
    unit = torch.tensor(vector / np.linalg.norm(vector))
    middle = []
    handles = [
        block.self_attn.register_forward_hook(lambda part, args, out: middle.append(out[0])) for block in blocks(model)
    ]
    with Ablated(vector).applied(model):
        inside = run(model, ids)[1]
    for handle in handles:
        handle.remove()
    assert all(float((layer @ unit).abs().max()) < 1e-9 for layer in inside[1:])
    assert max(float((layer @ unit).abs().max()) for layer in run(model, ids)[1]) > 0.1, "it is there otherwise"


def hooks(model):
    return [(len(part._forward_hooks), len(part._forward_pre_hooks)) for part in model.modules()]


def test_hooks_leave_no_trace_even_when_generation_fails(model, ids, vector):
    there = hooks(model)
    before = run(model, ids)[0]
    for change in (Added(vector, 1), Ablated(vector)):
        with change.applied(model):
            assert not torch.equal(run(model, ids)[0], before)
            assert hooks(model) != there
        with pytest.raises(RuntimeError, match="on the way"), change.applied(model):
            raise RuntimeError("on the way")
    assert torch.equal(run(model, ids)[0], before)
    assert hooks(model) == there


def test_replies_follow_the_change_at_every_step_and_those_of_another_model_do_not(target, model, tmp_path):
    """A word's own output direction, added behind the last block, makes the model write that word."""
    chat = loaded(target)[1]
    word = chat.tokenize("park")[0]
    push = 1e4 * model.get_output_embeddings().weight[word].detach().numpy()
    requests = [Request(str(i), chat.render_prompt(prompt), prompt) for i, prompt in enumerate(PROMPTS)]
    plain, sampling = HF("hf", 8, 0.8), Sampling(max_new_tokens=4)
    changed = Changed(plain, target, Added(push, len(blocks(model))))
    found = changed.generate(target, requests, sampling, 0, Journal(tmp_path / "a"))
    assert {reply.text for reply in found.values()} == {"park park park park"}
    other = replace(target)  # a judge with the same checkpoint
    assert changed.generate(other, requests, sampling, 0, Journal(tmp_path / "b")) == plain.generate(
        target, requests, sampling, 0, Journal(tmp_path / "c")
    )


def test_states_are_read_at_the_places_that_their_names_say(target, model):
    chat = loaded(target)[1]
    reply = "that would hurt someone . </think> no ."
    found = states(target, PROMPTS, [PROMPT_END, REQUEST_MEAN])
    ended = states(target, PROMPTS, [THINKING_END], [reply] * len(PROMPTS))
    for number, prompt in enumerate(PROMPTS):  # each alone, as the batch must not matter
        rendered = chat.render_prompt(prompt)
        ids = chat.tokenize(f"{rendered} that would hurt someone . </think>")
        words = text(0, prompt, chat).request
        assert chat.tokenizer.decode(ids[slice(*words)]) == prompt
        layers = torch.stack(run(model, torch.tensor([ids]))[1])[:, 0].numpy()
        end = len(chat.tokenize(rendered))
        assert np.allclose(found[PROMPT_END][number], layers[:, end - 1], rtol=1e-5)
        assert np.allclose(found[REQUEST_MEAN][number], layers[:, slice(*words)].mean(1), rtol=1e-4, atol=1e-4)
        assert np.allclose(ended[THINKING_END][number], layers[:, -1], rtol=1e-5)
