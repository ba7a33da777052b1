"""What training minimises. An objective turns one forward pass into a number; the loop adds them up.

The seam: whatever has `loss(model, batch, tokens)` is an objective. It may run the model as often as it likes, e.g.
let it write and judge the replies itself, as on-policy distillation does.
"""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.nn.functional import cross_entropy, kl_div

from dgr.chat import IGNORED
from dgr.training import ranks

Batch = dict[str, torch.Tensor]
Base = Callable[[Batch, torch.Tensor], torch.Tensor]


class Objective(Protocol):
    def loss(self, model: Any, batch: Batch, tokens: int) -> torch.Tensor:
        """This pass's part of the loss of the global batch, which has `tokens` supervised tokens in all passes."""


@dataclass
class TokenLoss:
    """Cross-entropy, the mean over the supervised tokens of the global batch, however it is cut into passes.

    With label smoothing e, each token's target is 1 - e on the label and e spread over the whole vocabulary.
    """

    label_smoothing: float = 0.0

    def loss(self, model: Any, batch: Batch, tokens: int) -> torch.Tensor:
        labels = following(batch["labels"])
        logits = logits_at(model, batch, labels != IGNORED)
        return self.cross_entropy(logits, labels[labels != IGNORED]) / tokens

    def cross_entropy(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return cross_entropy(logits, labels, reduction="sum", label_smoothing=self.label_smoothing)


@dataclass
class KLToBase(TokenLoss):
    """As TokenLoss; every supervised token of a benign sample adds beta KL(base || model), over the whole vocabulary.

    Forward KL to the untouched target, as ThinkSafe trains (arXiv 2601.23143): it keeps the model from leaving what the
    target says to harmless requests. `base` is the untouched target's `logits_at`.
    """

    beta: float = 0.0
    base: Base | None = None

    def loss(self, model: Any, batch: Batch, tokens: int) -> torch.Tensor:
        labels = following(batch["labels"])
        supervised = labels != IGNORED
        logits = logits_at(model, batch, supervised)
        total = self.cross_entropy(logits, labels[supervised])
        benign = batch["benign"].roll(-1, dims=1) & supervised
        if benign.any() or ranks.together():  # of several processes all run equally often: ZeRO-3 needs them all
            target = self.base(batch, benign).log_softmax(-1)
            student = logits[benign[supervised]].log_softmax(-1)
            total = total + self.beta * kl_div(student, target, reduction="sum", log_target=True)
        return total / tokens


def inputs(batch: Batch) -> Batch:
    return {name: tensor for name, tensor in batch.items() if name not in ("labels", "benign")} | {"use_cache": False}


def following(labels: torch.Tensor) -> torch.Tensor:
    """At every position [batch, length] the label that it predicts: the next one; IGNORED at the end."""
    return torch.cat([labels[:, 1:], torch.full_like(labels[:, :1], IGNORED)], dim=1)


def logits_at(model: Any, batch: Batch, positions: torch.Tensor) -> torch.Tensor:
    """Logits [marked positions, vocabulary] in float32; the output layer computes those and no others."""
    head = getattr(model, "module", model).get_output_embeddings()
    selecting = head.register_forward_pre_hook(lambda module, hidden: (hidden[0][positions],))
    try:
        return model(**inputs(batch)).logits.float()
    finally:
        selecting.remove()


def without_adapter(model: Any) -> Base:
    """The untouched target as what lies beneath the adapter."""

    def logits(batch: Batch, positions: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), evaluating(model), model.disable_adapter():
            return logits_at(model, batch, positions)

    return logits


def frozen(model: Any) -> Base:
    """The untouched target as a model of its own."""
    model.requires_grad_(False).eval()

    def logits(batch: Batch, positions: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return logits_at(model.to(positions.device), batch, positions)

    return logits


@contextmanager
def evaluating(model: Any):
    """No dropout and no embedding noise."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
