"""Non-padding tokens a CPU second of our training against TRL's SFTTrainer: same model, data, order, batch, precision.

A random Qwen2 of 1.9 million parameters, global batch 8, float32, one thread; lengths as STAR-1 has them (characters of
question and response over 4.3), or drawn from a distribution of the same shape where the dataset is not at hand. Both
are timed between the end of their second and of their last step, so that neither start nor end counts, by the CPU's
seconds, so that other processes on the machine disturb neither. TRL comes with `pip install 'dgr[bench]'`.
"""

import json
import random
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from dgr.chat import IGNORED
from dgr.naming import conf_dir
from dgr.training import loop
from dgr.training.checkpoints import Seal
from dgr.training.objective import TokenLoss
from dgr.training.trainer import Trainer

STAR1 = Path(__file__).parents[2].parent / "shared" / "data" / "star1" / "STAR-1.json"
BATCH, STEPS, WARM_UP, VOCABULARY = 8, 12, 2, 1000
VARIANTS = {
    "one pass of 8, padded": {"per_device_batch": BATCH},
    "default": {},
    "packing": {"packing": True, "tokens_per_pass": 2048},
}


def lengths(count):
    """(tokens of the prompt, tokens of all) of `count` samples."""
    draw = random.Random(0)
    if STAR1.exists():
        rows = draw.sample(json.loads(STAR1.read_text(encoding="utf-8-sig")), count)
        pairs = [(len(row["question"]), len(row["question"]) + len(row["response"])) for row in rows]
        return [(max(1, int(prompt / 4.3)), int(whole / 4.3)) for prompt, whole in pairs]
    drawn = [int(min(1437, max(150, draw.lognormvariate(6.04, 0.36)))) for _ in range(count)]
    return [(max(1, whole // 12), whole) for whole in drawn]


@pytest.fixture(scope="module")
def encoded():
    draw = random.Random(1)
    examples = []
    for prompt, whole in lengths(BATCH * STEPS):
        ids = [draw.randrange(VOCABULARY) for _ in range(whole)]
        examples.append(SimpleNamespace(input_ids=ids, labels=[IGNORED] * prompt + ids[prompt:]))
    return examples


def random_model():
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    shape = {"hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 4}
    return Qwen2ForCausalLM(Qwen2Config(vocab_size=VOCABULARY, num_key_value_heads=2, **shape))


class Clock:
    """CPU seconds from the end of step WARM_UP to the end of the last one."""

    def __init__(self):
        self.ends, self.losses = {}, {}

    def __call__(self, row):
        self.ends[row["step"]] = time.process_time()
        self.losses[row["step"]] = row["loss"]

    def rate(self, encoded):
        tokens = sum(len(example.input_ids) for example in encoded[WARM_UP * BATCH :])
        return tokens / (self.ends[STEPS] - self.ends[WARM_UP])


def ours(encoded, folder, **changed):
    sft = {"learning_rate": 1e-4, "epochs": None, "max_steps": STEPS, "global_batch": BATCH, "max_length": None}
    node = OmegaConf.merge(OmegaConf.load(conf_dir() / "trainer" / "single.yaml"), {"save_steps": 1000}, changed)
    chosen = OmegaConf.to_container(OmegaConf.create({"model": {"sft": sft}, "trainer": node}), resolve=True)["trainer"]
    settings = Trainer(**{key: value for key, value in chosen.items() if key != "_target_"})
    plan = settings.plan([SimpleNamespace(id=str(i)) for i in range(len(encoded))], encoded, 0, 1)
    in_order = [encoded[index] for index in plan.stream]
    clock = Clock()
    with loop.quiet():
        args = loop.training_arguments(settings, plan, "fp32", 0, folder)
        steps = loop.Steps(encoded, plan, 0, settings.packing, ())
        loop.fit(random_model(), TokenLoss(), steps, args, Seal("", "whole"), clock)
    return clock, in_order


def theirs(in_order, folder):
    trl = pytest.importorskip("trl")
    from datasets import Dataset
    from transformers import TrainerCallback

    clock = Clock()

    class Listen(TrainerCallback):
        def on_log(self, args, state, control, logs, **_):
            if "loss" in logs:
                clock({"step": state.global_step, **logs})

    class InOrder(trl.SFTTrainer):
        def _get_train_sampler(self, train_dataset=None):
            return torch.utils.data.SequentialSampler(self.train_dataset)

    rows = [{"input_ids": example.input_ids, "labels": example.labels} for example in in_order]
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=word_level(), pad_token="<pad>", eos_token="<end>")
    config = trl.SFTConfig(
        output_dir=str(folder),
        per_device_train_batch_size=BATCH,
        gradient_accumulation_steps=1,
        max_steps=STEPS,
        learning_rate=1e-4,
        lr_scheduler_type="cosine",
        weight_decay=1e-4,
        adam_beta2=0.95,
        max_length=None,
        bf16=False,
        gradient_checkpointing=False,
        use_cpu=True,
        dataloader_pin_memory=False,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    trainer = InOrder(
        model=random_model(),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[Listen()],
    )
    trainer.train()
    return clock


def word_level():
    from tokenizers import Tokenizer, models

    return Tokenizer(models.WordLevel({"<pad>": 0, "<end>": 1, "<unk>": 2}, unk_token="<unk>"))


def test_training_is_as_fast_as_trl_with_padding_and_faster_as_it_comes(encoded, tmp_path):
    torch.set_num_threads(1)
    rates, losses = {}, {}
    for name, changed in VARIANTS.items():
        clock, in_order = ours(encoded, tmp_path / name, **changed)
        rates[name], losses[name] = clock.rate(in_order), clock.losses
    trl = theirs(in_order, tmp_path / "trl")
    base = trl.rate(in_order)
    print(
        f"\nlengths from {'STAR-1' if STAR1.exists() else 'a drawn distribution'}; tokens a CPU second: TRL {base:,.0f}"
    )
    for name, rate in rates.items():
        print(f"  {name}: {rate:,.0f}, {rate / base:.2f} x")
        assert losses[name][STEPS] == pytest.approx(trl.losses[STEPS], rel=2e-3), "all have to compute the same"
    assert rates["one pass of 8, padded"] >= 1.0 * base
    assert rates["default"] >= 1.3 * base
