"""A model's residual stream, block by block: recorded, added to, or with a direction projected out.

Layer 0 is what the embeddings give the first block, layer l the output of the l-th block, before any final norm.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgr.generator import Reply, Request, Sampling
from dgr.generator.hf import HF
from dgr.generator.loaded import loaded
from dgr.model import TargetModel
from dgr.store import Journal

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import PreTrainedModel

ATTENTION = ("self_attn", "attn", "attention")  # what architectures call a block's attention


def blocks(model: "PreTrainedModel") -> list["torch.nn.Module"]:
    """The decoder's blocks, first to last; ValueError for an architecture that does not list them."""
    from torch.nn import ModuleList

    count = model.config.get_text_config(decoder=True).num_hidden_layers
    found = [part for part in model.base_model.modules() if isinstance(part, ModuleList) and len(part) == count]
    if not found:
        raise ValueError(
            f"{type(model).__name__} has no list of its {count} blocks, so its residual stream cannot be read; "
            "use a decoder such as Llama, Qwen or GPT"
        )
    return list(found[0])


@contextmanager
def recording(model: "PreTrainedModel") -> Iterator[list["torch.Tensor"]]:
    """Yields a list that each forward pass fills with the stream at layers 0, 1, ..., each (rows, tokens, width)."""
    states: list[torch.Tensor] = []

    def first(block, args, kwargs):
        states[:] = [_incoming(args, kwargs)]

    def after(block, args, output):
        states.append(_stream(output))

    every = blocks(model)
    handles = [every[0].register_forward_pre_hook(first, with_kwargs=True)]
    handles += [block.register_forward_hook(after) for block in every]
    with _removed(handles):
        yield states


@dataclass(frozen=True)
class Added:
    """The vector is added to the stream at one layer, at every position."""

    vector: "np.ndarray"
    layer: int

    @contextmanager
    def applied(self, model: "PreTrainedModel") -> Iterator[None]:
        vector = _tensor(self.vector, model)
        with _removed(_on_layer(blocks(model), self.layer, lambda stream: stream + vector)):
            yield


@dataclass(frozen=True)
class Ablated:
    """The direction is projected out of the stream at every layer and position (2406.11717, section 2.4).

    It leaves the input and output of every block, and what attention writes before the same block's MLP reads it.
    """

    vector: "np.ndarray"

    @contextmanager
    def applied(self, model: "PreTrainedModel") -> Iterator[None]:
        unit = _tensor(self.vector, model)
        unit = unit / unit.norm()
        every = blocks(model)

        def without(stream):
            return stream - (stream @ unit)[..., None] * unit

        handles = [handle for layer in range(len(every) + 1) for handle in _on_layer(every, layer, without)]
        for block in every:
            attention = next((part for name, part in block.named_children() if name in ATTENTION), None)
            handles += [_on_output(attention, without)] if attention is not None else []
        with _removed(handles):
            yield


@dataclass(frozen=True)
class Changed:
    """A generator under which `target`'s stream is changed while it writes; other models (a judge's) stay as they are.

    Each change needs a journal of its own.
    """

    generator: HF
    target: TargetModel
    change: Added | Ablated

    def fingerprint(self) -> str:
        return self.generator.fingerprint()

    def generate(
        self, target: TargetModel, requests: list[Request], sampling: Sampling, seed: int, journal: Journal
    ) -> dict[str, Reply]:
        if target is not self.target:
            return self.generator.generate(target, requests, sampling, seed, journal)
        with self.change.applied(loaded(target)[0]):
            return self.generator.generate(target, requests, sampling, seed, journal)


def _on_layer(every: list, layer: int, change: Callable) -> list:
    return [_on_input(every[0], change)] if layer == 0 else [_on_output(every[layer - 1], change)]


def _on_input(block, change: Callable):
    def before(block, args, kwargs):
        if args:
            return (change(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}

    return block.register_forward_pre_hook(before, with_kwargs=True)


def _on_output(part, change: Callable):
    def after(part, args, output):
        return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

    return part.register_forward_hook(after)


def _incoming(args: tuple, kwargs: dict) -> "torch.Tensor":
    return args[0] if args else kwargs["hidden_states"]


def _stream(output) -> "torch.Tensor":
    return output[0] if isinstance(output, tuple) else output


def _tensor(vector: "np.ndarray", model: "PreTrainedModel") -> "torch.Tensor":
    import torch

    return torch.tensor(vector, dtype=model.dtype, device=model.device)


@contextmanager
def _removed(handles: list) -> Iterator[None]:
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
