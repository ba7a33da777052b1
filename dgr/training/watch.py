"""What is seen of a training while it runs: progress, log lines, each step's callback, checkpoints' seals, a stop."""

import logging
import math
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import transformers
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dgr import stopping
from dgr.progress import Report
from dgr.training import checkpoints, ranks
from dgr.training.objective import evaluating, inputs
from dgr.training.passes import collate

if TYPE_CHECKING:
    from dgr.chat import Encoded

log = logging.getLogger(__name__)

ASK_EVERY = 0.5  # seconds between two times that several processes agree whether to stop
LOG_EVERY = 10.0  # seconds between two log lines where there is no terminal to draw a bar on


class Watch(transformers.TrainerCallback):
    """Progress, log lines, `on_log`, and the seal on every checkpoint; all but the seal on the first rank only."""

    def __init__(
        self, tokens: Sequence[int], report: Callable[[dict], None] | None, seal: checkpoints.Seal, start: int
    ) -> None:
        """`tokens[i]`: tokens of the first i steps; `start`: steps that an earlier process did."""
        self.tokens, self.report, self.seal, self.start = tokens, report, seal, start
        self.progress = Progress(
            TextColumn("train"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not (sys.stderr.isatty() and ranks.is_first()),
        )

    def on_train_begin(self, args, state, control, **_):
        self.task = self.progress.add_task("train", total=state.max_steps, completed=state.global_step, note="")
        self.progress.start()
        self.began = self.said = time.monotonic()
        self.leave = Report()

    def on_step_end(self, args, state, control, **_):
        step, steps = state.global_step, state.max_steps
        self.progress.update(self.task, completed=step)
        if ranks.is_first():
            self.leave("steps", step, steps, self.speed(step), round(self.seconds_left(step, steps), 1))
        if state.global_step >= state.max_steps:
            control.should_save = False  # the finished model is written next; a checkpoint beside it is no use

    def on_log(self, args, state, control, logs, **_):
        if "loss" not in logs:  # the summary at the end
            return
        step, loss = state.global_step, logs["loss"]
        # Gradients too: DeepSpeed leaves out a step whose gradients are no numbers, and would go on so to the end.
        for name, value in (("loss", loss), ("gradient norm", logs.get("grad_norm"))):
            if value is not None and not math.isfinite(value):
                raise RuntimeError(
                    f"the {name} is {value} at step {step}; lower trainer.learning_rate ({args.learning_rate:g}) "
                    "or train in trainer.precision=fp32"
                )
        note = f"loss {loss:.4f}  {self.speed(step):,.0f} tokens/s"
        self.progress.update(self.task, note=note)
        if self.progress.disable and time.monotonic() - self.said >= LOG_EVERY:
            self.said = time.monotonic()
            log.info("step %d of %d  %s, %s left", step, state.max_steps, note, self.left(step, state.max_steps))
        if self.report and ranks.is_first():
            self.report({"step": step, "tokens_per_second": self.speed(step), **logs})

    def on_save(self, args, state, control, **_):
        ranks.barrier()  # every rank has written its part
        if ranks.is_first():
            checkpoints.seal(Path(args.output_dir) / f"checkpoint-{state.global_step}", self.seal)

    def on_train_end(self, args, state, control, **_):
        self.progress.stop()
        if ranks.is_first():
            self.leave.end()

    def speed(self, step: int) -> float:
        """Tokens a second (padding not counted) since this process began to train."""
        return (self.tokens[step] - self.tokens[self.start]) / max(time.monotonic() - self.began, 1e-9)

    def seconds_left(self, step: int, steps: int) -> float:
        return (self.tokens[steps] - self.tokens[step]) / max(self.speed(step), 1e-9)

    def left(self, step: int, steps: int) -> str:
        """How long the rest takes at the speed so far, by tokens; h:mm:ss."""
        return str(timedelta(seconds=round(self.seconds_left(step, steps))))


class StopWhenAsked(transformers.TrainerCallback):
    """Ends the training after the step in which a stop is asked for, with a checkpoint; all ranks after the same one.

    The first rank looks, and says when all of them agree for the next time, so that this costs nothing a step.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.next, self.gap = 0, 1  # the step after which they agree, and how many it is after the one before

    def on_train_begin(self, args, state, control, **_):
        self.next, self.asked = state.global_step + 1, time.monotonic()

    def on_step_end(self, args, state, control, **_):
        if self.next <= state.global_step < state.max_steps:  # after the last step the model is finished instead
            self.signal, self.gap = ranks.agreed(self.look())
            self.next = state.global_step + self.gap
            if self.signal:
                control.should_save = control.should_training_stop = True

    def look(self) -> tuple[signal.Signals | None, int]:
        """What is asked for, and after how many steps to look again: each one, where nobody has to agree."""
        if not ranks.together():
            return stopping.asked(), 1
        now = time.monotonic()
        pace, self.asked = self.gap / max(now - self.asked, 1e-9), now
        return stopping.asked(), max(1, min(2 * self.gap, int(pace * ASK_EVERY)))  # one fast step says little


class PackingCheck(transformers.TrainerCallback):
    """Before the first step: does the model keep the examples of one row apart? ValueError where it does not."""

    def __init__(self, encoded: Sequence["Encoded"]) -> None:
        self.example = min(encoded, key=lambda example: len(example.input_ids))

    def on_train_begin(self, args, state, control, model, **_):
        alone, both = (self.logits(model, args.device, times) for times in (1, 2))
        off = (both[len(alone) :] - alone).abs().max().item()
        if not off <= 0.02 * alone.abs().max().item():
            raise ValueError(
                f"trainer.packing=true: in {type(model).__name__} an example sees the one before it in its row (logits "
                f"differ by up to {off:.2g}); choose trainer.packing=false"
            )

    def logits(self, model, device, times: int):
        import torch

        row = collate([self.example] * times, pad_id=0, packing=True)
        batch = {name: tensor.to(device) for name, tensor in row.items()}
        with torch.no_grad(), evaluating(model):
            return model(**inputs(batch)).logits[0].float()
