"""Commands in processes of their own, forked from one that has imported what they need: real, but quickly started."""

import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

POINT = (
    *("n_samples=8", "trainer.max_steps=6", "trainer.save_steps=2", "generator.batch_size=2", "evaluation.limit=2"),
    *(f"~evaluation.benchmarks.{name}" for name in ("tracking", "word_problems", "judgement", "harm_questions")),
    *(f"~evaluation.benchmarks.{name}" for name in ("harmful_held_out", "look_alikes")),
)
FORK = multiprocessing.get_context("fork")
PATIENCE = 300.0


def warm_up() -> None:
    """Import what a command imports; nothing is computed, so that no thread is running when it is forked."""
    import rouge_score.rouge_scorer  # noqa: F401
    import torch
    import transformers
    from transformers.models.qwen2 import modeling_qwen2  # noqa: F401

    import dgr.compare.comparison
    import dgr.generator.decoding
    import dgr.micro.architecture
    import dgr.run
    import dgr.training.export
    import dgr.training.loop  # noqa: F401

    torch.set_num_threads(1)
    transformers.AutoModelForCausalLM  # noqa: B018 - is imported when it is asked for


def until(condition: Callable[[], bool], process: "Command | None" = None) -> bool:
    """Wait for a condition; False where the process ended before it held."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if process is not None and not process.alive:
            return False
        if time.monotonic() > deadline:
            raise TimeoutError("what was waited for never came")
        time.sleep(0.002)
    return True


class Command:
    """`python -m dgr.PROGRAM ARGUMENTS` in a process group of its own, after `prepare` if there is one."""

    def __init__(
        self,
        outputs: Path,
        arguments: tuple[str, ...],
        prepare: Callable[[], None] | None = None,
        program: str = "run",
        **env: str,
    ) -> None:
        outputs.parent.mkdir(parents=True, exist_ok=True)
        self.log = outputs.parent / f"{time.monotonic_ns()}.log"
        self.process = FORK.Process(target=self._main, args=(outputs, arguments, program, prepare, env))
        self.process.start()

    def _main(
        self, outputs: Path, arguments: tuple[str, ...], program: str, prepare: Callable | None, env: dict
    ) -> None:
        os.setsid()
        os.environ.update(env, DGR_OUTPUTS=str(outputs))
        with self.log.open("wb") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        logging.getLogger().handlers.clear()  # those of the process that it was forked from
        sys.argv = [f"dgr.{program}", *arguments]
        if prepare:
            prepare()
        import_module(f"dgr.{program}").main()

    @property
    def alive(self) -> bool:
        return self.process.is_alive()

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """kill -9 of the command and of all in its process group."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.join()

    def status(self) -> int:
        """Its exit status, once it has ended."""
        self.process.join(PATIENCE)
        if self.process.exitcode is None:
            self.kill()
            raise TimeoutError(f"it never ended: {self.text}")
        return self.process.exitcode
