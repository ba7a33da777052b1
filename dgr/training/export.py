"""The finished model: written beside its place, read back, compared with the live weights, then moved there."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from dgr.training.checkpoints import flush

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

ADAPTER_FILE = "adapter_model.safetensors"


def export(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast", folder: Path, trust_remote_code: bool = False
) -> None:
    """Write a Hugging Face checkpoint, or a PEFT adapter, with the tokenizer and its chat template.

    RuntimeError if what lies on the disk is not what the model holds; `folder` is then left as it was.
    """
    for stale in folder.parent.glob(f".{folder.name}.*.tmp"):  # of a killed run
        shutil.rmtree(stale)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    is_adapter = hasattr(model, "peft_config")
    # "auto" would ask the hub whether the vocabulary grew; it never grows here
    model.save_pretrained(temporary, **({"save_embedding_layers": False} if is_adapter else {}))
    (temporary / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
    tokenizer.save_pretrained(temporary)
    share(temporary)
    flush(temporary)
    verify(model, temporary, trust_remote_code)
    if folder.exists():
        shutil.rmtree(folder)
    temporary.replace(folder)


def share(folder: Path) -> None:
    """Give every file the mode that the user's umask asks for; safetensors writes 0600, which a group cannot read."""
    mask = os.umask(0)
    os.umask(mask)
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o666 & ~mask)


def verify(model: "PreTrainedModel", folder: Path, trust_remote_code: bool = False) -> None:
    """Raise RuntimeError unless every tensor read back from `folder` equals the live one."""
    if hasattr(model, "peft_config"):
        from peft import get_peft_model_state_dict

        live = get_peft_model_state_dict(model, save_embedding_layers=False)
        saved = _read_adapter(folder)
    else:
        live = model.state_dict()
        saved = _read_model(folder, model.dtype, trust_remote_code)
    _compare(live, saved, folder)


def _read_adapter(folder: Path) -> dict[str, "torch.Tensor"]:
    from safetensors.torch import load_file

    if not (folder / ADAPTER_FILE).exists():
        raise RuntimeError(f"{folder} was saved without {ADAPTER_FILE}")
    tensors = load_file(folder / ADAPTER_FILE)
    if not any(tensor.numel() for tensor in tensors.values()):
        raise RuntimeError(f"{folder / ADAPTER_FILE} is empty: the adapter's weights were not gathered before saving")
    return tensors


def _read_model(folder: Path, dtype: "torch.dtype", trust_remote_code: bool) -> dict[str, "torch.Tensor"]:
    from transformers import AutoModelForCausalLM

    # loading fills what is missing with random numbers and only warns; the loading report tells
    model, report = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, output_loading_info=True, trust_remote_code=trust_remote_code
    )
    if report["missing_keys"]:
        raise RuntimeError(f"{folder} was saved without {', '.join(sorted(report['missing_keys'])[:5])}")
    return model.state_dict()


def _compare(live: dict[str, "torch.Tensor"], saved: dict[str, "torch.Tensor"], folder: Path) -> None:
    import torch

    if live.keys() != saved.keys():
        different = sorted(live.keys() ^ saved.keys())
        raise RuntimeError(f"{folder}: saved and live weights have different names: {', '.join(different[:5])}")
    wrong = [name for name, tensor in live.items() if not torch.equal(tensor.cpu(), saved[name].cpu())]
    if wrong:
        raise RuntimeError(
            f"{folder}: {len(wrong)} of {len(live)} saved tensors differ from the trained ones: "
            f"{', '.join(wrong[:5])}; check the disk and train again"
        )
