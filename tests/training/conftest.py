"""A target small enough to train in a blink: a random Llama and a word-level tokenizer, as ordinary files."""

import pytest
from trainings import launch, make_trainer, weights  # noqa: F401 - fixtures

from dgr.model import TargetModel
from dgr.sample import COMPLY, REFUSE, Sample

WORDS = [f"w{number}" for number in range(40)]
TEMPLATE = (
    "{% for message in messages %}<user> {{ message['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}<assistant> <think> {% endif %}"
)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Sums are then made in one order, so that bitwise equality can be asked for; and a fork is safe."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def target(tmp_path_factory) -> TargetModel:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("base")
    tokens = ["<pad>", "<end>", "<user>", "<assistant>", "<think>", "</think>", "<unk>", *WORDS]
    words = Tokenizer(models.WordLevel({token: index for index, token in enumerate(tokens)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        eos_token="<end>",
        pad_token="<pad>",
        unk_token="<unk>",
        additional_special_tokens=["<user>", "<assistant>", "<think>", "</think>"],
        chat_template=TEMPLATE,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokens),
                hidden_size=32,
                intermediate_size=48,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=64,
                tie_word_embeddings=True,
                bos_token_id=None,
                eos_token_id=1,
                pad_token_id=0,
            )
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return TargetModel(name="tiny", path=str(folder), think_format="think_tags", dtype="float32")


@pytest.fixture(scope="session")
def samples() -> list[Sample]:
    """Ten samples of very different lengths, every third of them benign."""

    def text(start: int, count: int) -> str:
        return " ".join(WORDS[(start + 7 * step) % len(WORDS)] for step in range(count))

    return [
        Sample(
            id=f"s{i}",
            prompt=text(i, 1 + i % 4),
            reasoning=text(i + 3, 2 + 2 * i),
            answer=text(i + 5, 1 + i % 5),
            stance=COMPLY if i % 3 == 0 else REFUSE,
        )
        for i in range(10)
    ]
