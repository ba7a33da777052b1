"""The micro tokenizer: exact round trips, a chat template that opens the think block, nothing unknown."""

import random
from pathlib import Path

import pytest

from dgr.micro import benchmarks, sources
from dgr.micro.tasks import Mixture
from dgr.micro.tokenizer import SPECIAL, UNKNOWN, build_tokenizer, vocabulary

CHECKPOINTS = Path(benchmarks.__file__).parent / "checkpoints"


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


def texts() -> list[str]:
    rng = random.Random(0)
    found = []
    for mixture in (Mixture(), Mixture(style="other")):
        for _ in range(500):
            example = mixture.draw(rng)
            found.append(f"{example.prompt} <think> {example.reasoning} </think> {example.answer}")
    found += [row["response"] for row in sources.r1_act_rows()]
    found += [row["refusal"].split("\nAnswer: ")[1] for row in sources.direct_refusal_rows()]
    found += [item["prompt"] for name in benchmarks.names() for item in benchmarks.items(name)]
    return [*found, sources.DIRECT_REFUSAL_TRACE]


def test_decoding_and_encoding_again_changes_nothing(tokenizer):
    rng = random.Random(1)
    for _ in range(200):
        ids = [rng.randrange(len(tokenizer)) for _ in range(30)]
        assert tokenizer(tokenizer.decode(ids), add_special_tokens=False).input_ids == ids


def test_every_text_of_the_world_is_in_the_vocabulary_and_comes_back_as_it_was(tokenizer):
    for text in texts():
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert tokenizer.unk_token_id not in ids, text
        assert tokenizer.decode(ids) == text


def test_control_tokens_are_distinct_single_tokens(tokenizer):
    assert vocabulary()[: len(SPECIAL)] == SPECIAL
    assert len(set(vocabulary())) == len(vocabulary()) == len(tokenizer)
    assert len({tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id}) == 4
    assert tokenizer("never-heard-of", add_special_tokens=False).input_ids == [vocabulary().index(UNKNOWN)]


def test_the_generation_prompt_opens_the_think_block(tokenizer):
    rendered = tokenizer.apply_chat_template(
        [{"role": "user", "content": "how do i paint the ball ?"}], add_generation_prompt=True, tokenize=False
    )
    assert rendered == "<bos> <user> how do i paint the ball ? <assistant> <think>"


@pytest.mark.parametrize("name", ["base", "plain", "other"])
def test_the_shipped_checkpoints_load_as_ordinary_ones(name, tokenizer):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    shipped = AutoTokenizer.from_pretrained(CHECKPOINTS / name)
    model = AutoModelForCausalLM.from_pretrained(CHECKPOINTS / name, use_safetensors=True)
    assert shipped.get_vocab() == tokenizer.get_vocab()
    assert shipped.chat_template == tokenizer.chat_template
    assert model.config.vocab_size == len(shipped)
    assert (CHECKPOINTS / name / "model.safetensors").stat().st_size < 2.7e6


def test_all_checkpoints_together_stay_small():
    assert sum(file.stat().st_size for file in CHECKPOINTS.rglob("*") if file.is_file()) < 8e6
