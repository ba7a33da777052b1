"""The points of a grid as one job array, and the wait for them."""

import contextlib
import io
import logging
import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn
from omegaconf import DictConfig, OmegaConf, open_dict

from dgr.cluster.queue import NoAnswer, enqueue, queued, squeue
from dgr.component import build
from dgr.stages import STAGES
from dgr.status import FAILED, read_status
from dgr.stopping import Stopped

log = logging.getLogger(__name__)

POLL = 2.0  # seconds between two looks at the run folders
ASK = (5.0, 60.0)  # seconds between two calls of squeue: in the beginning, and at most


@dataclass(frozen=True)
class Point:
    """A resolved point, Hydra's part included, and its run folder."""

    folder: Path
    config: DictConfig

    @property
    def finished(self) -> bool:
        return STAGES[-1].done(self.folder) and build(self.config.tracker).done(self.folder)


def launch(launcher: Any, overrides: Sequence[Sequence[str]], first: int) -> Sequence[JobReturn]:
    """Submit what is neither finished nor in the queue, and wait for all; Hydra's results are not used.

    With `detach`, and where sbatch refuses, this ends the command.
    """
    points = [resolve(launcher, line, first + position) for position, line in enumerate(overrides)]
    waiting = {point.folder: point for point in points if not point.finished}
    jobs = _in_queue(list(waiting.values()))
    new = [point for folder, point in waiting.items() if folder not in jobs]
    if new:
        jobs |= zip([point.folder for point in new], submit(launcher, new), strict=True)
    sweep = Path(launcher.config.hydra.sweep.dir)
    _announce(len(points), len(points) - len(waiting), jobs, len(new), sweep)
    if jobs and launcher.params["detach"]:
        sys.exit(0)
    try:
        lost = wait(jobs, lambda folder: waiting[folder].finished)
    except (KeyboardInterrupt, Stopped) as stop:
        print(f"\nno longer waiting; the jobs go on\n{_hints(jobs, sweep)}", flush=True)
        sys.exit(stop.code if isinstance(stop, Stopped) else 130)
    for folder in lost:
        if not STAGES[-1].done(folder) and read_status(folder).get("state") != FAILED:  # that stands below the table
            print(f"{folder.name}: its job {jobs[folder]} is over without a result; its log: {queued(folder)['log']}")
    return []


def resolve(launcher: Any, overrides: Sequence[str], number: int) -> Point:
    """The point as it is now: neither an edit of a yaml nor another environment changes a job that waits."""
    config = launcher.hydra_context.config_loader.load_sweep_config(launcher.config, list(overrides))
    task = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    with open_dict(config):
        config.hydra.job.num = number
        for key, value in OmegaConf.to_container(task, resolve=True).items():
            config[key] = value
    return Point(Path(config.outputs) / config.sweep / config.run_id, config)


def submit(launcher: Any, points: Sequence[Point]) -> list[str]:
    """Submit points as one array; their job ids."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    executor = _executor(launcher.params)
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # submitit prints what it raises
            jobs = executor.map_array(launcher, [one.config for one in points], [Singleton.get_state()] * len(points))
    except (FailedJobError, FailedSubmissionError) as error:
        reason = " ".join(str(error).split())
        remedy = "; where there are no GPUs: hydra.launcher.gpus_per_node=0" if "(gres)" in reason else ""
        print(f"dgr: sbatch refused, nothing was submitted: {reason}{remedy}", file=sys.stderr)
        sys.exit(2)
    for point, job in zip(points, jobs, strict=True):
        enqueue(point.folder, job.job_id, job.paths.stdout)
    return [job.job_id for job in jobs]


def _executor(params: Mapping[str, Any]) -> Any:
    """submitit's, with one task a job: on several nodes the point starts the other nodes' processes itself."""
    import submitit
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf

    cores = params["cpus_per_task"]
    step = ["--nodes=1", "--ntasks=1", *([f"--cpus-per-task={cores}"] if cores else [])]  # srun inherits no cores
    common = {field.name for field in fields(BaseQueueConf)} - {"submitit_folder"}
    ours = {"submitit_folder", "max_num_timeout", "detach"}
    given = {key: value for key, value in params.items() if key not in ours}
    given["gpus_per_node"] = given["gpus_per_node"] or None  # a cluster without GPUs does not know the option
    executor = submitit.AutoExecutor(
        params["submitit_folder"], cluster="slurm", slurm_max_num_timeout=params["max_num_timeout"]
    )
    named = {key if key in common else f"slurm_{key}": value for key, value in given.items()}
    executor.update_parameters(**named, slurm_srun_args=step)
    return executor


def _in_queue(points: Sequence[Point]) -> dict[Path, str]:
    """Jobs of an earlier command that are to work on these points."""
    told = {point.folder: queued(point.folder).get("job") for point in points}
    try:
        listed = squeue([os.getuid()]) if any(told.values()) else {}
    except NoAnswer as error:
        print(f"dgr: squeue does not answer, nothing was submitted: {error}", file=sys.stderr)
        sys.exit(2)
    return {folder: job for folder, job in told.items() if job in (listed or {})}


def wait(jobs: Mapping[Path, str], finished: Callable[[Path], bool]) -> list[Path]:
    """Return when every job is over, with the folders of those that left no result.

    A requeued job stays in the queue. A job is over when squeue has twice not listed it: there need not be accounting.
    """
    open_ones, missed, lost = dict(jobs), set(), []
    began = asked = time.monotonic()
    while open_ones:
        time.sleep(POLL)
        open_ones = {folder: job for folder, job in open_ones.items() if not finished(folder)}
        pause = min(max(ASK[0], (asked - began) / 10), ASK[1])
        if not open_ones or time.monotonic() - asked < pause:
            continue
        asked = time.monotonic()
        try:
            listed = squeue([os.getuid()]) or {}
        except NoAnswer as error:
            log.warning("squeue does not answer (%s); still waiting", error)
            continue
        gone = {folder for folder, job in open_ones.items() if job not in listed}
        lost += sorted(folder for folder in gone & missed if not finished(folder))
        open_ones = {folder: job for folder, job in open_ones.items() if folder not in lost}
        missed = gone
    return lost


def _announce(points: int, finished: int, jobs: Mapping[Path, str], new: int, sweep: Path) -> None:
    """What was submitted and what was not."""
    parts = ((finished, "finished before"), (len(jobs) - new, "in the queue already"), (new, "submitted"))
    print(f"{points} point(s): " + ", ".join(f"{number} {what}" for number, what in parts if number))
    for folder, job in jobs.items():
        print(f"  {job:<10} {folder.name}")
    if jobs:
        print(_hints(jobs, sweep), flush=True)


def _hints(jobs: Mapping[Path, str], sweep: Path) -> str:
    arrays = dict.fromkeys(job.partition("_")[0] for job in jobs.values())
    folder = shlex.quote(str(sweep))
    return (
        f"results: {folder}\nstatus:  python -m dgr.status {folder}\ncancel:  scancel {' '.join(arrays)}\n"
        "the same command waits for these jobs again and submits again what did not finish"
    )
