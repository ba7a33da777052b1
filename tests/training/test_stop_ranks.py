"""Two ranks that torchrun started are asked to stop: they save the same step, end, and go on from it later."""

import signal
import threading
import time

import psutil
import pytest
from test_processes import FULL, STEPS, name, same

from dgr.stopping import Stopped, stoppable

PAUSE = 0.3  # seconds: a step of this target takes milliseconds, nobody could meet it in the middle
MIXED = [signal.SIGUSR1, signal.SIGUSR1, signal.SIGTERM]


class Cluster:
    """Sends signals to every process of this job, ours too, once the training in `folder` has done `after` steps.

    What this process has started before, for other tests, is not of this job.
    """

    def __init__(self, folder, after, numbers):
        self.folder, self.after, self.numbers = folder, after, numbers
        self.others = psutil.Process().children(recursive=True)
        self.thread = threading.Thread(target=self._send, daemon=True)
        self.thread.start()

    def _send(self):
        while self._step() < self.after:
            time.sleep(0.01)
        me = psutil.Process()
        self.tree = [process for process in me.children(recursive=True) if process not in self.others]
        for number in self.numbers:
            for process in (*self.tree, me):
                process.send_signal(number)
            time.sleep(0.05)

    def _step(self):
        try:
            return int((self.folder / "step").read_text() or 0)
        except FileNotFoundError:
            return 0


def stop(launch, trainer, folder, after, numbers):
    """The step that was saved."""
    cluster = Cluster(folder, after, numbers)
    with pytest.raises(Stopped) as caught, stoppable():
        launch(trainer, FULL, folder, pause=PAUSE, patience=120)
    cluster.thread.join()
    assert (caught.value.signal, caught.value.code) == (numbers[0], 128 + numbers[0])
    assert len(cluster.tree) == 3, "torchrun and two ranks"
    assert not psutil.wait_procs(cluster.tree, timeout=10)[1], "something is left running"
    assert {path.name for path in folder.iterdir()} == {"checkpoints", "job.pickle", "step"}, "nothing half-written"
    (checkpoint,) = (folder / "checkpoints").glob("*/complete.json")
    return int(checkpoint.parent.name.split("-")[1])


def stop_and_continue(strategy, numbers, samples, target, make_trainer, weights, launch, folder):
    steps = {**STEPS, "max_steps": 15, "save_steps": 1000}
    alone = make_trainer(**steps).train(samples, target, FULL, 0, folder / "alone"), weights(folder / "alone")
    trainer = make_trainer(strategy, nproc=2, **steps)
    saved = stop(launch, trainer, folder / "two", 3, numbers)
    assert 3 <= saved < 15
    record = launch(trainer, FULL, folder / "two")
    assert record["resumed_from"] == saved
    same(record, weights(folder / "two"), alone)


@pytest.mark.slow
def test_warned_like_every_process_of_a_job_all_ranks_save_the_same_step(
    samples, target, make_trainer, weights, launch, tmp_path
):
    stop_and_continue("ddp", MIXED, samples, target, make_trainer, weights, launch, tmp_path)


@pytest.mark.wide
@pytest.mark.parametrize(
    ("strategy", "numbers"),
    [("ddp", [signal.SIGTERM]), ("zero2", [signal.SIGUSR2]), ("zero3", [signal.SIGTERM])],
    ids=name,
)
def test_other_signals_and_ranks_that_hold_parts(
    strategy, numbers, samples, target, make_trainer, weights, launch, tmp_path
):
    stop_and_continue(strategy, numbers, samples, target, make_trainer, weights, launch, tmp_path)
