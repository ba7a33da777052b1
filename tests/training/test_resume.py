import pickle
import shutil
import signal
import subprocess
import sys

import pytest
import torch

from dgr.stopping import Stopped, finishing, stoppable
from dgr.training.adapter import Full, LoRA
from dgr.training.checkpoints import MANIFEST

# A process of its own, killed by itself in the middle of step 8's bookkeeping: checkpoints after 3 and 6 are there.
KILLED = """
import os, pickle, signal, sys, torch
from pathlib import Path
torch.set_num_threads(1)
trainer, samples, target, adapter = pickle.loads(Path(sys.argv[1]).read_bytes())
def kill(entry):
    if entry["step"] == 8:
        os.kill(os.getpid(), signal.SIGKILL)
trainer.train(samples, target, adapter, 0, Path(sys.argv[2]), on_log=kill)
"""
STEPS = {"max_steps": 10, "save_steps": 3, "per_device_batch": 2}


@pytest.fixture(scope="module")
def undisturbed(samples, target, make_trainer, weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return make_trainer(**STEPS).train(samples, target, Full(), 0, folder), weights(folder)


@pytest.fixture(scope="module")
def killed(samples, target, make_trainer, tmp_path_factory):
    """The folder that `kill -9` leaves."""
    folder = tmp_path_factory.mktemp("killed")
    arguments = folder / "arguments.pickle"
    arguments.write_bytes(pickle.dumps((make_trainer(**STEPS), samples, target, Full())))
    done = subprocess.run([sys.executable, "-c", KILLED, arguments, folder], capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert not (folder / "model").exists()
    return folder


def leave_it(checkpoint):
    pass


def without_manifest(checkpoint):
    (checkpoint / MANIFEST).unlink()


def cut_short(checkpoint):
    path = checkpoint / "optimizer.pt"
    path.write_bytes(path.read_bytes()[:-100])


def half_a_manifest(checkpoint):
    (checkpoint / MANIFEST).write_text('{"fing')


@pytest.mark.parametrize(
    ("damage", "resumed_from"), [(leave_it, 6), (without_manifest, 3), (cut_short, 3), (half_a_manifest, 3)]
)
def test_a_killed_training_continues_from_the_last_complete_checkpoint_to_the_same_weights(
    killed, undisturbed, samples, target, make_trainer, weights, tmp_path, damage, resumed_from
):
    folder = shutil.copytree(killed, tmp_path / "run")
    damage(folder / "checkpoints" / "checkpoint-6")
    record = make_trainer(**STEPS).train(samples, target, Full(), 0, folder)
    assert record["resumed_from"] == resumed_from
    assert record["loss"] == undisturbed[0]["loss"]
    final = weights(folder)
    assert all(torch.equal(final[name], tensor) for name, tensor in undisturbed[1].items())


def test_checkpoints_of_other_samples_or_settings_are_not_continued(killed, samples, target, make_trainer, tmp_path):
    folder = shutil.copytree(killed, tmp_path / "run")
    record = make_trainer(**STEPS).train(samples[:9], target, Full(), 0, folder)
    assert record["resumed_from"] == 0


def test_lora_with_dropout_continues_to_the_same_weights(samples, target, make_trainer, weights, tmp_path):
    trainer, adapter = make_trainer(**STEPS), LoRA(4, 8, 0.3, "all-linear", False, None, False)
    trainer.train(samples, target, adapter, 0, tmp_path / "whole")

    def stop(entry):
        if entry["step"] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.train(samples, target, adapter, 0, tmp_path / "stopped", on_log=stop)
    assert trainer.train(samples, target, adapter, 0, tmp_path / "stopped")["resumed_from"] == 3
    whole, stopped = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)


def test_a_training_that_is_asked_to_stop_saves_the_step_it_is_at(
    undisturbed, samples, target, make_trainer, weights, tmp_path
):
    def warn(entry):
        if entry["step"] == 4:
            signal.raise_signal(signal.SIGUSR1)

    def until_warned():
        with stoppable(), finishing():
            make_trainer(**STEPS).train(samples, target, Full(), 0, tmp_path, on_log=warn)

    with pytest.raises(Stopped):
        until_warned()
    assert not (tmp_path / "model").exists()
    record = make_trainer(**STEPS).train(samples, target, Full(), 0, tmp_path)
    assert record["resumed_from"] == 5, "the log of a step comes after it: the next one was asked"
    assert record["loss"] == undisturbed[0]["loss"]
    assert all(torch.equal(weights(tmp_path)[name], tensor) for name, tensor in undisturbed[1].items())


def test_a_stop_after_the_last_step_leaves_the_finished_model(samples, target, make_trainer, tmp_path):
    def warn(entry):
        if entry["step"] == STEPS["max_steps"]:
            signal.raise_signal(signal.SIGTERM)

    def to_the_end():
        with stoppable(), finishing():
            assert make_trainer(**STEPS).train(samples, target, Full(), 0, tmp_path, on_log=warn)["steps"] == 10

    with pytest.raises(Stopped):
        to_the_end()
    target.trained(tmp_path / "model").load_model()


def test_a_training_that_was_interrupted_while_exporting_replaces_what_it_left(
    undisturbed, samples, target, make_trainer, weights, tmp_path
):
    (tmp_path / ".model.999.tmp").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "stale.safetensors").write_bytes(b"")
    make_trainer(**STEPS).train(samples, target, Full(), 0, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints", "model"]
    assert not (tmp_path / "model" / "stale.safetensors").exists()
    assert all(torch.equal(weights(tmp_path)[name], tensor) for name, tensor in undisturbed[1].items())
