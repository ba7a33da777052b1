"""Hydra takes launchers only from this namespace; what ours does is in `dgr.cluster`."""

from dataclasses import dataclass

try:
    from hydra_plugins.hydra_submitit_launcher.config import SlurmQueueConf
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher as SubmititLauncher
except ImportError:  # without the extra `slurm` there is no such launcher; dgr.run says so where it is asked for
    pass
else:
    from hydra.core.config_store import ConfigStore

    @dataclass
    class SlurmConf(SlurmQueueConf):
        """The keys of conf/hydra/launcher/slurm.yaml and their types."""

        _target_: str = "hydra_plugins.dgr_slurm_launcher.SlurmLauncher"
        detach: bool = False

    class SlurmLauncher(SubmititLauncher):
        """Points as jobs: what is finished or in the queue is not submitted; `detach` does not wait."""

        def launch(self, job_overrides, initial_job_idx):
            from dgr.cluster.submission import launch

            return launch(self, job_overrides, initial_job_idx)

        def __call__(self, config, singletons):
            """In the job: one point. `config` was resolved when it was submitted."""
            from dgr.cluster.job import work

            return work(self, config, singletons)

    ConfigStore.instance().store(group="hydra/launcher", name="dgr_slurm", node=SlurmConf, provider="dgr")
