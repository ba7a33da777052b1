"""The optimisation loop: transformers.Trainer, told our batches, our loss and our log.

Imported by `Trainer.train` only, because transformers.Trainer takes seconds to import.
"""

import logging
import os
import random
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import accumulate
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.utils import logging as hf_logging

from dgr import stopping
from dgr.chat import IGNORED
from dgr.disk import explained
from dgr.generator.batching import is_out_of_memory
from dgr.training import checkpoints, ranks, zero
from dgr.training.adapter import DTYPES
from dgr.training.batches import Plan
from dgr.training.objective import KLToBase, Objective, TokenLoss, frozen, without_adapter
from dgr.training.passes import collate
from dgr.training.watch import PackingCheck, StopWhenAsked, Watch

if TYPE_CHECKING:
    from dgr.chat import Encoded
    from dgr.model import TargetModel
    from dgr.training.trainer import Trainer

log = logging.getLogger(__name__)


@contextmanager
def random_state(seed: int) -> Iterator[None]:
    """Seed every generator, and give them back as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    here = [int(os.environ.get("LOCAL_RANK", "0"))] if torch.cuda.is_available() else []  # no context on other devices
    with torch.random.fork_rng(devices=here):
        transformers.set_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' own bars and notices off the screen; what matters is checked and raised here."""
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # where DeepSpeed is installed, it warns that it has to guess
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


class Steps(torch.utils.data.Dataset):
    """For every step the forward passes of this process, and the supervised tokens of the whole global batch."""

    def __init__(self, encoded: Sequence["Encoded"], plan: Plan, pad_id: int, packing: bool, benign: Sequence[bool]):
        """`benign`, a mark for every sample, is empty where the objective does not ask."""
        self.encoded, self.plan, self.pad_id, self.packing, self.benign = encoded, plan, pad_id, packing, benign
        self.supervised = [sum(label != IGNORED for label in example.labels) for example in encoded]

    def __len__(self) -> int:
        return self.plan.steps

    def __getitem__(self, step: int) -> dict[str, Any]:
        passes = self.plan.passes(step, ranks.rank())
        return {
            "tokens": sum(self.supervised[index] for index in self.plan.batch(step)),
            "passes": [self.collate(indices) for indices in passes],
        }

    def collate(self, indices: Sequence[int]) -> dict[str, torch.Tensor]:
        marks = [self.benign[index] for index in indices] if self.benign else None
        return collate([self.encoded[index] for index in indices], self.pad_id, self.packing, marks)


