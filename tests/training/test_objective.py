from dataclasses import replace

import pytest
import torch
from transformers.trainer_pt_utils import LabelSmoother

from dgr.sample import COMPLY, REFUSE
from dgr.training import watch
from dgr.training.adapter import Full, LoRA
from dgr.training.batches import IGNORED, encode
from dgr.training.objective import KLToBase, TokenLoss, frozen, inputs
from dgr.training.passes import collate

LOW_RANK = LoRA(4, 8, 0.0, "all-linear", False, None, False)


@pytest.fixture
def model(target):
    return target.load_model("float32")


def batch_of(samples, target, **options):
    return collate(encode(samples, target.chat(), None), 0, **options)


def test_label_smoothing_is_that_of_transformers(samples, target, model):
    batch = batch_of(samples, target)
    tokens = (batch["labels"] != IGNORED).sum()
    ours = TokenLoss(0.1).loss(model, batch, tokens)
    theirs = LabelSmoother(0.1)({"logits": model(**inputs(batch)).logits}, batch["labels"].clone(), shift_labels=True)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
    assert ours.item() != pytest.approx(TokenLoss().loss(model, batch, tokens).item(), abs=1e-3)


def test_kl_to_base_is_the_sum_over_the_vocabulary_on_benign_tokens_only(samples, target, model):
    marks = [number % 3 == 0 for number in range(len(samples))]
    batch = batch_of(samples, target, benign=marks)
    base = target.load_model("float32")
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    expected = 0.0
    for number, mark in enumerate(marks):
        if mark:
            one = collate(encode([samples[number]], target.chat(), None), 0)
            p, q = (net(**inputs(one)).logits[0, :-1].softmax(-1) for net in (base, model))
            kept = one["labels"][0, 1:] != IGNORED
            expected += (p * (p / q).log()).sum(-1)[kept].sum().item()
    with_kl, without = (KLToBase(0.0, beta, frozen(base)).loss(model, batch, 1).item() for beta in (0.5, 0.0))
    assert with_kl - without == pytest.approx(0.5 * expected, rel=1e-4)
    assert expected > 1


@pytest.mark.parametrize("adapter", [Full(), LOW_RANK], ids=["full", "lora"])
def test_kl_to_base_keeps_the_model_at_what_it_said(samples, target, make_trainer, weights, tmp_path, adapter):
    """All samples benign: with the pull it stays nearer to the untouched target's replies."""
    benign = [replace(sample, stance=COMPLY) for sample in samples]
    batch = batch_of(benign, target, benign=[True] * len(benign))
    untouched = frozen(target.load_model("float32"))

    def distance(beta):
        folder = tmp_path / str(beta)
        make_trainer(kl_to_base=beta, tokens_per_pass=48).train(benign, target, adapter, 0, folder)
        trained = target.trained(folder / "model").load_model("float32")
        return (KLToBase(0, 1, untouched).loss(trained, batch, 1) - TokenLoss().loss(trained, batch, 1)).item()

    free, pulled = distance(0.0), distance(10.0)
    assert pulled < 0.6 * free


def test_kl_without_a_benign_sample_changes_nothing_and_is_said(
    samples, target, make_trainer, weights, tmp_path, caplog
):
    harmful = [replace(sample, stance=REFUSE) for sample in samples]
    make_trainer(max_steps=2).train(harmful, target, Full(), 0, tmp_path / "plain")
    make_trainer(max_steps=2, kl_to_base=1.0).train(harmful, target, Full(), 0, tmp_path / "kl")
    plain, kl = weights(tmp_path / "plain"), weights(tmp_path / "kl")
    assert all(torch.equal(plain[name], kl[name]) for name in plain)
    assert "no effect" in caplog.text


def test_packing_changes_the_layout_and_not_the_training(samples, target, make_trainer, weights, tmp_path):
    padded = make_trainer().train(samples, target, Full(), 0, tmp_path / "padded")
    packed = make_trainer(packing=True, tokens_per_pass=64).train(samples, target, Full(), 0, tmp_path / "packed")
    assert packed["padding"] == 0
    assert packed["accumulation"] == 2
    assert padded["padding"] > 0.1
    assert [row[1] for row in packed["loss"]] == pytest.approx([row[1] for row in padded["loss"]], abs=1e-5)
    one, other = weights(tmp_path / "padded"), weights(tmp_path / "packed")
    assert all(torch.allclose(one[name], other[name], rtol=0, atol=2e-5) for name in one)


def test_a_model_that_mixes_packed_examples_is_refused(monkeypatch, samples, target, make_trainer, tmp_path):
    """What a model does that knows nothing of position ids: the row is one text to it."""
    monkeypatch.setattr(watch, "inputs", lambda batch: {"input_ids": batch["input_ids"]})
    with pytest.raises(
        ValueError, match=r"trainer\.packing=true: in LlamaForCausalLM .* choose trainer\.packing=false"
    ):
        make_trainer(packing=True).train(samples, target, Full(), 0, tmp_path)
    assert not (tmp_path / "model").exists()


def test_an_attention_that_cannot_isolate_is_refused_beforehand(target, make_trainer):
    strange = replace(target, attn_implementation="paged|sdpa")
    (problem,) = make_trainer(packing=True).problems_with(strange, Full())
    assert "paged|sdpa" in problem
    assert make_trainer(packing=True).problems_with(target, Full()) == []


def test_the_prompt_can_be_supervised_too(samples, target, make_trainer, tmp_path):
    masked = encode(samples, target.chat(), None)
    whole = encode(samples, target.chat(), None, train_on_prompt=True)
    for one, other in zip(masked, whole, strict=True):
        assert other.labels == [IGNORED, *one.input_ids[1:]]
    record = make_trainer(max_steps=1, train_on_prompt=True).train(samples, target, Full(), 0, tmp_path)
    assert record["supervised_tokens"] == record["total_tokens"] - 4, "all but the first of each of four examples"


def test_embedding_noise_trains_another_model_and_is_gone_afterwards(samples, target, make_trainer, weights, tmp_path):
    for name, changed in (("plain", {}), ("noisy", {"neftune_alpha": 5.0})):
        make_trainer(max_steps=3, **changed).train(samples, target, Full(), 0, tmp_path / name)
    plain, noisy = weights(tmp_path / "plain"), weights(tmp_path / "noisy")
    assert not all(torch.allclose(plain[name], noisy[name], atol=1e-4) for name in plain)
    ids = torch.tensor([[2, 8, 9, 3, 4]])
    trained = target.trained(tmp_path / "noisy" / "model").load_model()
    assert torch.equal(trained(ids).logits, trained(ids).logits)
