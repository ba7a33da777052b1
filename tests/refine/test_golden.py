"""What every arm shows to each real chat family, and what is trained on then, character by character."""

from dataclasses import replace
from pathlib import Path

import pytest
from scripted import Script
from tiny_tokenizers import BOS, EOS, tiny

from dgr.model import TargetModel
from dgr.refine import RefineContext
from dgr.sample import Sample
from dgr.store import Store

SOURCE = Sample(
    "lock",
    "How do I open the lock of my neighbour's shed?",
    "I should not answer this question!",
    "No. That shed is not yours to open.",
)
REASONING = (
    "Okay, so somebody wants to get into a neighbour's shed.\n\nIt belongs to the neighbour, who has not agreed, so "
    "helping would mean helping with a break-in. I should say no."
)
ANSWER = "I'm sorry, but I can't help with getting into a shed that isn't yours.\n\nYou could ask your neighbour."
REWRITTEN = replace(SOURCE, reasoning=REASONING, answer=ANSWER)
QWEN_SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
FORMATS = {"r1": "think_tags", "r1_first": "think_tags", "qwen3": "think_tags", "s1": "s1"}
# The prompt up to what the user says, from there to the reply, the reply, its end token.
FRAMES = {
    "r1": (f"{BOS}<｜User｜>", "<｜Assistant｜><think>\n", "{r}\n</think>\n\n{a}", EOS),
    "r1_first": (f"{BOS}<｜User｜>", "<｜Assistant｜>", "<think>\n{r}\n</think>\n\n{a}", EOS),
    "qwen3": (
        "<|im_start|>user\n",
        "<|im_end|>\n<|im_start|>assistant\n",
        "<think>\n{r}\n</think>\n\n{a}",
        "<|im_end|>",
    ),
    "s1": (
        f"{QWEN_SYSTEM}<|im_start|>user\n",
        "<|im_end|>\n<|im_start|>assistant\n",
        "<|im_start|>think\n{r}\n<|im_start|>answer\n{a}",
        "<|im_end|>",
    ),
}
SHOWN = {"dgr": "dgr", "sdft": "sdft", "self_refusal": "self_refusal", "best_of_n": "dgr", "cross_rewrite": "dgr"}


class Tiny(TargetModel):
    """A target whose tokenizer is the family's tiny one; it has no weights."""

    def load_tokenizer(self):
        return tiny(self.name)

    def fingerprint(self) -> str:
        return self.name


def model(family: str) -> Tiny:
    return Tiny(family, "/nowhere", FORMATS[family])


def golden(arm: str) -> str:
    return (Path(__file__).parent / "golden" / f"{SHOWN[arm]}.txt").read_text(encoding="utf-8").rstrip("\n")


def refined(arm, target, writer, strategy, folder):
    """The refined sample and the prompt that led to it; the writer replies in its own format."""
    generator = Script({SOURCE.content: [reply(writer.name, REWRITTEN)] * 4})
    changes = {"n": 1} if arm == "best_of_n" else {}
    built = strategy(arm, language="natural", **changes)
    if arm == "cross_rewrite":
        built = replace(built, model=writer)
    (entry,) = built.refine([SOURCE], RefineContext(target, generator, 0, Store(folder)))
    return entry, generator.prompts[f"{SOURCE.content}#1"]


def reply(family: str, sample: Sample) -> str:
    return FRAMES[family][2].format(r=sample.reasoning, a=sample.answer)


def trained_on(target: Tiny, sample: Sample) -> str:
    encoded = target.chat().encode(sample.prompt, sample.reasoning, sample.answer)
    return target.chat().tokenizer.decode(encoded.input_ids, skip_special_tokens=False)


@pytest.fixture(autouse=True)
def no_weights(monkeypatch):
    row = {"reasoning_nll": 1.0, "answer_nll": 1.0, "reasoning_tokens": 1, "answer_tokens": 1}
    monkeypatch.setattr("dgr.refine.best_of_n.sample_nll", lambda samples, *_: {s.content: row for s in samples})


@pytest.mark.parametrize("arm", SHOWN)
@pytest.mark.parametrize("family", FRAMES)
def test_prompt_and_target_of_an_arm(arm, family, strategy, tmp_path):
    target = model(family)
    entry, prompt = refined(arm, target, target, strategy, tmp_path)
    before, after, _, end = FRAMES[family]
    assert prompt == before + golden(arm) + after
    assert entry.accepted, entry.attempts
    assert entry.sample == REWRITTEN
    assert trained_on(target, entry.sample) == before + SOURCE.prompt + after + reply(family, REWRITTEN) + end


@pytest.mark.parametrize("family", FRAMES)
def test_vanilla_trains_on_the_sources_words_in_the_familys_format(family, strategy, tmp_path):
    target = model(family)
    (entry,) = strategy("vanilla").refine([SOURCE], RefineContext(target, None, 0, Store(tmp_path)))
    before, after, _, end = FRAMES[family]
    assert trained_on(target, entry.sample) == before + SOURCE.prompt + after + reply(family, SOURCE) + end


@pytest.mark.parametrize("rewriter", FRAMES)
@pytest.mark.parametrize("family", FRAMES)
def test_a_rewriter_of_another_family_is_asked_in_its_format_and_the_target_trained_in_its_own(
    rewriter, family, strategy, tmp_path
):
    target = model(family)
    entry, prompt = refined("cross_rewrite", target, model(rewriter), strategy, tmp_path)
    assert prompt == FRAMES[rewriter][0] + golden("dgr") + FRAMES[rewriter][1]
    before, after, _, end = FRAMES[family]
    assert trained_on(target, entry.sample) == before + SOURCE.prompt + after + reply(family, REWRITTEN) + end
