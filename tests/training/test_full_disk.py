"""A disk that fills up while weights are written: what is left, what is said, and what comes of it with more space."""

import pytest
import torch

from dgr.disk import DiskError, explained
from dgr.training.adapter import Full

STEPS = {"max_steps": 10, "save_steps": 3, "per_device_batch": 2}


@pytest.mark.parametrize(
    ("step", "leaving", "resumed_from"), [(5, 80_000, 3), (5, 200_000, 3), (10, 40_000, 9)],
    ids=["weights of a checkpoint", "optimizer of a checkpoint", "final model"],
)  # fmt: skip
def test_training_stops_cleanly_on_a_full_disk_and_ends_undisturbed_once_there_is_space(
    step, leaving, resumed_from, disk, samples, target, make_trainer, weights, tmp_path
):
    trainer, folder = make_trainer(**STEPS), disk.path / "default" / "run"
    undisturbed = trainer.train(samples, target, Full(), 0, tmp_path / "undisturbed")

    def fill(entry):
        if entry["step"] == step:
            disk.fill(leaving)

    with pytest.raises(DiskError, match="no space left on the file system of"), explained(folder):
        trainer.train(samples, target, Full(), 0, folder, on_log=fill)
    assert [path.name for path in folder.iterdir()] == ["checkpoints"], "something half-written stayed"
    checkpoints = {path.name for path in (folder / "checkpoints").iterdir()}
    assert f"checkpoint-{resumed_from}" in checkpoints
    assert all((folder / "checkpoints" / name / "complete.json").exists() for name in checkpoints)
    disk.free()
    record = trainer.train(samples, target, Full(), 0, folder)
    assert record["resumed_from"] == resumed_from
    assert record["loss"] == undisturbed["loss"]
    final, expected = weights(folder), weights(tmp_path / "undisturbed")
    assert all(torch.equal(final[name], tensor) for name, tensor in expected.items())
