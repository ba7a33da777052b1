"""Supervised fine-tuning of a target model on samples: settings, their checks, and the way from samples to a model."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from dgr.chat import IGNORED
from dgr.child import alone
from dgr.model import TargetModel
from dgr.sample import COMPLY, Sample, seed_for
from dgr.training import settings
from dgr.training.adapter import Full, LoRA
from dgr.training.batches import Plan, encode, fingerprint, plan_batches, steps_for
from dgr.training.passes import computed_tokens, cut

if TYPE_CHECKING:
    from dgr.chat import Encoded

log = logging.getLogger(__name__)

PACKABLE = ("auto", "eager", "sdpa", "flex_attention", "flash_attention_2", "flash_attention_3")


@dataclass(frozen=True)
class Trainer:
    """AdamW on the tokens of reasoning and answer (and of the prompt with `train_on_prompt`).

    A batch is always `global_batch` examples (see `plan_batches` for fewer samples than that), divided among `nproc`
    processes and cut into forward passes (see `passes`); every supervised token of a batch weighs the same, so none of
    that changes the result but for rounding and the draws of dropout and NEFTune. Exactly one of `epochs` and
    `max_steps` is set. `warmup_steps`, when set, is used instead of `warmup_ratio`. `precision` auto is bf16 where
    CUDA has it, fp32 elsewhere. Samples longer than `max_length` tokens are an error; None sets no limit.
    """

    strategy: str
    nproc: int | str
    learning_rate: float
    epochs: float | None
    max_steps: int | None
    global_batch: int
    max_length: int | None
    per_device_batch: int | str
    tokens_per_pass: int
    packing: bool
    schedule: str
    warmup_ratio: float
    warmup_steps: int | None
    weight_decay: float
    adam_beta1: float
    adam_beta2: float
    adam_epsilon: float
    max_grad_norm: float
    train_on_prompt: bool
    label_smoothing: float
    neftune_alpha: float | None
    kl_to_base: float
    precision: str
    gradient_checkpointing: bool
    save_steps: int
    stop_patience: float
    logging_steps: int

    speed_only: ClassVar[tuple[str, ...]] = (
        "strategy",
        "nproc",
        "per_device_batch",
        "tokens_per_pass",
        "packing",
        "gradient_checkpointing",
        "save_steps",
        "stop_patience",
        "logging_steps",
    )

    def problems(self, n_samples: int) -> list[str]:
        """Every setting that cannot work, each with its value and what to do; nothing heavy is imported."""
        found = list(settings.problems(self))
        if found:  # what follows calculates with these numbers
            return found
        found += settings.division_problems(self)
        if n_samples and self.warmup_steps is not None:
            steps = steps_for(n_samples, self.global_batch, self.epochs, self.max_steps)
            if self.warmup_steps > steps:
                found.append(
                    f"trainer.warmup_steps={self.warmup_steps} but {n_samples} samples are trained on for "
                    f"{steps} steps; choose at most {steps}"
                )
        return found

    def problems_with(self, target: TargetModel, adapter: Full | LoRA) -> list[str]:
        """Combinations with a target and an adapter that cannot work."""
        found, divided = [], str(self.strategy).startswith("zero3")
        if self.packing and target.attn_implementation not in PACKABLE:
            found.append(
                f"trainer.packing=true needs an attention that keeps examples apart, model.attn_implementation="
                f"{target.attn_implementation} does not; choose one of {', '.join(PACKABLE)}, or trainer.packing=false"
            )
        if divided and self.kl_to_base and isinstance(adapter, Full):
            found.append(
                f"trainer.kl_to_base={self.kl_to_base} with trainer={self.strategy} and adapter=full needs a second, "
                "undivided model; choose adapter=lora, which has it beneath the adapter, or trainer=zero2"
            )
        if divided and getattr(adapter, "bits", None):
            found.append(
                f"adapter.bits={adapter.bits} with trainer={self.strategy}: quantised weights cannot be divided; "
                "choose trainer=zero2 or ddp"
            )
        return found

    @property
    def launched(self) -> bool:
        """Do its processes come from torchrun?"""
        return self.strategy != "single"

    def warmup(self, steps: int) -> int:
        """Steps of linear warm-up out of `steps`."""
        return self.warmup_steps if self.warmup_steps is not None else math.ceil(self.warmup_ratio * steps)

    def train(
        self,
        samples: Sequence[Sample],
        target: TargetModel,
        adapter: Full | LoRA,
        seed: int,
        folder: Path,
        on_log: Callable[[dict], None] | None = None,
    ) -> dict[str, Any] | None:
        """Train the target on the samples and write `folder`/model; return the content of train.json.

        With several processes, all of them call this; the first one writes and returns, the others return None.
        A training that was killed continues after its newest complete checkpoint in `folder`/checkpoints, and ends
        with the weights of an undisturbed one. The caller removes the checkpoints, once it has written
        train.json. `on_log` gets step, loss, learning_rate, grad_norm and tokens_per_second every `logging_steps`.
        ValueError for settings or samples that cannot be trained with.
        """
        if problems := self.problems(len(samples)) + self.problems_with(target, adapter):
            raise ValueError("\n".join(problems))
        if not samples:
            raise ValueError("there are no samples to train on; the untouched target is the result of n_samples=0")
        if self.launched:
            return self._train(samples, target, adapter, seed, folder, on_log)
        with alone():
            return self._train(samples, target, adapter, seed, folder, on_log)

    def _train(
        self,
        samples: Sequence[Sample],
        target: TargetModel,
        adapter: Full | LoRA,
        seed: int,
        folder: Path,
        on_log: Callable[[dict], None] | None,
    ) -> dict[str, Any] | None:
        from dgr.training import checkpoints, loop, ranks
        from dgr.training.export import export, merge

        chat = target.chat()
        encoded = encode(samples, chat, self.max_length, self.train_on_prompt)
        plan = self.plan(samples, encoded, seed, ranks.world_size() if self.launched else 1)
        precision = resolve_precision(self.precision)
        benign = [sample.stance == COMPLY for sample in samples]
        record = self._announce(encoded, benign, plan, precision)
        train_seed = seed_for(seed, "train") % 2**32  # numpy takes 32 bits
        origin = (target.path, target.revision, target.adapter)
        chosen = {name: value for name, value in asdict(self).items() if name not in self.speed_only}
        mark = fingerprint(encoded, plan.stream, chosen, self.logging_steps, adapter, origin, precision, seed)
        seal = checkpoints.Seal(mark, checkpoints.layout(self.strategy, plan.processes))
        with loop.quiet(), loop.random_state(train_seed):
            args = loop.training_arguments(self, plan, precision, train_seed, folder / "checkpoints")
            model = adapter.load(target, precision, train_seed)
            objective = loop.objective(self, model, adapter, target, precision)
            steps = loop.Steps(encoded, plan, chat.pad_id, self.packing, benign if self.kl_to_base else ())
            result = loop.fit(model, objective, steps, args, seal, on_log)
            if precision == "bf16" and isinstance(adapter, Full) and model.dtype != loop.torch.bfloat16:
                model = model.to(dtype=loop.torch.bfloat16)  # as the matrix products of training saw them
            export(model.eval(), chat.tokenizer, folder / "model", target.trust_remote_code)
            if adapter.merge and ranks.is_first():
                merge(target, chat.tokenizer, folder / "model", precision)
        first = ranks.is_first()
        ranks.leave()
        return record | result if first else None

    def plan(self, samples: Sequence[Sample], encoded: Sequence["Encoded"], seed: int, processes: int) -> Plan:
        """What every process computes in every step; ValueError where the processes do not divide the batch."""
        if self.global_batch % processes:
            valid = ", ".join(map(str, settings.divisors(self.global_batch)))
            raise ValueError(
                f"{processes} processes do not divide trainer.global_batch={self.global_batch}; "
                f"choose trainer.nproc and nodes so that their product is one of {valid}"
            )
        divide = partial(
            cut,
            processes=processes,
            per_device_batch=self.per_device_batch,
            tokens_per_pass=self.tokens_per_pass,
            packing=self.packing,
        )
        lengths = [len(example.input_ids) for example in encoded]
        return plan_batches(samples, lengths, seed, self.global_batch, self.epochs, self.max_steps, divide)

    def _announce(
        self, encoded: Sequence["Encoded"], benign: Sequence[bool], plan: Plan, precision: str
    ) -> dict[str, Any]:
        """Log the numbers that decide the result, and return them."""
        examples = [encoded[index] for index in plan.stream]
        tokens = sum(len(example.input_ids) for example in examples)
        lengths = [[len(encoded[index].input_ids) for index in plan.batch(step)] for step in range(plan.steps)]
        computed = sum(
            computed_tokens(shares, batch, self.packing) for shares, batch in zip(plan.cuts, lengths, strict=True)
        )
        record = {
            "n": len(encoded),
            "benign": sum(benign),
            "steps": plan.steps,
            "epochs": len(examples) / len(encoded),
            "effective_batch": plan.effective_batch,
            "per_device_batch": plan.per_device_batch,
            "accumulation": plan.accumulation,
            "processes": plan.processes,
            "strategy": self.strategy,
            "learning_rate": self.learning_rate,
            "precision": precision,
            "supervised_tokens": sum(label != IGNORED for example in examples for label in example.labels),
            "total_tokens": tokens,
            "padding": 1 - tokens / computed,
        }
        log.info(
            "train: %d samples, %d steps of %d examples (trainer=%s, %d process(es), up to %d forward passes each of "
            "up to %d examples) = %.4g epochs, %s supervised of %s tokens, %.0f %% padding, learning rate %g "
            "(%s, %d warm-up steps), %s",
            record["n"],
            plan.steps,
            plan.effective_batch,
            self.strategy,
            plan.processes,
            plan.accumulation,
            plan.per_device_batch,
            record["epochs"],
            f"{record['supervised_tokens']:,}",
            f"{tokens:,}",
            100 * record["padding"],
            self.learning_rate,
            self.schedule,
            self.warmup(plan.steps),
            precision,
        )
        if self.kl_to_base and not any(benign):
            log.warning("trainer.kl_to_base=%g has no effect: none of the samples complies", self.kl_to_base)
        return record


def resolve_precision(precision: str) -> str:
    """ "auto" is bf16 where CUDA has it, fp32 elsewhere."""
    if precision != "auto":
        return precision
    import torch

    return "bf16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "fp32"
