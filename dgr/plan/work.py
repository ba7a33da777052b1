"""What the points of one model and generator have to do: shared work counted once, as the store does it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dgr.component import build
from dgr.plan.rates import Rates
from dgr.training.batches import steps_for

SAMPLE_BYTES, REPLY_BYTES, POINT_BYTES = 1500, 350, 90_000  # what a line of JSON or a run's small files hold anyhow
COPIES = 4  # a sample's text stands in source.jsonl, samples.jsonl, attempts.jsonl and the store
ADAPTER_SHARE = 0.01  # weights of an adapter, of those of the model
OPTIMIZER_BYTES = 12  # of a trained weight in a checkpoint: fp32 copy, both moments of AdamW


@dataclass
class Work:
    """Tokens that are written (`refine`, `own`: the floor of the gap, `base`, `evaluate`), scored and trained on.

    Replies that a judge's model reads; stages that load a model; points; bytes that stay, and those of the largest
    checkpoint while a point trains.
    """

    refine: float = 0
    own: float = 0
    base: float = 0
    evaluate: float = 0
    scored: float = 0
    trained: float = 0
    judged: float = 0
    stages: float = 0
    points: float = 0
    disk: float = 0
    checkpoint: float = 0

    def __sub__(self, other: "Work") -> "Work":
        left = Work(**{one.name: getattr(self, one.name) - getattr(other, one.name) for one in fields(self)})
        left.checkpoint = self.checkpoint
        return left

    def seconds(self, rates: Rates) -> dict[str, float]:
        """Of one device, by stage; starting a model is shared among the four stages that do."""
        per_second, start = rates.per_second, rates.seconds["stage"] * self.stages / 4
        return {
            "refine": self.refine / per_second["generate"] + start,
            "gap": self.own / per_second["generate"] + self.scored / per_second["score"] + start,
            "train": self.trained / per_second["train"] + start,
            "evaluate": (self.base + self.evaluate) / per_second["generate"] + start
            + self.judged * rates.seconds["judged"] + self.points * rates.seconds["point"],
        }  # fmt: skip


def work(points: Sequence[DictConfig], rates: Rates) -> Work:
    """Rewrites, the target's own replies and its evaluation are shared: the most that any point asks for counts."""
    found, tokens = Work(points=len(points)), rates.tokens
    rewrites: dict[tuple, float] = {}
    own: dict[tuple, int] = {}
    bases: dict[str, tuple[float, float, float]] = {}
    for cfg in points:
        source, arm = _yaml(cfg.data), cfg.refine
        key = (arm.get("prompt"), OmegaConf.select(arm, "model.path"), source, cfg.seed)
        if "max_attempts" in arm:
            rewrites[key] = max(rewrites.get(key, 0), cfg.n_samples * _attempts(arm, rates))
        own[source, cfg.seed] = max(own.get((source, cfg.seed), 0), cfg.n_samples)
        evaluation = asked(cfg, rates)
        sampled = any(one.get("sampling", {}).get("temperature") for one in _benchmarks(cfg))
        bases[_yaml(cfg.evaluation) + (str(cfg.seed) if sampled else "")] = evaluation
        _add_point(found, cfg, evaluation, rates)
    found.refine = sum(rewrites.values()) * tokens["rewrite"]
    found.own = sum(own.values()) * tokens["own"]
    found.base = sum(written for written, *_ in bases.values())
    found.judged += sum(judged for *_, judged in bases.values())
    found.disk += sum(_reply_bytes(replies, written, rates) for written, replies, _ in bases.values())
    found.disk += sum(rewrites.values()) * (60 + tokens["rewrite"] * rates.bytes["token"])
    found.disk += sum(own.values()) * (400 + tokens["own"] * rates.bytes["token"])
    return found


def _add_point(found: Work, cfg: DictConfig, evaluation: tuple[float, float, float], rates: Rates) -> None:
    """What a point does alone."""
    written, replies, judged = evaluation
    length = example_tokens(cfg, rates)
    if cfg.n_samples:
        trainer = cfg.trainer
        steps = steps_for(cfg.n_samples, trainer.global_batch, trainer.epochs, trainer.max_steps)
        found.trained += steps * trainer.global_batch * length
        trained_weights = rates.parameters * (1 if "Full" in cfg.adapter._target_ else ADAPTER_SHARE)
        found.disk += trained_weights * rates.bytes["weight"]
        found.checkpoint = max(found.checkpoint, trained_weights * (rates.bytes["weight"] + OPTIMIZER_BYTES))
    found.scored += 2 * cfg.n_samples * length
    found.evaluate += written
    found.judged += judged
    found.stages += 4 if cfg.n_samples else 1
    found.disk += POINT_BYTES + _reply_bytes(replies, written, rates)
    found.disk += cfg.n_samples * (SAMPLE_BYTES + COPIES * length * rates.bytes["token"])


def _reply_bytes(replies: float, written: float, rates: Rates) -> float:
    return replies * REPLY_BYTES + written * rates.bytes["token"]


def _attempts(arm: DictConfig, rates: Rates) -> float:
    return float(arm.n) if "n" in arm else min(float(arm.max_attempts), rates.attempts)


def example_tokens(cfg: DictConfig, rates: Rates) -> float:
    """Of a training example of the point: measured, the length of a rewrite, or that of the source."""
    known = rates.by_arm.get(f"{cfg.data.name} {cfg.refine.name}")
    if known:
        return known
    return rates.tokens["prompt"] + rates.tokens["rewrite" if "max_attempts" in cfg.refine else "source"]


def asked(cfg: DictConfig, rates: Rates) -> tuple[float, float, float]:
    """Of one evaluation: tokens written, replies, and replies that a judge's model reads."""
    written = replies = judged = 0.0
    limit = cfg.evaluation.get("limit")
    for one in _benchmarks(cfg):
        items = rates.items.get(one["items"]["name"]) or _counted(_yaml(one["items"])) or rates.other_items
        number = min(items, limit or items) * one["samples"]
        length = min(rates.tokens[one["kind"]], one["sampling"].get("max_new_tokens", math.inf))
        if budget := cfg.evaluation.get("max_thinking_tokens"):
            length = min(length, budget + rates.tokens["answer"])
        replies += number
        written += number * length
        judged += number if "path" in one["judge"] or "model" in one["judge"] else 0
    return written, replies, judged


def _benchmarks(cfg: DictConfig) -> Iterator[dict[str, Any]]:
    """Those of this package; none of another harness's."""
    yield from (OmegaConf.to_container(cfg.evaluation, resolve=True).get("benchmarks") or {}).values()


@cache
def _counted(items: str) -> int | None:
    """The number of items where they lie on this machine."""
    built = build(OmegaConf.create(items))
    return None if built.hub_ids() or built.problems() else len(built.load_with_report()[0])


def _yaml(node: DictConfig | dict) -> str:
    return OmegaConf.to_yaml(node if isinstance(node, DictConfig) else OmegaConf.create(node), resolve=True)
