import random

import numpy as np
import pytest
import torch

from dgr.training.adapter import Full, LoRA
from dgr.training.batches import IGNORED, encode


@pytest.fixture(scope="module")
def finished(samples, target, make_trainer, tmp_path_factory):
    """Record and folder of one training at batch 4 in one forward pass."""
    folder = tmp_path_factory.mktemp("finished")
    return make_trainer().train(samples, target, Full(), 0, folder), folder


def close(one: dict, other: dict, tolerance: float) -> bool:
    return all(torch.allclose(one[name], other[name], rtol=0, atol=tolerance) for name in one)


@pytest.mark.parametrize("per_device_batch", [1, 2])
def test_accumulation_does_not_change_the_result(
    finished, samples, target, make_trainer, weights, tmp_path, per_device_batch
):
    whole, folder = finished
    cut = make_trainer(per_device_batch=per_device_batch).train(samples, target, Full(), 0, tmp_path)
    assert (cut["accumulation"], cut["effective_batch"]) == (4 // per_device_batch, 4)
    assert [entry[1] for entry in cut["loss"]] == pytest.approx([entry[1] for entry in whole["loss"]], abs=1e-5)
    assert close(weights(folder), weights(tmp_path), 2e-5)


def test_loss_is_the_mean_over_the_supervised_tokens_of_the_global_batch(samples, target, make_trainer, tmp_path):
    record = make_trainer(per_device_batch=1, max_steps=1).train(samples, target, Full(), 0, tmp_path)
    encoded = encode(samples, target.chat(), None)
    first = make_trainer(max_steps=1).plan(samples, encoded, 0, 1).stream
    model, sums, counts = target.load_model("float32"), [], []
    for example in (encoded[index] for index in first):
        logits = model(torch.tensor([example.input_ids])).logits[0, :-1].log_softmax(-1)
        pairs = [(position, label) for position, label in enumerate(example.labels[1:]) if label != IGNORED]
        sums.append(-sum(logits[position, label].item() for position, label in pairs))
        counts.append(len(pairs))
    assert record["loss"][0][1] == pytest.approx(sum(sums) / sum(counts), abs=1e-5)
    mean_of_means = sum(total / count for total, count in zip(sums, counts, strict=True)) / 4
    assert abs(mean_of_means - sum(sums) / sum(counts)) > 1e-4  # the two can be told apart here


def test_same_seed_same_weights_and_another_seed_other_weights(
    finished, samples, target, make_trainer, weights, tmp_path
):
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    make_trainer().train(list(reversed(samples)), target, Full(), 0, tmp_path / "again")
    make_trainer().train(samples, target, Full(), 1, tmp_path / "other")
    assert close(weights(finished[1]), weights(tmp_path / "again"), 0)
    assert not close(weights(finished[1]), weights(tmp_path / "other"), 1e-4)


def test_global_random_state_is_left_as_it_was(samples, target, make_trainer, tmp_path):
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    make_trainer(max_steps=1).train(samples, target, Full(), 0, tmp_path)
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before


def test_record_tells_what_decides_the_result(finished):
    record, folder = finished
    assert [entry[0] for entry in record["loss"]] == list(range(1, 9))
    assert record["loss"][0][2] == pytest.approx(1e-2)
    assert record["loss"][-1][1] < record["loss"][0][1] - 0.3
    assert 0 < record["loss"][-1][2] < 1e-3  # the cosine has come down
    assert (record["n"], record["steps"], record["epochs"], record["effective_batch"]) == (10, 8, 3.2, 4)
    assert 0 < record["supervised_tokens"] < record["total_tokens"]
    assert record["tokens_per_second"] > 0
    assert record["peak_memory_bytes"] > 2**20
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoints", "model"]


def test_finished_model_is_an_ordinary_checkpoint_with_its_tokenizer(finished, target):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = finished[1] / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.chat_template == target.load_tokenizer().chat_template
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.use_cache  # Trainer turns it off while it trains
    prompt = tokenizer("<user> w1 <assistant> <think>", return_tensors="pt")
    assert torch.equal(model(**prompt).logits, target.trained(folder).load_model()(**prompt).logits)


def test_on_log_hears_of_every_step(samples, target, make_trainer, tmp_path):
    heard = []
    make_trainer(max_steps=2).train(samples, target, Full(), 0, tmp_path, on_log=heard.append)
    assert [entry["step"] for entry in heard] == [1, 2]
    assert {"loss", "learning_rate", "grad_norm", "tokens_per_second"} <= heard[0].keys()


def test_a_loss_that_is_no_number_stops_training(samples, target, make_trainer, tmp_path):
    with pytest.raises(RuntimeError, match=r"lower trainer\.learning_rate"):
        make_trainer(learning_rate=1e30, max_grad_norm=0).train(samples, target, Full(), 0, tmp_path)
    assert not (tmp_path / "model").exists()


def test_no_samples_is_an_error(target, make_trainer, tmp_path):
    with pytest.raises(ValueError, match="no samples"):
        make_trainer().train([], target, Full(), 0, tmp_path)


def test_gradient_checkpointing_changes_memory_only(finished, samples, target, make_trainer, weights, tmp_path):
    make_trainer(gradient_checkpointing=True).train(samples, target, Full(), 0, tmp_path)
    assert close(weights(finished[1]), weights(tmp_path), 1e-5)


@pytest.mark.parametrize(
    ("adapter", "saved"), [(Full(), torch.bfloat16), (LoRA(4, 8, 0.0, "all-linear", False, None, False), torch.float32)]
)
def test_bf16_learns_in_float32_weights_and_leaves_a_bf16_checkpoint_or_a_float32_adapter(
    finished, samples, target, make_trainer, weights, tmp_path, adapter, saved
):
    record = make_trainer(precision="bf16").train(samples, target, adapter, 0, tmp_path)
    assert record["precision"] == "bf16"
    assert {tensor.dtype for tensor in weights(tmp_path).values()} == {saved}
    assert record["loss"][0][1] == pytest.approx(finished[0]["loss"][0][1], abs=0.01)
    assert record["loss"][-1][1] < record["loss"][0][1] - 0.03


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"per_device_batch": 3}, ["per_device_batch=3", "global_batch=4", "auto or one of 1, 2, 4"]),
        ({"epochs": 2}, ["epochs=2", "max_steps=8", "both set"]),
        ({"max_steps": None}, ["epochs=None", "neither set"]),
        ({"learning_rate": 0}, ["learning_rate=0", "above 0"]),
        ({"learning_rate": "fast"}, ["learning_rate=fast", "number above 0"]),
        ({"global_batch": 1.5}, ["global_batch=1.5", "whole number from 1"]),
        ({"warmup_ratio": 2}, ["warmup_ratio=2", "from 0 to 1"]),
        ({"adam_beta2": True}, ["adam_beta2=True"]),
        ({"schedule": "cosin"}, ["schedule=cosin", "cosine, linear, constant"]),
        ({"precision": "fp16"}, ["precision=fp16", "auto, bf16, fp32"]),
        ({"warmup_steps": 9}, ["warmup_steps=9", "8 steps", "at most 8"]),
    ],
)
def test_problems_name_the_setting_its_value_and_the_way_out(make_trainer, changed, expected):
    problems = make_trainer(**changed).problems(10)
    assert len(problems) == bool(expected)
    assert all(part in problems[0] for part in expected)


def test_all_problems_are_reported_at_once(make_trainer):
    assert len(make_trainer(learning_rate=-1, global_batch=0, schedule="x", epochs=1).problems(10)) == 4


def test_warm_up_rises_then_the_schedule_falls(samples, target, make_trainer, tmp_path):
    record = make_trainer(schedule="linear", warmup_ratio=0.25).train(samples, target, Full(), 0, tmp_path)
    rates = [entry[2] for entry in record["loss"]]
    assert rates[0] < rates[1] < rates[2] == pytest.approx(1e-2)
    assert rates[2:] == sorted(rates[2:], reverse=True)