class StepTrainer(transformers.Trainer):
    """transformers.Trainer that is given whole steps: every item of its dataset is one global batch, cut into passes.

    So the plan alone decides what is computed where; Trainer keeps the optimizer, the schedule and the checkpoints.
    """

    def __init__(self, *args: Any, objective: Objective, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.objective = objective

    def get_train_dataloader(self) -> torch.utils.data.DataLoader:
        return torch.utils.data.DataLoader(
            self.train_dataset, batch_size=1, collate_fn=itemgetter(0), pin_memory=self.args.dataloader_pin_memory
        )

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """Forward and backward of all passes; gradients meet those of the other processes in the last one."""
        losses = []
        for left, batch in zip(reversed(range(len(inputs["passes"]))), inputs["passes"], strict=True):
            self.accelerator.gradient_state._set_sync_gradients(left == 0)
            with nullcontext() if left == 0 else self._apart(model):
                losses.append(super().training_step(model, batch, inputs["tokens"]))
        return torch.stack(losses).sum()

    def _apart(self, model: Any) -> AbstractContextManager:
        return nullcontext() if self.is_deepspeed_enabled else self.accelerator.no_sync(model)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """This process's part, times the processes: their gradients and their logged losses are averaged."""
        return self.objective.loss(model, inputs, num_items_in_batch) * self.accelerator.num_processes

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        return 0  # an estimate that nobody reads, from the tensors of one pass


def objective(
    settings: "Trainer", model: transformers.PreTrainedModel, adapter: Any, target: "TargetModel", precision: str
) -> Objective:
    """What is minimised, with the untouched target at hand where it is asked."""
    if not settings.kl_to_base:
        return TokenLoss(settings.label_smoothing)
    if hasattr(model, "peft_config"):
        base = without_adapter(model)
    else:
        base = frozen(target.load_model(DTYPES[precision], placed=False))
    return KLToBase(settings.label_smoothing, settings.kl_to_base, base)


def fit(
    model: transformers.PreTrainedModel,
    objective: Objective,
    steps: Steps,
    args: transformers.TrainingArguments,
    seal: checkpoints.Seal,
    on_log: Callable[[dict], None] | None = None,
) -> dict[str, Any]:
    """Train the model in place, from the newest complete checkpoint in the output folder if there is one.

    `Stopped` where that is asked for, after a checkpoint of the step.
    """
    plan, stop = steps.plan, StopWhenAsked()
    stop.signal = ranks.agreed(stopping.asked())
    _leave_if(stop)
    checkpoint = checkpoints.latest(Path(args.output_dir), seal) if ranks.is_first() else None
    checkpoint = ranks.agreed(checkpoint)
    start = checkpoints.step_of(checkpoint)
    if checkpoint:
        log.info("continuing after step %d of %d", start, plan.steps)
    lengths = [len(steps.encoded[index].input_ids) for index in plan.stream]
    tokens = [0, *accumulate(lengths)][:: plan.effective_batch]
    watch = Watch(tokens, on_log, seal, start)
    use_cache = model.config.use_cache
    trainer = _trainer(model, objective, args, steps, [watch, stop])
    began = time.monotonic()
    try:
        with explained(Path(args.output_dir).parent):  # while the disk is still as full as it was
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except Exception as error:
        if ranks.is_first():
            checkpoints.remove_unsealed(Path(args.output_dir))
        if is_out_of_memory(error):
            raise MemoryError(
                f"the memory does not hold the training; lower trainer.tokens_per_pass (the largest forward pass has "
                f"{plan.per_device_batch} examples), or choose trainer.gradient_checkpointing=true, adapter=lora or "
                f"trainer=zero3_offload ({'. '.join(str(error).split('. ')[:2])})"
            ) from error
        raise
    finally:
        watch.progress.stop()
        model.config.use_cache = use_cache  # Trainer turns it off, and it would be saved with the model
    _leave_if(stop)
    seconds = time.monotonic() - began
    stage = trainer.deepspeed.zero_optimization_stage() if trainer.is_deepspeed_enabled else 0
    if stage:
        zero.release()
    return {
        "zero_stage": stage,
        "seconds": seconds,
        "tokens_per_second": (tokens[-1] - tokens[start]) / seconds,
        "resumed_from": start,
        "peak_memory_bytes": ranks.highest(peak_memory()),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "trainable_parameters": sum(size(weight) for weight in model.parameters() if weight.requires_grad),
        "loss": loss_curve(trainer.state.log_history),
    }


def _leave_if(stop: StopWhenAsked) -> None:
    if stop.signal:
        ranks.leave()
        raise stopping.Stopped(stop.signal)


def size(weight: torch.nn.Parameter) -> int:
    """Numbers in a weight, also where this process holds a part of it only."""
    return getattr(weight, "ds_numel", weight.numel())


def loss_curve(history: list[dict]) -> list[list[float]]:
    """[step, loss, learning rate, gradient norm before clipping] of each logged step, resumed ones included."""
    keys = ("step", "loss", "learning_rate", "grad_norm")
    return [[entry[key] for key in keys] for entry in history if "loss" in entry]


def _trainer(
    model: transformers.PreTrainedModel,
    objective: Objective,
    args: transformers.TrainingArguments,
    steps: Steps,
    callbacks: list[transformers.TrainerCallback],
) -> StepTrainer:
    callbacks = [PackingCheck(steps.encoded), *callbacks] if steps.packing else callbacks
    trainer = StepTrainer(model=model, args=args, train_dataset=steps, callbacks=callbacks, objective=objective)
    for noisy in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(noisy)
    if ranks.rank():
        torch.manual_seed(args.seed + ranks.rank())  # dropout of its own
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    return trainer


def training_arguments(
    settings: "Trainer", plan: Plan, precision: str, seed: int, folder: Path
) -> transformers.TrainingArguments:
    """For several processes this also joins them, and under ZeRO-3 it makes `from_pretrained` divide what it loads."""
    schedule = {"constant": "constant_with_warmup"}.get(settings.schedule, settings.schedule)
    gpu = torch.cuda.is_available()
    deepspeed = zero.config(settings.strategy, gpu)
    args = transformers.TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=plan.effective_batch // plan.processes,  # an item of the dataset is all of it
        gradient_accumulation_steps=1,
        max_steps=plan.steps,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=schedule,
        warmup_steps=settings.warmup(plan.steps),
        weight_decay=settings.weight_decay,
        adam_beta1=settings.adam_beta1,
        adam_beta2=settings.adam_beta2,
        adam_epsilon=settings.adam_epsilon,
        max_grad_norm=settings.max_grad_norm,
        neftune_noise_alpha=settings.neftune_alpha,
        bf16=precision == "bf16",
        use_cpu=not gpu,
        deepspeed=deepspeed,
        ddp_backend="gloo" if settings.launched and not gpu else None,
        ddp_find_unused_parameters=False,
        ddp_broadcast_buffers=False,
        dataloader_pin_memory=gpu,
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
    args.device  # noqa: B018 - joins the processes, which has to come before a model is loaded
    if deepspeed:
        zero.join(gpu)
    if args.n_gpu > 1:
        args._n_gpu = 1  # one process trains on one device; Trainer would wrap the model in DataParallel
    return args


def peak_memory() -> int:
    """Bytes: allocated on the device at most, or resident in this process at most (since it started)."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
