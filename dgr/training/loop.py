"""The optimisation loop: transformers.Trainer, told our batches, our loss and our log.

Imported by `Trainer.train` only, because transformers.Trainer takes seconds to import.
"""

import logging
import math
import random
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.utils import logging as hf_logging

from dgr.chat import IGNORED
from dgr.training import checkpoints
from dgr.training.batches import Plan, collate

if TYPE_CHECKING:
    from dgr.chat import Encoded
    from dgr.training.trainer import Trainer

log = logging.getLogger(__name__)

LOG_EVERY = 10.0  # seconds between two log lines where there is no terminal to draw a bar on


@contextmanager
def random_state(seed: int) -> Iterator[None]:
    """Seed every generator, and give them back as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        transformers.set_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' own bars and notices off the screen; what matters is checked and raised here."""
    bars, verbosity = hf_logging.is_progress_bar_enabled(), hf_logging.get_verbosity()
    hf_logging.disable_progress_bar()
    hf_logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        hf_logging.set_verbosity(verbosity)
        if bars:
            hf_logging.enable_progress_bar()


def token_mean(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int) -> torch.Tensor:
    """Cross-entropy summed over the supervised tokens here, divided by their number in the whole global batch.

    Every token of the global batch weighs the same, however it is cut into forward passes. `labels` are
    [batch, length], IGNORED where nothing is supervised; only supervised positions are turned into float32.
    """
    following = labels[:, 1:]
    supervised = following != IGNORED
    logits = outputs.logits[:, :-1][supervised].float()
    return torch.nn.functional.cross_entropy(logits, following[supervised], reduction="sum") / num_items_in_batch


class StreamTrainer(transformers.Trainer):
    """transformers.Trainer that takes the examples in the order in which they stand."""

    def _get_train_sampler(self, train_dataset: Any = None) -> torch.utils.data.Sampler:
        return torch.utils.data.SequentialSampler(self.train_dataset)


