"""The rows of trainings in gpu.py."""

import time
from pathlib import Path
from typing import Any

from gpu_model import on_gpu, operations, point, timed

from dgr.component import build

WARM_UP = 5  # steps
TRL = "full, TRL in passes of 4"
TRAININGS = {  # in the order of their importance; the overrides of a run
    "full, single": [],
    "LoRA r16, single": ["adapter=lora"],
    "full, zero2": ["trainer=zero2"],
    "full, zero3": ["trainer=zero3"],
    "QLoRA r16, single": ["adapter=lora", "adapter.bits=4"],
    "full, single, packing": ["trainer.packing=true"],
    "full, single, gradient_checkpointing": ["trainer.gradient_checkpointing=true"],
    "full, single, tokens_per_pass=2048": ["trainer.tokens_per_pass=2048"],
    "full, zero2, batch 64": ["trainer=zero2", "trainer.global_batch=64", "trainer.max_steps=12"],
    "LoRA r16, single, packing": ["adapter=lora", "trainer.packing=true"],
}


def train(spec: dict[str, Any], folder: Path) -> dict[str, Any] | None:
    """A training as the stage does it; rates from the end of the warm-up on. All of its processes call this."""
    from dgr.training.adapter import Full
    from dgr.training.batches import encode

    cfg = point(spec, *TRAININGS[spec["name"]])
    trainer, target, adapter = (build(cfg[name]) for name in ("trainer", "model", "adapter"))
    samples = build(cfg.data).load()[: trainer.global_batch * trainer.max_steps]
    ends: dict[int, float] = {}
    record = trainer.train(
        samples, target, adapter, 0, folder, lambda row: ends.update({row["step"]: time.perf_counter()})
    )
    if record is None:
        return None
    encoded = encode(samples, target.chat(), trainer.max_length)
    plan = trainer.plan(samples, encoded, 0, record["processes"])
    row = rates(
        spec, [encoded[index] for index in plan.stream], ends, plan.steps, 6 if isinstance(adapter, Full) else 4
    )
    return row | {
        "peak_memory": record["peak_memory_bytes"],
        "padding": record["padding"],
        "passes": record["accumulation"],
        "train.json": {key: value for key, value in record.items() if key != "loss"},
        "loss": [record["loss"][0][1], record["loss"][-1][1]],
    }


def rates(spec: dict[str, Any], in_order: list[Any], ends: dict[int, float], steps: int, each: int) -> dict[str, float]:
    """Of the steps after the warm-up; `ends` says when each step ended."""
    first = min(WARM_UP, steps // 2)
    counted = in_order[first * len(in_order) // steps :]
    lengths = [len(example.input_ids) for example in counted]
    predicted = sum(example.n_reasoning + example.n_answer for example in counted)
    seconds = ends[steps] - ends[first]
    return {
        "tokens_per_second": sum(lengths) / seconds,
        "operations_per_second": operations(spec["model"], lengths, predicted, each) / seconds,
        "step": seconds / (steps - first),
    }


def trl(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """TRL's SFTTrainer on the same examples, four to a forward pass, as the row "full, single" trains them."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from dgr.training.batches import encode

    cfg = point(spec)
    trainer, target = build(cfg.trainer), build(cfg.model)
    samples = build(cfg.data).load()[: trainer.global_batch * trainer.max_steps]
    encoded = encode(samples, target.chat(), trainer.max_length)
    in_order = [encoded[index] for index in trainer.plan(samples, encoded, 0, 1).stream]
    ends: dict[int, float] = {}

    class Clock(TrainerCallback):
        def on_log(self, args, state, control, logs, **_):
            if "loss" in logs:
                ends[state.global_step] = time.perf_counter()

    class InOrder(SFTTrainer):
        def _get_train_sampler(self, train_dataset=None):
            return torch.utils.data.SequentialSampler(self.train_dataset)

    config = SFTConfig(
        output_dir=str(folder),
        per_device_train_batch_size=4,
        gradient_accumulation_steps=trainer.global_batch // 4,
        max_steps=trainer.max_steps,
        learning_rate=trainer.learning_rate,
        max_length=None,
        bf16=on_gpu(),
        use_cpu=not on_gpu(),
        gradient_checkpointing=False,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    model = AutoModelForCausalLM.from_pretrained(spec["model"], dtype=torch.float32)
    rows = Dataset.from_list([{"input_ids": example.input_ids, "labels": example.labels} for example in in_order])
    told = {"train_dataset": rows, "processing_class": target.load_tokenizer(), "callbacks": [Clock()]}
    _, _, memory = timed(InOrder(model=model, args=config, **told).train)
    row = rates(spec, in_order, ends, trainer.max_steps, 6)
    passes = [in_order[begin : begin + 4] for begin in range(0, len(in_order), 4)]
    computed = sum(len(batch) * max(len(example.input_ids) for example in batch) for batch in passes)
    tokens = sum(len(example.input_ids) for example in in_order)
    return row | {"peak_memory": memory, "padding": 1 - tokens / computed, "passes": trainer.global_batch // 4}
