"""A target small enough to train in a blink: a random Llama and a word-level tokenizer, as ordinary files."""

import pickle
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from dgr.files import read_json
from dgr.model import TargetModel
from dgr.sample import COMPLY, REFUSE, Sample
from dgr.training.launch import run
from dgr.training.trainer import Trainer

WORKER = Path(__file__).with_name("worker.py")
CONF = Path(__file__).parents[2] / "conf"
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


@pytest.fixture(scope="session")
def make_trainer():
    """A Trainer as conf/trainer makes it, in eight steps unless told otherwise."""

    def make(strategy="single", **changed) -> Trainer:
        sft = {"learning_rate": 1e-2, "epochs": None, "max_steps": 8, "global_batch": 4, "max_length": 64}
        base, own = (OmegaConf.load(CONF / "trainer" / f"{name}.yaml") for name in ("single", strategy))
        own.pop("defaults", None)
        chosen = OmegaConf.merge(base, own, changed)
        settings = OmegaConf.to_container(OmegaConf.create({"model": {"sft": sft}, "trainer": chosen}), resolve=True)
        return Trainer(**{key: value for key, value in settings["trainer"].items() if key != "_target_"})

    return make


@pytest.fixture(scope="session")
def launch(samples, target):
    """Train in real processes, as a run does; returns train.json."""

    def start(
        trainer, adapter, folder: Path, kill_at: int | None = None, pause: float = 0, patience: float = 60
    ) -> dict:
        folder.mkdir(parents=True, exist_ok=True)
        job = {"trainer": trainer, "samples": samples, "target": target, "adapter": adapter}
        job |= {"kill_at": kill_at, "pause": pause}
        (folder / "job.pickle").write_bytes(pickle.dumps(job))
        program = [str(WORKER), str(folder)]
        run(trainer.nproc, trainer.global_batch, program, folder / "errors", "training", patience)
        return read_json(folder / "train.json")

    return start


@pytest.fixture(scope="session")
def weights():
    """Tensors by name of a finished training's file."""
    from safetensors.torch import load_file

    def read(folder: Path):
        return load_file(next((folder / "model").glob("*.safetensors")))

    return read
