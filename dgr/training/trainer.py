"""Supervised fine-tuning of a target model on samples: settings, their checks, and the way from samples to a model."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from dgr.chat import IGNORED
from dgr.model import TargetModel
from dgr.sample import Sample, seed_for
from dgr.training.adapter import Full, LoRA
from dgr.training.batches import Plan, divisors, encode, fingerprint, plan_batches, steps_for

if TYPE_CHECKING:
    from dgr.chat import Encoded

log = logging.getLogger(__name__)

SCHEDULES = ("cosine", "linear", "constant")
PRECISIONS = ("auto", "bf16", "fp32")

# setting: (a whole number, the lowest value, is that value itself excluded, the highest value)
NUMBERS: dict[str, tuple[bool, float, bool, float]] = {
    "learning_rate": (False, 0, True, math.inf),
    "global_batch": (True, 1, False, math.inf),
    "epochs": (False, 0, True, math.inf),
    "max_steps": (True, 1, False, math.inf),
    "max_length": (True, 2, False, math.inf),
    "warmup_ratio": (False, 0, False, 1),
    "warmup_steps": (True, 0, False, math.inf),
    "weight_decay": (False, 0, False, math.inf),
    "adam_beta1": (False, 0, False, 1),
    "adam_beta2": (False, 0, False, 1),
    "adam_epsilon": (False, 0, True, math.inf),
    "max_grad_norm": (False, 0, False, math.inf),
    "save_steps": (True, 1, False, math.inf),
    "logging_steps": (True, 1, False, math.inf),
}
OPTIONAL = ("epochs", "max_steps", "max_length", "warmup_steps")


@dataclass(frozen=True)
class Trainer:
    """AdamW on the tokens of reasoning and answer, one process.

    A batch is always `global_batch` examples (see `plan_batches` for fewer samples than that), cut into forward
    passes of `per_device_batch`; every supervised token of a batch weighs the same. Exactly one of `epochs` and
    `max_steps` is set. `warmup_steps`, when set, is used instead of `warmup_ratio`. `precision` auto is bf16 where
    CUDA has it, fp32 elsewhere. Samples longer than `max_length` tokens are an error; None sets no limit.
    """

    learning_rate: float
    epochs: float | None
    max_steps: int | None
    global_batch: int
    max_length: int | None
    per_device_batch: int | str
    schedule: str
    warmup_ratio: float
    warmup_steps: int | None
    weight_decay: float
    adam_beta1: float
    adam_beta2: float
    adam_epsilon: float
    max_grad_norm: float
    precision: str
    gradient_checkpointing: bool
    save_steps: int
    logging_steps: int

    speed_only: ClassVar[tuple[str, ...]] = (
        "per_device_batch",
        "gradient_checkpointing",
        "save_steps",
        "logging_steps",
    )

    def problems(self, n_samples: int) -> list[str]:
        """Every setting that cannot work, each with its value and what to do; nothing heavy is imported."""
        found = [problem for name in NUMBERS if (problem := self._number_problem(name))]
        for name, valid in (("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in valid:
                found.append(f"trainer.{name}={getattr(self, name)} is unknown; choose one of {', '.join(valid)}")
        if (self.epochs is None) == (self.max_steps is None):
            both = "neither" if self.epochs is None else "both"
            found.append(
                f"trainer.epochs={self.epochs} and trainer.max_steps={self.max_steps}: {both} set; "
                "set one and make the other null"
            )
        if found:  # what follows calculates with these numbers
            return found
        if self.per_device_batch != "auto" and self.per_device_batch not in divisors(self.global_batch):
            valid = ", ".join(map(str, divisors(self.global_batch)))
            found.append(
                f"trainer.per_device_batch={self.per_device_batch} does not divide "
                f"trainer.global_batch={self.global_batch}; choose auto or one of {valid}"
            )
        if n_samples and self.warmup_steps is not None:
            steps = steps_for(n_samples, self.global_batch, self.epochs, self.max_steps)
            if self.warmup_steps > steps:
                found.append(
                    f"trainer.warmup_steps={self.warmup_steps} but {n_samples} samples are trained on for "
                    f"{steps} steps; choose at most {steps}"
                )
        return found

    def _number_problem(self, name: str) -> str | None:
        value, (whole, low, exclusive, high) = getattr(self, name), NUMBERS[name]
        if value is None and name in OPTIONAL:
            return None
        number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if number and (low < value if exclusive else low <= value) and value <= high and value != math.inf:
            return None
        bounds = f"above {low}" if exclusive else f"from {low}" + (f" to {high}" if high < math.inf else "")
        return f"trainer.{name}={value} is not possible; choose a {'whole ' if whole else ''}number {bounds}"

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
    ) -> dict[str, Any]:
        """Train the target on the samples and write `folder`/model; return the content of train.json.

        A training that was killed continues after its newest complete checkpoint in `folder`/checkpoints, and ends
        with the weights of an undisturbed one. The caller removes the checkpoints, once it has written
        train.json. `on_log` gets step, loss, learning_rate, grad_norm and tokens_per_second every `logging_steps`.
        ValueError for settings or samples that cannot be trained with.
        """
        if problems := self.problems(len(samples)):
            raise ValueError("\n".join(problems))
        if not samples:
            raise ValueError("there are no samples to train on; the untouched target is the result of n_samples=0")
        from dgr.training import loop
        from dgr.training.export import export

        chat = target.chat()
        encoded = encode(samples, chat, self.max_length)
        plan = plan_batches(
            samples,
            [len(example.input_ids) for example in encoded],
            seed,
            self.global_batch,
            self.per_device_batch,
            self.epochs,
            self.max_steps,
        )
        precision = resolve_precision(self.precision)
        record = self._announce(encoded, plan, precision)
        train_seed = seed_for(seed, "train") % 2**32  # numpy takes 32 bits
        origin = (target.path, target.revision, target.adapter)
        mark = fingerprint(encoded, plan.stream, asdict(self), adapter, origin, precision, seed)
        checkpoints = folder / "checkpoints"
        with loop.quiet(), loop.random_state(train_seed):
            model = adapter.apply(target.load_model(adapter.weights_dtype(precision)), target.revision)
            result = loop.fit(model, encoded, plan, self, precision, chat.pad_id, train_seed, checkpoints, mark, on_log)
            if precision == "bf16" and isinstance(adapter, Full):
                model = model.to(dtype=loop.torch.bfloat16)  # as the matrix products of training saw them
            export(model.eval(), chat.tokenizer, folder / "model", target.trust_remote_code)
        return record | result

    def _announce(self, encoded: Sequence["Encoded"], plan: Plan, precision: str) -> dict[str, Any]:
        """Log the numbers that decide the result, and return them."""
        examples = [encoded[index] for index in plan.stream]
        record = {
            "n": len(encoded),
            "steps": plan.steps,
            "epochs": len(examples) / len(encoded),
            "effective_batch": plan.effective_batch,
            "per_device_batch": plan.per_device_batch,
            "accumulation": plan.accumulation,
            "processes": plan.processes,
            "learning_rate": self.learning_rate,
            "precision": precision,
            "supervised_tokens": sum(label != IGNORED for example in examples for label in example.labels),
            "total_tokens": sum(len(example.input_ids) for example in examples),
        }
        log.info(
            "train: %d samples, %d steps of %d (%d x %d accumulated x %d process) = %.4g epochs, "
            "%s supervised of %s tokens, learning rate %g (%s, %d warm-up steps), %s",
            record["n"],
            plan.steps,
            plan.effective_batch,
            plan.per_device_batch,
            plan.accumulation,
            plan.processes,
            record["epochs"],
            f"{record['supervised_tokens']:,}",
            f"{record['total_tokens']:,}",
            self.learning_rate,
            self.schedule,
            self.warmup(plan.steps),
            precision,
        )
        return record


def resolve_precision(precision: str) -> str:
    """ "auto" is bf16 where CUDA has it, fp32 elsewhere."""
    if precision != "auto":
        return precision
    import torch

    return "bf16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "fp32"
