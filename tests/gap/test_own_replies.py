"""The floor: the target's own replies to the bare prompts."""

from dataclasses import replace

import pytest

from dgr.data.micro import MicroDirectRefusal
from dgr.gap.own import own_journal, own_replies
from dgr.generator.hf import HF
from dgr.sample import Sample

GOOD = "that would hurt someone . </think> i will not answer this ."


def test_a_reply_takes_the_place_of_the_sample_s_texts(samples, target, store, script):
    generator = script([GOOD])
    own = own_replies(samples[:2], target, generator, 0, store)
    kept = own["s1"].sample
    assert (kept.reasoning, kept.answer) == ("that would hurt someone .", "i will not answer this .")
    assert (kept.id, kept.prompt) == ("s1", samples[1].prompt)
    assert generator.asked == [target.chat().render_prompt(sample.prompt) for sample in samples[:2]], "bare prompts"


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (GOOD, "kept"),
        ("that would hurt ...", "unfinished"),
        (f"{GOOD} ...", "unfinished"),
        ("that would hurt someone .", "malformed"),
        (f"{GOOD} </think> no .", "malformed"),
        ("</think> no .", "malformed"),
        ("that would hurt someone . </think>", "malformed"),
    ],
)
def test_what_cannot_be_laid_out_like_a_sample_is_left_out_with_its_reason(
    samples, target, store, script, text, outcome
):
    own = own_replies(samples[:1], target, script([text]), 0, store)["s0"]
    assert own.outcome == outcome
    assert (own.sample is not None) == (outcome == "kept")


def test_points_share_replies_by_prompt(samples, target, store, script):
    own_replies(samples[:4], target, script([GOOD]), 0, store)
    later = script([GOOD])
    twin = Sample("another-dataset/1", samples[0].prompt, "other texts", "of another arm", category="x")
    found = own_replies([*samples[:6], twin], target, later, 0, store)
    assert len(later.asked) == 2
    assert found["another-dataset/1"].sample.reasoning == found["s0"].sample.reasoning


def test_what_changes_a_reply_changes_the_journal(target, store, script):
    def name(target=target, generator="a", seed=0):
        return own_journal(target, script([], generator), seed, store).path

    others = [name(seed=1), name(generator="b"), name(replace(target, sampling={"temperature": 0.5}))]
    assert len({name(), *others}) == 4


def test_replies_of_the_micro_model_are_usable_and_survive_a_kill(target, store):
    target = replace(target, sampling={"temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_new_tokens": 160})
    samples = MicroDirectRefusal(name="", language="micro", skip_bad=False).load()[:8]
    generator = HF(name="hf", batch_size=4, memory_share=0.8)
    expected = own_replies(samples, target, generator, 0, store)
    assert sum(own.outcome == "kept" for own in expected.values()) >= 4
    file = own_journal(target, generator, 0, store).path
    lines = file.read_bytes().splitlines(keepends=True)
    assert len(lines) == len(samples)
    file.write_bytes(b"".join(lines[:2]) + lines[2][:20])
    assert own_replies(samples, target, generator, 0, store) == expected
    assert own_replies(samples, target, generator, 1, store) != expected, "another seed, other replies"
