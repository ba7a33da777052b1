"""The model that is in memory: attempts, benchmarks and the gap ask for the same one in turn."""

from typing import TYPE_CHECKING

from dgr.chat import Chat
from dgr.model import TargetModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_kept: dict[str, "tuple[PreTrainedModel, Chat]"] = {}


def loaded(target: TargetModel) -> "tuple[PreTrainedModel, Chat]":
    """The target's model and chat; they stay loaded until another target is asked for, which then takes their place."""
    fingerprint = target.fingerprint()
    if fingerprint not in _kept:
        _kept.clear()  # first: two models may not fit
        _kept[fingerprint] = (target.load_model(), target.chat())
    return _kept[fingerprint]


def context_length(model: "PreTrainedModel") -> int | None:
    """How many tokens the model can read at once, by its config; None where that does not say."""
    return getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None)
