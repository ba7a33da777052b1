"""Hydra takes launchers only from this namespace; what ours does is in `dgr.local`."""

from hydra._internal.core_plugins.basic_launcher import BasicLauncher


class LocalLauncher(BasicLauncher):
    """Points in processes of this machine: `workers` at a time, each with `gpus` of its GPUs."""

    def __init__(self, workers: int | str, gpus: int) -> None:
        super().__init__()
        self.workers, self.gpus = workers, gpus

    def launch(self, job_overrides, initial_job_idx):
        from dgr.local import launch

        return launch(self, job_overrides, initial_job_idx)
