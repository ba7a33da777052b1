import pytest
import torch
from safetensors.torch import load_file, save_file

from dgr.training import export as module
from dgr.training.adapter import LoRA
from dgr.training.export import export


def zero_one_tensor(path):
    tensors = load_file(path)
    name = sorted(tensors)[-1]
    tensors[name] = torch.ones_like(tensors[name]) * 3
    save_file(tensors, path, metadata={"format": "pt"})


def drop_one_tensor(path):
    tensors = load_file(path)
    del tensors[sorted(tensors)[-1]]
    save_file(tensors, path, metadata={"format": "pt"})


def empty(path):
    save_file({}, path, metadata={"format": "pt"})


def remove(path):
    path.unlink()


def export_damaged(monkeypatch, model, target, folder, damage):
    """Export with the file damaged between writing and reading back."""

    def flush(temporary):
        damage(next(temporary.glob("*.safetensors")))

    monkeypatch.setattr(module, "flush", flush)
    export(model, target.load_tokenizer(), folder)


@pytest.mark.parametrize(("damage", "message"), [(zero_one_tensor, "differ"), (drop_one_tensor, "saved without")])
def test_a_full_checkpoint_that_differs_from_the_live_weights_is_an_error(
    monkeypatch, target, tmp_path, damage, message
):
    with pytest.raises(RuntimeError, match=message):
        export_damaged(monkeypatch, target.load_model(), target, tmp_path / "model", damage)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [(zero_one_tensor, "differ"), (drop_one_tensor, "names"), (empty, "is empty"), (remove, "saved without")],
)
def test_an_adapter_that_is_empty_or_differs_is_an_error(monkeypatch, target, tmp_path, damage, message):
    model = LoRA(2, 4, 0.0, ["q_proj"], False, None, False).apply(target.load_model())
    with pytest.raises(RuntimeError, match=message):
        export_damaged(monkeypatch, model, target, tmp_path / "model", damage)
    assert not (tmp_path / "model").exists()