class Watch(transformers.TrainerCallback):
    """Progress, log lines, `on_log`, and the seal on every checkpoint."""

    def __init__(
        self, tokens: Sequence[int], report: Callable[[dict], None] | None, fingerprint: str, start: int
    ) -> None:
        """`tokens[i]`: tokens of the first i steps; `start`: steps that an earlier process did."""
        self.tokens, self.report, self.fingerprint, self.start = tokens, report, fingerprint, start
        self.progress = Progress(
            TextColumn("train"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )

    def on_train_begin(self, args, state, control, **_):
        self.task = self.progress.add_task("train", total=state.max_steps, completed=state.global_step, note="")
        self.progress.start()
        self.began = self.said = time.monotonic()

    def on_step_end(self, args, state, control, **_):
        self.progress.update(self.task, completed=state.global_step)
        if state.global_step >= state.max_steps:
            control.should_save = False  # the finished model is written next; a checkpoint beside it is no use

    def on_log(self, args, state, control, logs, **_):
        if "loss" not in logs:  # the summary at the end
            return
        step, loss = state.global_step, logs["loss"]
        if not math.isfinite(loss):
            raise RuntimeError(
                f"the loss is {loss} at step {step}; lower trainer.learning_rate ({args.learning_rate:g}) "
                "or train in trainer.precision=fp32"
            )
        note = f"loss {loss:.4f}  {self.speed(step):,.0f} tokens/s"
        self.progress.update(self.task, note=note)
        if self.progress.disable and time.monotonic() - self.said >= LOG_EVERY:
            self.said = time.monotonic()
            log.info("step %d of %d  %s", step, state.max_steps, note)
        if self.report:
            self.report({"step": step, "tokens_per_second": self.speed(step), **logs})

    def on_save(self, args, state, control, **_):
        checkpoints.seal(Path(args.output_dir) / f"checkpoint-{state.global_step}", self.fingerprint)

    def on_train_end(self, args, state, control, **_):
        self.progress.stop()

    def speed(self, step: int) -> float:
        """Tokens a second (padding not counted) since this process began to train."""
        return (self.tokens[step] - self.tokens[self.start]) / max(time.monotonic() - self.began, 1e-9)


def fit(
    model: transformers.PreTrainedModel,
    encoded: Sequence["Encoded"],
    plan: Plan,
    settings: "Trainer",
    precision: str,
    pad_id: int,
    seed: int,
    folder: Path,
    fingerprint: str,
    on_log: Callable[[dict], None] | None = None,
) -> dict:
    """Train the model in place, from the newest complete checkpoint in `folder` if there is one."""
    checkpoint = checkpoints.latest(folder, fingerprint)
    start = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
    if checkpoint:
        log.info("continuing after step %d of %d", start, plan.steps)
    examples = [encoded[index] for index in plan.stream]
    lengths = [len(example.input_ids) for example in examples]
    tokens = [0, *accumulate(lengths)][:: plan.effective_batch]
    watch = Watch(tokens, on_log, fingerprint, start)
    args = training_arguments(settings, plan, precision, seed, folder)
    use_cache = model.config.use_cache
    trainer = _trainer(model, args, examples, pad_id, watch)
    began = time.monotonic()
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    finally:
        watch.progress.stop()
        model.config.use_cache = use_cache  # Trainer turns it off, and it would be saved with the model
    seconds = time.monotonic() - began
    return {
        "seconds": seconds,
        "tokens_per_second": (tokens[-1] - tokens[start]) / seconds,
        "resumed_from": start,
        "peak_memory_bytes": peak_memory(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "trainable_parameters": sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
        "loss": loss_curve(trainer.state.log_history),
    }


def loss_curve(history: list[dict]) -> list[list[float]]:
    """[step, loss, learning rate, gradient norm before clipping] of each logged step, resumed ones included."""
    keys = ("step", "loss", "learning_rate", "grad_norm")
    return [[entry[key] for key in keys] for entry in history if "loss" in entry]


def _trainer(
    model: transformers.PreTrainedModel,
    args: transformers.TrainingArguments,
    examples: Sequence["Encoded"],
    pad_id: int,
    watch: Watch,
) -> StreamTrainer:
    trainer = StreamTrainer(
        model=model,
        args=args,
        train_dataset=examples,
        data_collator=partial(collate, pad_id=pad_id),
        compute_loss_func=token_mean,
        callbacks=[watch],
    )
    for noisy in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(noisy)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    return trainer


def training_arguments(
    settings: "Trainer", plan: Plan, precision: str, seed: int, folder: Path
) -> transformers.TrainingArguments:
    schedule = {"constant": "constant_with_warmup"}.get(settings.schedule, settings.schedule)
    args = transformers.TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=plan.per_device_batch,
        gradient_accumulation_steps=plan.accumulation,
        max_steps=plan.steps,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=schedule,
        warmup_steps=settings.warmup(plan.steps),
        weight_decay=settings.weight_decay,
        adam_beta1=settings.adam_beta1,
        adam_beta2=settings.adam_beta2,
        adam_epsilon=settings.adam_epsilon,
        max_grad_norm=settings.max_grad_norm,
        bf16=precision == "bf16",
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        seed=seed,
        data_seed=seed,
        save_strategy="steps",
        save_steps=settings.save_steps,
        save_total_limit=2,  # the newest may be torn by a kill
        save_only_model=False,
        logging_steps=settings.logging_steps,
        logging_nan_inf_filter=False,  # a loss that is no number must be seen
        disable_tqdm=True,
        report_to=[],
        remove_unused_columns=False,
        **(
            {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}}
            if settings.gradient_checkpointing
            else {}
        ),
    )
    if args.n_gpu > 1:
        args._n_gpu = 1  # one process trains on one device; Trainer would wrap the model in DataParallel
    return args


def peak_memory() -> int:
    """Bytes: allocated on the device at most, or resident in this process at most (since it started)."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
