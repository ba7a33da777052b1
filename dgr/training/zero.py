"""DeepSpeed's ZeRO: its configuration, and the whole weights of a model whose parameters lie in parts on all ranks."""

from typing import TYPE_CHECKING, Any

from dgr.files import read_json
from dgr.naming import launch_dir

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def config(strategy: str, gpu: bool) -> dict[str, Any] | None:
    """launch/deepspeed/<strategy>.json; "auto" in it is filled from the trainer's settings. None: no DeepSpeed."""
    file = launch_dir() / "deepspeed" / f"{strategy}.json"
    if not file.exists():
        return None
    chosen = read_json(file)
    for part in ("offload_optimizer", "offload_param"):
        if part in chosen["zero_optimization"]:
            chosen["zero_optimization"][part]["pin_memory"] = gpu
    return chosen


def join(gpu: bool) -> None:
    """Let DeepSpeed know the processes, before a model is loaded; on a CPU gloo does all communication.

    For a CPU DeepSpeed would compile an operator of its own at first use: minutes, a compiler, and a lock that stays
    when the compilation is killed.
    """
    import deepspeed

    if not gpu:
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend="nccl" if gpu else "gloo", auto_mpi_discovery=False, verbose=False)


def release() -> None:
    """From here on `from_pretrained` loads whole models again."""
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()


def is_sharded(model: "PreTrainedModel") -> bool:
    return any(hasattr(weight, "ds_id") for weight in model.parameters())


def gathered(model: "PreTrainedModel", trainable_only: bool) -> dict[str, "torch.Tensor"]:
    """The state dict of a sharded model, whole, on the CPU; all ranks have to call this, and all but the first get {}.

    RuntimeError for a tensor that came back in part. Names of tied weights share one tensor.
    """
    from dgr.training import ranks

    whole: dict[str, torch.Tensor] = {}
    seen: dict[int, torch.Tensor] = {}
    for name, weight in model.named_parameters(remove_duplicate=False):
        if trainable_only and not weight.requires_grad:
            continue
        if id(weight) not in seen:
            seen[id(weight)] = _one(name, weight, keep=ranks.is_first())
        whole[name] = seen[id(weight)]
    if not ranks.is_first():
        return {}
    if not trainable_only:
        whole |= {name: tensor.cpu() for name, tensor in model.state_dict().items() if name not in whole}
    return whole


def _one(name: str, weight: "torch.nn.Parameter", keep: bool) -> "torch.Tensor | None":
    import deepspeed

    with deepspeed.zero.GatheredParameters([weight]):
        if tuple(weight.shape) != tuple(weight.ds_shape):
            raise RuntimeError(f"{name} has shape {tuple(weight.shape)}, not {tuple(weight.ds_shape)}: not gathered")
        return weight.detach().cpu().clone() if keep else None
