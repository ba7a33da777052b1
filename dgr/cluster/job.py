"""The job's side: one point, and what becomes of it where SLURM takes the node away."""

import copy
import logging
import signal
import sys
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, run_job, setup_globals
from omegaconf import DictConfig, open_dict

from dgr.machine import slurm_job
from dgr.naming import register_resolvers
from dgr.stopping import Stopped

WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)  # before a limit; a preemption comes as SIGTERM


def work(launcher: Any, config: DictConfig, singletons: dict[type, Singleton]) -> JobReturn:
    """Run one point. After a warning the job is queued again, and continues at the point's last checkpoint.

    After SIGTERM it just ends: SLURM itself queues a preempted job again, and not one that was cancelled.
    """
    logging.getLogger("submitit").propagate = False  # it has a handler of its own
    Singleton.set_state(singletons)
    setup_globals()
    register_resolvers()
    requeue = signal.getsignal(signal.SIGUSR2)  # submitit's: pickles this call again and asks scontrol
    for warning in WARNINGS:
        signal.signal(warning, requeue)  # where no point is at work yet, or any more
    config = copy.deepcopy(config)  # Hydra makes it read-only, and a requeue pickles the one that came
    with open_dict(config):
        config.hydra.job.id = slurm_job()
    try:
        return run_job(
            hydra_context=launcher.hydra_context,
            task_function=launcher.task_function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
    except Stopped as stopped:
        if stopped.signal not in WARNINGS:
            raise
        for warning in WARNINGS:  # often come more than once
            signal.signal(warning, signal.SIG_IGN)
        requeue(stopped.signal, sys._getframe())
        raise
