import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from omegaconf import OmegaConf

from dgr.training import export as module
from dgr.training.adapter import Full, LoRA


def lora(targets="all-linear", rank=4, alpha=8, dropout=0.0, rslora=False, bits=None, merge=False):
    return LoRA(rank, alpha, dropout, targets, rslora, bits, merge)


def test_trained_adapter_reloaded_through_the_target_equals_the_live_model(
    monkeypatch, samples, target, make_trainer, tmp_path
):
    live = {}
    real = module.read
    monkeypatch.setattr(module, "read", lambda model, *rest: (live.update(model=model), real(model, *rest))[1])
    record = make_trainer().train(samples, target, lora(), 0, tmp_path)
    ids = torch.tensor([[2, 8, 9, 10, 3, 4, 11, 12]])
    with torch.no_grad():
        expected = live["model"](ids).logits
        reloaded = target.trained(tmp_path / "model").load_model()(ids).logits
        untouched = target.load_model()(ids).logits
    assert torch.allclose(reloaded, expected, atol=1e-5)
    assert not torch.allclose(untouched, expected, atol=1e-3)
    assert record["trainable_parameters"] < sum(weight.numel() for weight in target.load_model().parameters())


def test_adapter_is_read_over_the_target_and_not_over_the_path_it_was_trained_at(
    samples, target, make_trainer, tmp_path
):
    import shutil

    make_trainer(max_steps=2).train(samples, target, lora(), 0, tmp_path)
    moved = replace(target, path=str(shutil.copytree(target.path, tmp_path / "moved")))
    config = tmp_path / "model" / "adapter_config.json"
    config.write_text(config.read_text().replace(target.path, "/nowhere"))
    ids = torch.tensor([[2, 8, 9, 3, 4]])
    assert not torch.equal(moved.trained(tmp_path / "model").load_model()(ids).logits, moved.load_model()(ids).logits)


def test_rslora_scales_by_the_root_of_the_rank(target):
    for rslora, scale in ((False, 2.0), (True, 4.0)):
        model = lora(["q_proj"], rslora=rslora).apply(target.load_model())
        layers = [layer for layer in model.modules() if hasattr(layer, "lora_A")]
        assert {layer.scaling["default"] for layer in layers} == {scale}


@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "up_proj"], "self_attn.v_proj"])
def test_targets_that_the_model_has_are_no_problem(target, targets):
    assert lora(targets).problems(target) == []
    lora(targets).apply(target.load_model())


def test_targets_that_the_model_lacks_are_named_with_the_valid_ones(target):
    targets = OmegaConf.create(["q_proj", "query", "norm"])
    problems = lora(targets).problems(target)
    assert [problem.split(",")[0] for problem in problems] == [
        "adapter.targets names 'query'",
        "adapter.targets names 'norm'",
    ]
    assert "down_proj, embed_tokens, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj" in problems[0]


def test_module_names_are_read_without_torch(target):
    code = (
        "import sys; from dgr.model import TargetModel; from dgr.training.adapter import LoRA; "
        f"target = TargetModel('t', {target.path!r}, 'think_tags'); "
        "print(LoRA(1, 1, 0, ['query'], False, None, False).problems(target)); "
        "assert not {'torch', 'transformers', 'peft'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "'query'" in done.stdout


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rank": 0}, "adapter.rank=0"),
        ({"alpha": -1}, "adapter.alpha=-1"),
        ({"dropout": 1.0}, "adapter.dropout=1.0"),
        ({"targets": []}, "adapter.targets is empty"),
    ],
)
def test_settings_that_cannot_work_are_reported(target, changed, message):
    (problem,) = lora(**changed).problems(target)
    assert message in problem


def test_a_second_adapter_on_top_of_one_is_refused(target):
    (problem,) = lora().problems(replace(target, adapter="/some/adapter"))
    assert "merge" in problem


def test_a_damaged_checkpoint_is_reported_and_hub_models_are_left_alone_unless_asked(target, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 40)
    (problem,) = lora(["q_proj"]).problems(replace(target, path=str(tmp_path)))
    assert "damaged" in problem
    assert lora(["query"]).problems(replace(target, path="someone/on-the-hub")) == []
    assert Full().problems(target) == []


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_merged_checkpoint_says_what_the_adapter_says(samples, target, make_trainer, tmp_path, precision):
    trainer = make_trainer(max_steps=4, precision=precision)
    trainer.train(samples, target, lora(), 0, tmp_path / "adapter")
    trainer.train(samples, target, lora(merge=True), 0, tmp_path / "merged")
    folder = tmp_path / "merged" / "model"
    assert not (folder / "adapter_config.json").exists()
    ids = torch.tensor([[2, 8, 9, 10, 3, 4, 11, 12]])
    with torch.no_grad():
        merged = target.trained(folder).load_model("float32")(ids).logits
        adapted = target.trained(tmp_path / "adapter" / "model").load_model("float32")(ids).logits
        untouched = target.load_model()(ids).logits
    near = 1e-5 if precision == "fp32" else 2e-2
    assert torch.allclose(merged, adapted, atol=near)
    assert not torch.allclose(untouched, adapted, atol=4 * near)
    assert (target.trained(folder).load_model("auto").dtype == torch.bfloat16) == (precision == "bf16")


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
def test_quantised_weights_without_a_gpu_are_refused_before_anything_is_loaded(target, monkeypatch):
    monkeypatch.setattr("dgr.training.adapter.which", lambda _: None)  # with SLURM here, GPUs may be elsewhere
    with pytest.raises(ValueError, match=r"adapter\.bits=4 needs a CUDA GPU"):
        lora(bits=4).load(target, "fp32", 0)
    assert "CUDA GPU" in lora(bits=4).problems(target)[0]
    (problem,) = lora(bits=3).problems(target)
    assert "choose 4, or null" in problem
