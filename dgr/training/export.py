"""The finished model: written beside its place, read back, compared with the live weights, then moved there."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from dgr.disk import explained
from dgr.training import ranks, zero
from dgr.training.checkpoints import flush

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from dgr.model import TargetModel

ADAPTER_FILE = "adapter_model.safetensors"


def export(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast", folder: Path, trust_remote_code: bool = False
) -> None:
    """Write a Hugging Face checkpoint, or a PEFT adapter, with the tokenizer and its chat template.

    Where the model lies in parts on several ranks, all of them have to call this; the first one writes. RuntimeError if
    what lies on the disk is not what the model holds; `folder` is then left as it was.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        with explained(folder.parent):
            _write(model, tokenizer, temporary, folder)
        live = gathered(model)  # asked again, so that an error in gathering shows
        if ranks.is_first():
            compare(weights(model, live), read(model, temporary, trust_remote_code), temporary)
            if folder.exists():
                shutil.rmtree(folder)
            temporary.replace(folder)
    finally:
        if ranks.is_first():
            shutil.rmtree(temporary, ignore_errors=True)


def _write(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast", temporary: Path, folder: Path) -> None:
    whole = gathered(model)
    if ranks.is_first():
        for stale in folder.parent.glob(f".{folder.name}.*.tmp"):  # of a killed run
            shutil.rmtree(stale)
        # "auto" would ask the hub whether the vocabulary grew; it never grows here
        model.save_pretrained(
            temporary, state_dict=whole, **({"save_embedding_layers": False} if is_adapter(model) else {})
        )
        (temporary / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
        tokenizer.save_pretrained(temporary)
        share(temporary)
        flush(temporary)


def is_adapter(model: "PreTrainedModel") -> bool:
    return hasattr(model, "peft_config")


def gathered(model: "PreTrainedModel") -> dict[str, "torch.Tensor"] | None:
    """The trained tensors of a model that lies in parts on several ranks; None for a whole one."""
    return zero.gathered(model, trainable_only=is_adapter(model)) if zero.is_sharded(model) else None


def weights(model: "PreTrainedModel", whole: dict[str, "torch.Tensor"] | None) -> dict[str, "torch.Tensor"]:
    """What the model holds, by the names that a file has for it: everything, or the adapter alone."""
    if is_adapter(model):
        from peft import get_peft_model_state_dict

        return get_peft_model_state_dict(model, state_dict=whole, save_embedding_layers=False)
    return model.state_dict() if whole is None else whole


def merge(target: "TargetModel", tokenizer: "PreTrainedTokenizerFast", folder: Path, precision: str) -> None:
    """Replace the adapter in `folder` by a whole checkpoint: the target with the adapter merged in, in float32."""
    import torch

    model = target.trained(folder).load_model("float32", placed=False)
    if precision == "bf16":
        model = model.to(dtype=torch.bfloat16)
    export(model, tokenizer, folder, target.trust_remote_code)


def share(folder: Path) -> None:
    """Give every file the mode that the user's umask asks for; safetensors writes 0600, which a group cannot read."""
    mask = os.umask(0)
    os.umask(mask)
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o666 & ~mask)


def read(model: "PreTrainedModel", folder: Path, trust_remote_code: bool = False) -> dict[str, "torch.Tensor"]:
    """The tensors in `folder`, as loading them for this kind of model gives them."""
    if is_adapter(model):
        return _read_adapter(folder)
    return _read_model(folder, model.dtype, trust_remote_code)


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


def compare(live: dict[str, "torch.Tensor"], saved: dict[str, "torch.Tensor"], folder: Path) -> None:
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
