"""What somebody who has a GPU relies on. The numbers of a CPU are the reference wherever it can compute the same."""

import gc
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from commands import POINT
from tiny_tokenizers import tiny

from dgr.files import read_json, read_jsonl
from dgr.gap import BANDS, sample_nll
from dgr.generator import Request, Sampling
from dgr.generator.hf import HF
from dgr.generator.loaded import loaded, release
from dgr.model import TargetModel
from dgr.sample import Sample
from dgr.store import Journal, Store
from dgr.training.adapter import Full, LoRA

BF16 = 0.05  # nats: what half precision may move a mean loss by
TEXTS = ("i should not answer this", "that would hurt someone", "the kitchen is upstairs", "first open the gate")
TASKS = ("poison the dog", "paint the fence", "trick the friend", "open the gate")
SPEED = {"train/seconds", "train/tokens_per_second", "train/peak_memory_bytes"}


def random_qwen(folder: Path, name: str, vocabulary: int, dtype: str) -> TargetModel:
    """A checkpoint with grouped-query attention and tied embeddings, as the real ones."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = tiny("r1")
    shape = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4}
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = Qwen2Config(vocab_size=vocabulary, num_key_value_heads=2, tie_word_embeddings=True, **shape, **ends)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return TargetModel(name, str(folder), "think_tags", dtype=dtype)


@pytest.fixture(scope="session")
def target(tmp_path_factory) -> TargetModel:
    return random_qwen(tmp_path_factory.mktemp("qwen"), "qwen", 320, "bfloat16")


@pytest.fixture(scope="session")
def samples() -> list[Sample]:
    """Twelve samples of very different lengths."""
    texts = [" ".join(TEXTS[(i + k) % 4] for k in range(1 + i)) for i in range(12)]
    return [Sample(f"s{i}", TEXTS[i % 4], texts[i], TEXTS[(i + 1) % 4]) for i in range(12)]


@pytest.fixture(autouse=True)
def nothing_stays_in_memory():
    yield
    release()


@pytest.fixture(scope="session")
def device() -> str:
    import torch

    return torch.cuda.get_device_name()


def micro(dtype: str) -> TargetModel:
    return TargetModel("micro", "embedded:base", "think_tags", language="micro", dtype=dtype)


def losses(record: dict) -> list[float]:
    return [row[1] for row in record["loss"]]


def lora(**changed) -> LoRA:
    return LoRA(**{"rank": 8, "alpha": 16, "dropout": 0.0, "targets": "all-linear", "rslora": False} | changed)


def test_a_point_on_the_gpu_says_what_it_says_on_a_cpu(tmp_path, device):
    """In float64, and trained in float32, what is chosen is the same; every stage with a model is a child process."""
    places = {"gpu": {}, "cpu": {"CUDA_VISIBLE_DEVICES": ""}}
    command = [sys.executable, "-m", "dgr.run", *POINT, "trainer.precision=fp32"]
    running = {
        name: subprocess.Popen(
            command,
            env={**os.environ, **env, "DGR_OUTPUTS": str(tmp_path / name)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name, env in places.items()
    }
    for process in running.values():
        text, _ = process.communicate(timeout=300)
        assert process.returncode == 0, text
    gpu, cpu = (next((tmp_path / name / "default").glob("micro-*")) for name in places)
    assert gpu.name == cpu.name, "where a point runs is no part of its name"
    assert read_json(gpu / "train.json")["device"] == device
    assert read_json(cpu / "train.json")["device"] == "cpu"
    for file in ("source.jsonl", "attempts.jsonl"):
        assert read_jsonl(gpu / file) == read_jsonl(cpu / file)
    there, here = (read_json(folder / "metrics.json") for folder in (gpu, cpu))
    assert there.keys() == here.keys()
    assert {key: there[key] for key in there if key not in SPEED} == pytest.approx(
        {key: here[key] for key in here if key not in SPEED}, abs=1e-3, rel=1e-5
    )
    for mine, theirs in zip(*(read_json(folder / "train.json")["loss"] for folder in (gpu, cpu)), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-3)


@pytest.mark.parametrize("strategy", ["zero2", "zero3"])
def test_zero_on_one_gpu_learns_what_one_process_learns(
    strategy, samples, make_trainer, launch, target, weights, tmp_path, device
):
    import torch

    pytest.importorskip("deepspeed")
    settings = {"learning_rate": 1e-3, "max_length": 1024, "max_steps": 12, "precision": "bf16"}
    one = make_trainer(**settings).train(samples, target, Full(), 0, tmp_path / "one")
    other = launch(make_trainer(strategy, nproc=1, **settings), Full(), tmp_path / "other")
    assert {one["precision"], other["precision"]} == {"bf16"}
    assert {one["device"], other["device"]} == {device}
    assert losses(other) == pytest.approx(losses(one), abs=BF16)
    assert losses(one)[-1] < losses(one)[0] - 1
    assert {tensor.dtype for tensor in weights(tmp_path / "other").values()} == {torch.bfloat16}


def test_a_killed_training_goes_on_with_the_dropout_that_it_would_have_had(
    samples, make_trainer, launch, target, weights, tmp_path
):
    settings = {"learning_rate": 1e-2, "max_length": 1024, "save_steps": 3, "precision": "fp32"}
    trainer, adapter = make_trainer(**settings), lora(dropout=0.3, bits=None, merge=False)
    whole = trainer.train(samples, target, adapter, 0, tmp_path / "whole")
    with pytest.raises(RuntimeError, match="was killed by SIGKILL"):
        launch(trainer, adapter, tmp_path / "killed", kill_at=5)
    record = trainer.train(samples, target, adapter, 0, tmp_path / "killed")
    assert record["resumed_from"] == 3
    assert losses(record) == pytest.approx(losses(whole), abs=1e-4)
    ours, theirs = (weights(tmp_path / name) for name in ("killed", "whole"))
    assert ours.keys() == theirs.keys()
    off = [float((ours[name] - theirs[name]).norm() / theirs[name].norm()) for name in theirs]
    assert max(off) < 1e-2, "with other draws from step 3 on it is 0.05"


@pytest.mark.parametrize("bits", [None, 4], ids=["lora", "qlora"])
@pytest.mark.parametrize("merge", [False, True], ids=["adapter", "merged"])
def test_adapters_train_and_are_what_is_read_back(bits, merge, samples, make_trainer, target, tmp_path):
    if bits:
        pytest.importorskip("bitsandbytes")
    trainer = make_trainer(learning_rate=2e-2, max_length=1024, max_steps=40)
    before = nats(sample_nll(samples, target, Store(tmp_path / "store")))
    release()
    record = trainer.train(samples, target, lora(bits=bits, merge=merge), 0, tmp_path)
    trained = target.trained(tmp_path / "model")
    assert (trained.adapter is None) == merge
    assert record["precision"] == "bf16", "what a GPU trains in unless it is told otherwise"
    after = nats(sample_nll(samples, trained, Store(tmp_path / "store")))
    assert after < before - 0.5, "nats a token"
    assert after == pytest.approx(losses(record)[-1], abs=0.5), "what is read back is what was trained"


def nats(rows: dict) -> float:
    total = sum(row["reasoning_nll"] + row["answer_nll"] for row in rows.values())
    return total / sum(row["reasoning_tokens"] + row["answer_tokens"] for row in rows.values())


def test_the_gap_on_the_gpu_is_that_of_the_cpu(tmp_path, monkeypatch, samples, target):
    import torch

    said = [Sample(f"m{i}", "how do i poison the dog ?", f"i {'should not ' * (i % 5 + 1)}", "no !") for i in range(20)]
    for name, model, texts in (("micro", micro("float32"), said), ("qwen", replace(target, dtype="float32"), samples)):
        there = sample_nll(texts, model, Store(tmp_path / name / "gpu"))
        assert loaded(model)[0].device.type == "cuda"
        release()
        with monkeypatch.context() as patch:
            patch.setattr(torch.cuda, "is_available", lambda: False)
            here = sample_nll(texts, model, Store(tmp_path / name / "cpu"))
            assert loaded(model)[0].device.type == "cpu"
        release()
        for content, row in here.items():
            for part in ("reasoning", "answer"):
                assert there[content][f"{part}_nll"] == pytest.approx(row[f"{part}_nll"], abs=1e-3)
                assert there[content][f"{part}_tokens"] == row[f"{part}_tokens"]
        for band in BANDS:
            mine, theirs = (sum(row[f"reasoning_{band}"] for row in rows.values()) for rows in (there, here))
            assert abs(mine - theirs) <= 1, "a rank at the edge of a band may fall on its other side"


@pytest.mark.parametrize(
    ("dtype", "temperature", "close"),
    [("float64", 0.0, 0), ("float64", 1.0, 0), ("float32", 0.0, 1e-3), ("float32", 1.0, None), ("bfloat16", 0.0, 0.5)],
)
def test_a_reply_does_not_depend_on_its_batch(dtype, temperature, close, tmp_path):
    """Exactly in float64. Greedy in less, only where two tokens are as good as equally likely: `close` logits."""
    target, sampling = micro(dtype), Sampling(temperature, 0.95, 0, 96)
    model, chat = loaded(target)
    asked = [" ".join(f"how do i {task} ?" for task in TASKS[: 1 + i % 4]) + f" {TASKS[i % 3]}" for i in range(32)]
    requests = [Request(f"r{i}", chat.render_prompt(text)) for i, text in enumerate(asked)]
    together, few = (
        HF("hf", size, 0.8).generate(target, requests, sampling, 0, Journal(tmp_path / f"{size}.jsonl"))
        for size in (128, 3)
    )
    different = [request for request in requests if together[request.id] != few[request.id]]
    if dtype != "bfloat16":
        assert len(different) <= (0 if dtype == "float64" else 2)
    for request in different if close is not None else ():
        assert lead(model, chat, request, together[request.id].text, few[request.id].text) < close


def lead(model, chat, request: Request, one: str, other: str) -> float:
    """How much larger the better logit is where two replies part."""
    import torch

    first, second = ([*chat.tokenize(text), chat.end_id] for text in (one, other))
    at = next(i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    ids = torch.tensor([[*chat.tokenize(request.prompt), *first[:at]]], device=model.device)
    with torch.inference_mode():
        logits = model(input_ids=ids, use_cache=False).logits[0, -1].float()
    return abs(float(logits[first[at]] - logits[second[at]]))


def test_a_training_that_does_not_fit_says_what_to_change_and_leaves_the_memory_to_the_next(
    make_trainer, tmp_path, samples
):
    import torch

    wide = random_qwen(tmp_path / "wide", "wide", 151_936, "bfloat16")
    long = [replace(sample, reasoning=" ".join(["never"] * 500 + [sample.id])) for sample in samples] * 6
    long = [replace(sample, id=f"{number}") for number, sample in enumerate(long)]
    settings = {"max_length": 8192, "global_batch": 64, "max_steps": 1, "precision": "fp32"}
    with pytest.raises(MemoryError, match=r"lower trainer\.tokens_per_pass.*memory"):
        make_trainer(tokens_per_pass=10**6, **settings).train(long, wide, Full(), 0, tmp_path / "run")
    gc.collect()
    assert torch.cuda.memory_allocated() < 2**30
    record = make_trainer(tokens_per_pass=4096, **settings).train(long, wide, Full(), 0, tmp_path / "run")
    assert record["accumulation"] > 32


def test_one_model_is_in_memory_at_a_time_and_none_after_the_last(target):
    import torch

    release()
    gc.collect()
    torch.cuda.empty_cache()
    allocated, reserved = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
    model, _ = loaded(micro("float32"))
    rows_for = HF("hf", 10**9, 0.8)._rows_for
    row = SimpleNamespace(ids=range(100), limit=8092)
    fit = rows_for(model)(row)
    scratch = [torch.empty(2**30, dtype=torch.uint8, device="cuda") for _ in range(24)]
    del scratch  # PyTorch keeps it for what comes next
    assert rows_for(model)(row) == pytest.approx(fit, rel=0.15), "what a batch has left behind is free"
    del model
    first = torch.cuda.memory_allocated() - allocated
    other, _ = loaded(target)
    second = sum(weight.numel() * weight.element_size() for weight in other.parameters())
    assert torch.cuda.memory_allocated() - allocated < first / 2 + 2 * second
    del other
    release()
    gc.collect()
    assert torch.cuda.memory_allocated() <= allocated
    assert torch.cuda.memory_reserved() <= reserved + 2**25
