import json

import pytest
import torch

from dgr.gap import BANDS, likelihood, sample_nll
from dgr.generator import batching
from dgr.generator.loaded import loaded
from dgr.sample import Sample
from dgr.store import Store


def one_by_one(sample, target):
    """The straightforward way: one text, all logits. By part: nats and rank of each token."""
    model, chat = loaded(target)
    encoded = chat.encode(sample.prompt, sample.reasoning, sample.answer)
    with torch.no_grad():
        logp = model(torch.tensor([encoded.input_ids])).logits[0].log_softmax(-1)
    found = []
    for i, label in enumerate(encoded.labels):
        if label != -100:
            order = logp[i - 1].argsort(descending=True).tolist()
            found.append((-float(logp[i - 1, label]), 1 + order.index(label)))
    return {"reasoning": found[: encoded.n_reasoning], "answer": found[encoded.n_reasoning :]}


def band(rank):
    return "top1" if rank == 1 else "2_10" if rank <= 10 else "11_100" if rank <= 100 else "beyond100"


def test_nats_tokens_and_ranks_equal_the_unbatched_computation(samples, target, store):
    rows = sample_nll(samples, target, store)
    seen = set()
    for sample in samples:
        for part, tokens in one_by_one(sample, target).items():
            row = rows[sample.content]
            assert row[f"{part}_nll"] == pytest.approx(sum(nats for nats, _ in tokens), abs=1e-9)
            assert row[f"{part}_tokens"] == len(tokens)
            bands = [band(rank) for _, rank in tokens]
            assert {name: row[f"{part}_{name}"] for name in BANDS} == {name: bands.count(name) for name in BANDS}
            seen.update(bands)
    assert len(seen) >= 3, "texts that are all alike would hide a wrong edge"


@pytest.mark.parametrize("rank", [1, 2, 10, 11, 100, 101])
def test_the_edges_of_the_bands(rank):
    class Model:
        """The logits are the hidden states: token i has the logit -i, so label i has rank i + 1."""

        def get_output_embeddings(self):
            head = torch.nn.Identity()
            head.weight = torch.empty(200, 1)
            return head

    logits = -torch.arange(200.0)[None]
    nats, bands = likelihood.token_scores(Model(), logits, torch.tensor([rank - 1]))
    assert list(BANDS)[bands.item()] == band(rank)
    assert nats.item() == pytest.approx(-logits.log_softmax(-1)[0, rank - 1].item())
    _, tied = likelihood.token_scores(Model(), torch.zeros(1, 200), torch.tensor([rank - 1]))
    assert tied.item() == 0, "ties share the best rank"


@pytest.mark.parametrize("tokens", [1, 100, 10**6])
def test_batching_padding_and_chunks_of_logits_change_nothing(samples, target, store, tmp_path, monkeypatch, tokens):
    expected = sample_nll(samples, target, store)
    monkeypatch.setattr(likelihood, "BATCH_TOKENS", {"cpu": tokens, "cuda": tokens})
    monkeypatch.setattr(likelihood, "LOGITS", 3 * 1000)
    found = sample_nll(samples[::-1], target, Store(tmp_path / "other"))
    for content, row in expected.items():
        assert found[content] == pytest.approx(row, abs=1e-9)


def test_a_text_is_scored_once_for_all_points(samples, target, store, monkeypatch):
    sample_nll(samples[:4], target, store)
    scored = []
    encode = likelihood.encode
    monkeypatch.setattr(likelihood, "encode", lambda sample, *rest: scored.append(sample.id) or encode(sample, *rest))
    sample_nll(samples, target, store)
    assert sorted(scored) == sorted(sample.id for sample in samples[4:])


def test_records_without_ranks_are_not_read(samples, target, store):
    from dgr.sample import digest

    old = {"id": samples[0].content, "reasoning_nll": 1.0, "answer_nll": 1.0, "reasoning_tokens": 1, "answer_tokens": 1}
    store.journal("nll", digest(target.fingerprint())).append([old])
    assert "answer_top1" in sample_nll(samples[:1], target, store)[samples[0].content]


def test_a_killed_measurement_goes_on_where_it_was(samples, target, store):
    expected = sample_nll(samples, target, store)
    (file,) = (store.root / "nll").glob("*.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:3]) + lines[3][:30])
    found = sample_nll(samples, target, store)
    for content, row in expected.items():
        assert found[content] == pytest.approx(row, abs=1e-9)
    readable = [json.loads(line)["id"] for line in file.read_bytes().splitlines() if line.endswith(b"}")]
    assert sorted(readable) == sorted(expected)


def test_out_of_memory_changes_nothing(samples, target, store, tmp_path, monkeypatch):
    expected = sample_nll(samples, target, store)
    score = likelihood.nll_rows

    def small_device(model, batch):
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return score(model, batch)

    monkeypatch.setattr(likelihood, "nll_rows", small_device)
    monkeypatch.setattr(batching, "_free", lambda: None)
    found = sample_nll(samples, target, Store(tmp_path / "other"))
    for content, row in expected.items():
        assert found[content] == pytest.approx(row, abs=1e-9)


def test_a_text_that_does_not_fit_the_context_is_an_error_with_its_id(samples, target, store):
    context = loaded(target)[0].config.max_position_embeddings
    long = Sample("far-too-long", "how ?", "dog " * context, "no .")
    with pytest.raises(ValueError, match=rf"far-too-long.*tokens.*{context}"):
        sample_nll([*samples, long], target, store)


def test_logits_that_are_not_numbers_are_an_error(samples, target):
    model, chat = loaded(target)

    class Broken(type(model)):
        def get_output_embeddings(self):
            head = torch.nn.Linear(self.config.hidden_size, self.config.vocab_size, dtype=torch.float64)
            torch.nn.init.constant_(head.weight, float("nan"))
            return head

    broken = Broken(model.config).double().eval()
    with pytest.raises(ValueError, match=r"NaN.*dtype"):
        likelihood.nll_rows(broken, [likelihood.encode(samples[0], chat, None)])


def test_an_architecture_that_scales_its_logits_is_refused(samples, target):
    model, chat = loaded(target)
    encoded = likelihood.encode(samples[0], chat, None).encoded
    likelihood.check_head(model, encoded)

    class Scaled(type(model)):
        def forward(self, *args, **kwargs):
            output = super().forward(*args, **kwargs)
            output.logits = output.logits * 0.5
            return output

    scaled = Scaled(model.config).double().eval()
    scaled.load_state_dict(model.state_dict())
    with pytest.raises(ValueError, match="changes its logits"):
        likelihood.check_head(scaled, encoded)
