import json
import math

import numpy as np
import pytest
import torch

from dgr import gap
from dgr.generator import batching
from dgr.generator.loaded import loaded
from dgr.model import TargetModel
from dgr.sample import Sample
from dgr.store import Store

WORDS = "i should not answer this question ! how do i poison the dog ? yes , that would hurt someone ."


@pytest.fixture(scope="module")
def target() -> TargetModel:
    return TargetModel("micro", "embedded:base", "think_tags", language="micro", dtype="float64")


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Twelve samples, each part of another length."""
    words = WORDS.split()
    said = [" ".join((words * 4)[i : i + 1 + (5 * i) % 17]) for i in range(24)]
    return [Sample(f"s{i}", said[i], said[i + 5], said[i + 11]) for i in range(12)]


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path)


def one_by_one(sample: Sample, target: TargetModel) -> tuple[float, float, int, int]:
    """The straightforward way: one text, all logits. Nats and tokens of reasoning and answer."""
    model, chat = loaded(target)
    encoded = chat.encode(sample.prompt, sample.reasoning, sample.answer)
    with torch.no_grad():
        logp = model(torch.tensor([encoded.input_ids])).logits[0].log_softmax(-1)
    nats = [-float(logp[i - 1, label]) for i, label in enumerate(encoded.labels) if label != -100]
    cut = encoded.n_reasoning
    return sum(nats[:cut]), sum(nats[cut:]), cut, len(nats) - cut


def test_nll_equals_the_unbatched_computation(samples, target, store):
    rows = gap.sample_nll(samples, target, store)
    for sample in samples:
        reasoning, answer, n_reasoning, n_answer = one_by_one(sample, target)
        row = rows[sample.content]
        assert row["reasoning_nll"] == pytest.approx(reasoning, abs=1e-9)
        assert row["answer_nll"] == pytest.approx(answer, abs=1e-9)
        assert (row["reasoning_tokens"], row["answer_tokens"]) == (n_reasoning, n_answer)


@pytest.mark.parametrize("tokens", [1, 100, 10**6])
def test_batching_padding_and_chunks_of_logits_change_nothing(samples, target, store, tmp_path, monkeypatch, tokens):
    expected = gap.sample_nll(samples, target, store)
    monkeypatch.setattr(gap, "BATCH_TOKENS", tokens)
    monkeypatch.setattr(gap, "LOGITS", 3 * 1000)
    found = gap.sample_nll(samples[::-1], target, Store(tmp_path / "other"))
    for content, row in expected.items():
        assert found[content] == pytest.approx(row, abs=1e-9)


def test_gap_weighs_tokens_and_its_error_is_that_of_a_ratio(samples, target, store):
    found = gap.measure(samples, target, store)
    parts = np.array([one_by_one(sample, target) for sample in samples])
    for prefix, nats, tokens in (
        ("", parts[:, 0] + parts[:, 1], parts[:, 2] + parts[:, 3]),
        ("reasoning/", parts[:, 0], parts[:, 2]),
        ("answer/", parts[:, 1], parts[:, 3]),
    ):
        ratio = nats.sum() / tokens.sum()
        assert found[f"{prefix}nll_per_token"] == pytest.approx(ratio, abs=1e-9)
        assert found[f"{prefix}perplexity"] == pytest.approx(math.exp(ratio))
        assert found[f"{prefix}tokens"] == pytest.approx(tokens.mean())
        assert found[f"{prefix}nll_per_token/n"] == len(samples)
        without = [np.delete(nats, i).sum() / np.delete(tokens, i).sum() for i in range(len(nats))]
        jackknife = math.sqrt((len(nats) - 1) * np.var(without))
        assert found[f"{prefix}nll_per_token/stderr"] == pytest.approx(jackknife, rel=0.25)


def test_a_text_is_scored_once_for_all_points(samples, target, store, monkeypatch):
    gap.measure(samples[:4], target, store)
    scored = []
    encode = gap.encode
    monkeypatch.setattr(gap, "encode", lambda sample, *rest: scored.append(sample.id) or encode(sample, *rest))
    gap.measure(samples, target, store)
    assert sorted(scored) == sorted(sample.id for sample in samples[4:])


def test_a_killed_measurement_goes_on_where_it_was(samples, target, store):
    expected = gap.sample_nll(samples, target, store)
    (file,) = (store.root / "nll").glob("*.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:3]) + lines[3][:30])
    found = gap.sample_nll(samples, target, store)
    for content, row in expected.items():
        assert found[content] == pytest.approx(row, abs=1e-9)
    readable = [json.loads(line)["id"] for line in file.read_bytes().splitlines() if line.endswith(b"}")]
    assert sorted(readable) == sorted(expected)


def test_out_of_memory_changes_nothing(samples, target, store, tmp_path, monkeypatch):
    expected = gap.sample_nll(samples, target, store)
    score = gap.nll_rows

    def small_device(model, batch):
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return score(model, batch)

    monkeypatch.setattr(gap, "nll_rows", small_device)
    monkeypatch.setattr(batching, "_free", lambda: None)
    found = gap.sample_nll(samples, target, Store(tmp_path / "other"))
    for content, row in expected.items():
        assert found[content] == pytest.approx(row, abs=1e-9)


def test_a_text_that_does_not_fit_the_context_is_an_error_with_its_id(samples, target, store):
    context = loaded(target)[0].config.max_position_embeddings
    long = Sample("far-too-long", "how ?", "dog " * context, "no .")
    with pytest.raises(ValueError, match=rf"far-too-long.*tokens.*{context}"):
        gap.measure([*samples, long], target, store)


def test_an_architecture_that_scales_its_logits_is_refused(samples, target):
    model, chat = loaded(target)
    encoded = gap.encode(samples[0], chat, None).encoded
    gap.check_head(model, encoded)

    class Scaled(type(model)):
        def forward(self, *args, **kwargs):
            output = super().forward(*args, **kwargs)
            output.logits = output.logits * 0.5
            return output

    scaled = Scaled(model.config).double().eval()
    scaled.load_state_dict(model.state_dict())
    with pytest.raises(ValueError, match="changes its logits"):
        gap.check_head(scaled, encoded)
