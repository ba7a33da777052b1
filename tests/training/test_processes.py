"""Real processes (gloo, two of them) against one: the same losses, the same weights, killed and continued or not.

A cell of the matrix starts torchrun twice: the first time it is killed after step 5, the second time it continues after
step 3. What it ends with is compared with an undisturbed training in this process.
"""

import json
import shutil

import pytest
import torch

from dgr.training.adapter import Full, LoRA

STEPS = {"max_steps": 6, "save_steps": 3, "tokens_per_pass": 48}  # ragged passes, one to three for each step
TOLERANCE = 2e-5  # float32 sums in another order, over six steps at a learning rate of 1e-2
KL = {"kl_to_base": 0.5}  # asks the weights beneath the adapter, wherever they lie
PACKED = {"packing": True, "tokens_per_pass": 64}
FULL, LOW_RANK = Full(), LoRA(4, 8, 0.0, "all-linear", False, None, False)
STRATEGIES = ("ddp", "zero2", "zero3", "zero3_offload")
CELLS = [("ddp", LOW_RANK), ("zero2", FULL), ("zero3", LOW_RANK), ("zero3_offload", FULL)]
REST = [(s, a) for s in STRATEGIES for a in (FULL, LOW_RANK) if (s, a) not in CELLS]


def name(value):
    return value if isinstance(value, str) else type(value).__name__.lower()


@pytest.fixture(scope="module")
def alone(samples, target, make_trainer, weights, tmp_path_factory):
    """Record and weights of an undisturbed training in one process, by adapter."""
    results = {}
    for adapter in (FULL, LOW_RANK):
        folder = tmp_path_factory.mktemp("alone")
        trainer = make_trainer(**STEPS, **(KL if adapter == LOW_RANK else {}))
        results[adapter] = trainer.train(samples, target, adapter, 0, folder), weights(folder)
    return results


def same(record, tensors, expected):
    """Losses, gradient norms and weights within TOLERANCE of those of one process."""
    for mine, theirs in zip(record["loss"], expected[0]["loss"], strict=True):
        assert mine == pytest.approx(theirs, abs=TOLERANCE)
    assert tensors.keys() == expected[1].keys()
    for name, tensor in expected[1].items():
        assert torch.allclose(tensors[name], tensor, rtol=0, atol=TOLERANCE), name


def kill_and_continue(strategy, adapter, alone, target, make_trainer, weights, launch, folder):
    objective, layout = KL if adapter == LOW_RANK else {}, PACKED if strategy == "zero3_offload" else {}
    trainer = make_trainer(strategy, nproc=2, **{**STEPS, **objective, **layout})
    with pytest.raises(RuntimeError, match=r"^training: rank 0 was killed by SIGKILL"):
        launch(trainer, adapter, folder, kill_at=5)
    assert not (folder / "model").exists()
    record = launch(trainer, adapter, folder)
    assert (record["resumed_from"], record["processes"], record["strategy"]) == (3, 2, strategy)
    assert record["zero_stage"] == {"ddp": 0, "zero2": 2}.get(strategy, 3), "the strategy is what it is called"
    assert layout or record["accumulation"] > 1, "the passes of a step are to be accumulated here"
    assert record["trainable_parameters"] == alone[adapter][0]["trainable_parameters"]
    same(record, weights(folder), alone[adapter])
    target.trained(folder / "model").load_model()
    assert not (folder / "errors").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "adapter"), CELLS, ids=name)
def test_killed_and_continued_on_two_processes_it_ends_like_one_process(
    strategy, adapter, alone, target, make_trainer, weights, launch, tmp_path
):
    kill_and_continue(strategy, adapter, alone, target, make_trainer, weights, launch, tmp_path)


@pytest.mark.wide
@pytest.mark.parametrize(("strategy", "adapter"), REST, ids=name)
def test_the_rest_of_the_matrix(strategy, adapter, alone, target, make_trainer, weights, launch, tmp_path):
    kill_and_continue(strategy, adapter, alone, target, make_trainer, weights, launch, tmp_path)


@pytest.mark.slow
def test_one_process_stops_and_two_continue_and_a_divided_checkpoint_is_refused_by_others(
    alone, samples, target, make_trainer, weights, launch, tmp_path
):
    def stop(entry):
        if entry["step"] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_trainer(**STEPS).train(samples, target, FULL, 0, tmp_path, on_log=stop)
    copy = shutil.copytree(tmp_path, tmp_path / "divided")
    record = launch(make_trainer("ddp", nproc=2, **STEPS), FULL, tmp_path)
    assert (record["resumed_from"], record["processes"]) == (3, 2)
    same(record, weights(tmp_path), alone[FULL])

    manifest = copy / "checkpoints" / "checkpoint-3" / "complete.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(content | {"layout": "trainer=zero2 with 2 processes"}))
    with pytest.raises(ValueError, match=r"checkpoint-3 was written by trainer=zero2 with 2 processes.*delete"):
        make_trainer(**STEPS).train(samples, target, FULL, 0, copy)
    assert manifest.exists(), "it is left for those who can read it"


@pytest.mark.wide
@pytest.mark.parametrize("strategy", ["zero2", "zero3"])
def test_half_precision_learns_the_same_up_to_its_rounding(
    strategy, samples, target, make_trainer, weights, launch, tmp_path
):
    settings = {"max_steps": 6, "precision": "bf16"}
    one = make_trainer(**settings).train(samples, target, FULL, 0, tmp_path / "one")
    two = launch(make_trainer(strategy, nproc=2, **settings), FULL, tmp_path / "two")
    assert [row[1] for row in two["loss"]] == pytest.approx([row[1] for row in one["loss"]], abs=0.05)
    assert two["loss"][-1][1] < two["loss"][0][1] - 0.05
    assert {tensor.dtype for tensor in weights(tmp_path / "two").values()} == {torch.bfloat16}
