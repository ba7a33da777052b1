"""Which values the trainer's settings may have, each found wrong on its own; nothing heavy is imported."""

import math
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

STRATEGIES = ("single", "ddp", "zero2", "zero3", "zero3_offload")
SCHEDULES = ("cosine", "linear", "constant")
PRECISIONS = ("auto", "bf16", "fp32")
CHOICES = {"strategy": STRATEGIES, "schedule": SCHEDULES, "precision": PRECISIONS}

# setting: (a whole number, the lowest value, is that value itself excluded, the highest value)
NUMBERS: dict[str, tuple[bool, float, bool, float]] = {
    "learning_rate": (False, 0, True, math.inf),
    "global_batch": (True, 1, False, math.inf),
    "epochs": (False, 0, True, math.inf),
    "max_steps": (True, 1, False, math.inf),
    "max_length": (True, 2, False, math.inf),
    "tokens_per_pass": (True, 1, False, math.inf),
    "warmup_ratio": (False, 0, False, 1),
    "warmup_steps": (True, 0, False, math.inf),
    "weight_decay": (False, 0, False, math.inf),
    "adam_beta1": (False, 0, False, 1),
    "adam_beta2": (False, 0, False, 1),
    "adam_epsilon": (False, 0, True, math.inf),
    "max_grad_norm": (False, 0, False, math.inf),
    "label_smoothing": (False, 0, False, 1),
    "neftune_alpha": (False, 0, True, math.inf),
    "kl_to_base": (False, 0, False, math.inf),
    "save_steps": (True, 1, False, math.inf),
    "stop_patience": (False, 0, False, math.inf),
    "logging_steps": (True, 1, False, math.inf),
}
OPTIONAL = ("epochs", "max_steps", "max_length", "warmup_steps", "neftune_alpha")


def problems(settings: Any) -> Iterator[str]:
    """Settings that no training can have, each with its value and what to do."""
    for name in NUMBERS:
        if problem := _number_problem(name, getattr(settings, name)):
            yield problem
    for name, valid in CHOICES.items():
        if getattr(settings, name) not in valid:
            yield f"trainer.{name}={getattr(settings, name)} is unknown; choose one of {', '.join(valid)}"
    if (settings.epochs is None) == (settings.max_steps is None):
        both = "neither" if settings.epochs is None else "both"
        yield (
            f"trainer.epochs={settings.epochs} and trainer.max_steps={settings.max_steps}: {both} set; "
            "set one and make the other null"
        )
    if settings.strategy == "single" and settings.nproc != 1:
        yield f"trainer.nproc={settings.nproc} with trainer=single, which is one process; choose trainer=ddp or zero2"
    if str(settings.strategy).startswith("zero") and find_spec("deepspeed") is None:
        yield f"trainer={settings.strategy} needs DeepSpeed: pip install 'dgr[deepspeed]', or choose trainer=ddp"


def _number_problem(name: str, value: Any) -> str | None:
    whole, low, exclusive, high = NUMBERS[name]
    if value is None and name in OPTIONAL:
        return None
    number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if number and (low < value if exclusive else low <= value) and value <= high and value != math.inf:
        return None
    bounds = f"above {low}" if exclusive else f"from {low}" + (f" to {high}" if high < math.inf else "")
    return f"trainer.{name}={value} is not possible; choose a {'whole ' if whole else ''}number {bounds}"


def division_problems(settings: Any) -> Iterator[str]:
    """Sizes that do not divide the global batch; the numbers themselves have to be possible."""
    batch, nproc, per_device = settings.global_batch, settings.nproc, settings.per_device_batch
    sizes = divisors(batch)
    if nproc != "auto" and (not isinstance(nproc, int) or nproc not in sizes):
        yield (
            f"trainer.nproc={nproc} does not divide trainer.global_batch={batch}; "
            f"choose auto or one of {', '.join(map(str, sizes))}"
        )
    elif per_device != "auto":
        share = batch // (1 if nproc == "auto" else nproc)
        if not isinstance(per_device, int) or per_device not in divisors(share):
            among = f" on {nproc} processes ({share} examples each)" if nproc not in (1, "auto") else ""
            yield (
                f"trainer.per_device_batch={per_device} does not divide trainer.global_batch={batch}{among}; "
                f"choose auto or one of {', '.join(map(str, divisors(share)))}"
            )


def divisors(number: int) -> list[int]:
    return [size for size in range(1, number + 1) if number % size == 0]
