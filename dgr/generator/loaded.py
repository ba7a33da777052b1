"""What is in the device's memory: one thing at a time, kept as long as the same is asked for."""

import gc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dgr.chat import Chat
from dgr.model import TargetModel

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_kept: dict[str, Any] = {}


def kept(key: str, make: Callable[[], Any]) -> Any:
    """What `make` gives; it stays until something else is asked for, which then takes its place."""
    if key not in _kept:
        release()  # first: two models may not fit
        _kept[key] = make()
    return _kept[key]


def release() -> None:
    """Let go of what is in memory; its `close`, if it has one, is called."""
    while _kept:
        getattr(_kept.popitem()[1], "close", lambda: None)()
        _empty_cache()


def _empty_cache() -> None:
    """What PyTorch's allocator holds back is of no use to an engine in another process."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()


def loaded(target: TargetModel) -> "tuple[PreTrainedModel, Chat]":
    """The target's model and chat: attempts, benchmarks and the gap ask for the same one in turn."""
    return kept(f"transformers {target.fingerprint()}", lambda: (target.load_model(), target.chat()))


def context_length(model: "PreTrainedModel") -> int | None:
    """How many tokens the model can read at once, by its config; None where that does not say."""
    return declared_context(model.config)


def declared_context(config: "PretrainedConfig") -> int | None:
    return getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)
