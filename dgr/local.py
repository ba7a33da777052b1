"""`hydra/launcher=local`: several points of a grid at a time on this machine, each in a process of its own.

The processes are forked from one that has imported what a point needs and computed nothing, so that a point starts at
once. A point's output is in its run.log; a point that dies, of whatever, leaves the others alone.
"""

import importlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from typing import Any

from hydra.core.utils import JobReturn, run_job, setup_globals
from omegaconf import DictConfig

from dgr import stopping
from dgr.cluster.submission import Point, resolve
from dgr.machine import cpu_count, gpus, has_gpu
from dgr.status import FAILED, FINISHED, read_status

TARGET = "hydra_plugins.dgr_local_launcher.LocalLauncher"
IMPORTED = ("torch", "transformers.models.qwen2.modeling_qwen2", "rouge_score.rouge_scorer", "dgr.generator.decoding",
            "dgr.micro.architecture", "dgr.training.export", "dgr.training.loop")  # fmt: skip
AGAIN = 5.0  # seconds until a process that was asked to stop is asked again


def problems(launcher: DictConfig) -> Iterator[str]:
    """What is wrong with the launcher's keys, or with them on this machine."""
    if launcher.workers != "auto" and not _positive(launcher.workers):
        yield f"hydra.launcher.workers={launcher.workers}: a whole number of 1 or more is expected, or auto"
    if not _positive(launcher.gpus):
        yield f"hydra.launcher.gpus={launcher.gpus}: a whole number of 1 or more is expected"
    elif has_gpu() and launcher.gpus > len(gpus()):
        yield f"hydra.launcher.gpus={launcher.gpus}: this machine has {len(gpus())} that can be used"


def _positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def places(workers: int | str, gpus_each: int) -> list[list[str]]:
    """The GPUs of each of the points that run at the same time; empty lists where there are none."""
    found = [gpus()[at : at + gpus_each] for at in range(0, len(gpus()) - gpus_each + 1, gpus_each)]
    if not has_gpu():
        found = [[] for _ in range(cpu_count() if workers == "auto" else int(workers))]
    return found if workers == "auto" else found[: int(workers)]


@dataclass(frozen=True)
class _Running:
    """A point at work: on which GPUs, and since when."""

    point: Point
    process: BaseProcess
    devices: list[str]
    began: float


def launch(launcher: Any, overrides: Sequence[Sequence[str]], first: int) -> Sequence[JobReturn]:
    """Run the points that are not finished; Hydra's results are not used. Asked to stop, every point is asked."""
    setup_globals()
    sweep = Path(launcher.config.hydra.sweep.dir)
    free = places(launcher.workers, launcher.gpus)[: len(overrides)]
    threads = max(1, cpu_count() // len(free))
    if not has_gpu():  # there a stage has a process of its own
        for module in IMPORTED:
            importlib.import_module(module)
    print(f"{len(overrides)} points, {len(free)} at a time; what each does: {sweep}/<point>/run.log", file=sys.stderr)
    waiting, running, progress = list(enumerate(overrides, first)), [], _Progress(len(overrides))
    with stopping.continued_later(sweep.name):
        try:
            while waiting or running:
                if waiting and free:
                    number, line = waiting.pop(0)
                    point = resolve(launcher, line, number)
                    if point.finished:
                        progress.skipped(point)
                    else:
                        with stopping.finishing():
                            running.append(_start(launcher, point, free.pop(), threads))
                    continue
                wait([one.process.sentinel for one in running])
                for one in [one for one in running if not one.process.is_alive()]:
                    running.remove(one)
                    free.append(one.devices)
                    progress.ended(one)
        except BaseException as error:
            _end(running, error.signal if isinstance(error, stopping.Stopped) else signal.SIGTERM)
            raise
    return []


def _start(launcher: Any, point: Point, devices: list[str], threads: int) -> _Running:
    given = (launcher, point, devices, threads)
    process = multiprocessing.get_context("fork").Process(target=_work, args=given, name=point.folder.name)
    point.folder.mkdir(parents=True, exist_ok=True)
    process.start()
    return _Running(point, process, devices, time.monotonic())


def _work(launcher: Any, point: Point, devices: list[str], threads: int) -> None:
    """The process of a point. It hears of Ctrl-C from its parent, which hears it too, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stopping.forked()
    Thread(target=_end_with_parent, daemon=True).start()
    if devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
    if "OMP_NUM_THREADS" not in os.environ and not has_gpu():
        import torch

        torch.set_num_threads(threads)
    with (point.folder / "run.log").open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    handlers = point.config.hydra.job_logging.root.handlers
    point.config.hydra.job_logging.root.handlers = [name for name in handlers if name != "console"]  # would write twice
    run_job(
        hydra_context=launcher.hydra_context,
        task_function=launcher.task_function,
        config=point.config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _end(running: Sequence[_Running], number: signal.Signals) -> None:
    """Ask the processes to stop, and wait until they have; another Ctrl-C kills them."""
    try:
        while alive := [one.process for one in running if one.process.is_alive()]:
            for process in alive:
                os.kill(process.pid, number)  # more than one changes nothing
            wait([process.sentinel for process in alive], AGAIN)
    except BaseException:
        for one in running:
            one.process.kill()
        raise


class _Progress:
    """A line for every point that ended."""

    def __init__(self, total: int) -> None:
        self.total, self.over, self.ran, self.began = total, 0, 0, time.monotonic()

    def skipped(self, point: Point) -> None:
        self._say(point, "finished before, skipped")

    def ended(self, one: _Running) -> None:
        self.ran += 1
        code, status = one.process.exitcode, read_status(one.point.folder)
        if code < 0:
            name = signal.Signals(-code).name
            self._say(one.point, f"its process was killed by {name}{', out of memory?' * (name == 'SIGKILL')}")
        elif status.get("state") == FAILED:
            self._say(one.point, f"failed: {status['error']}")
        elif code or status.get("state") != FINISHED:
            self._say(one.point, f"ended with exit status {code}; the end of its run.log says why")
        else:
            self._say(one.point, f"finished in {time.monotonic() - one.began:.0f} s")

    def _say(self, point: Point, what: str) -> None:
        self.over += 1
        left = (time.monotonic() - self.began) / self.ran * (self.total - self.over) if self.ran else 0
        more = f"; about {left / 60:.0f} min left" if left >= 60 else ""
        print(f"{self.over} of {self.total}: {point.folder.name}: {what}{more}", file=sys.stderr, flush=True)
