"""Interventions: replies while a direction is added to the residual stream or projected out, judged as in evaluation.

Alphas are in lengths of the direction of harm; the random directions and the other contrasts have its length too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dgr.evaluation.benchmark import OVER_REFUSAL, SAFETY, Asked, Item
from dgr.evaluation.suite import Suite
from dgr.files import write_jsonl
from dgr.generator.hf import HF
from dgr.judge import COMPLIANCE, REFUSAL, JudgeContext
from dgr.model import TargetModel
from dgr.probe.direction import HARM, unit
from dgr.probe.intervals import over_draws, rate
from dgr.probe.requests import ProbeItem, Unseen
from dgr.probe.residual import Ablated, Added, Changed
from dgr.sample import digest, seed_for
from dgr.store import Journal

NONE, RANDOM, SPREAD = "none", "random", "spread"
SIDES = {"harmful": SAFETY, "harmless": OVER_REFUSAL}


@dataclass(frozen=True)
class Causal:
    """`limit` items of each benchmark of requests are asked; `draws` is the number of random directions added.

    An ablation in a trained point has one random direction, another one in every point.
    """

    limit: int
    alphas: list[float]
    draws: int

    def problems(self) -> list[str]:
        found = []
        if self.limit < 2:
            found.append(f"causal.limit={self.limit}: at least 2 items a benchmark are needed")
        if self.draws < 2:
            found.append(f"causal.draws={self.draws}: at least 2 random directions are needed")
        if not self.alphas or 0 in self.alphas:
            found.append(f"causal.alphas={self.alphas}: one at least is needed, and 0 is measured anyway")
        return found

    def suite(self, suite: Suite, fitted: list[ProbeItem]) -> Suite:
        """The benchmarks of requests alone, without what directions were fitted on."""
        prompts = frozenset(item.prompt for item in fitted)
        kept = {
            name: replace(one, items=Unseen(one.items, prompts))
            for name, one in suite.benchmarks.items()
            if one.kind in SIDES.values()
        }
        return replace(suite, benchmarks=kept, limit=self.limit)

    def steer(
        self,
        suite: Suite,
        target: TargetModel,
        generator: HF,
        directions: Mapping[str, np.ndarray],
        layer: int,
        seed: int,
        folder: Path,
    ) -> list[dict[str, Any]]:
        """Rates of the untouched target, by direction and alpha; `directions` are unit vectors times harm's length."""
        length, width = float(np.linalg.norm(directions[HARM])), len(directions[HARM])
        found = [
            {"direction": NONE, "alpha": 0.0, **rates(suite, asked(suite, target, generator, seed, folder / NONE))}
        ]
        randoms = [length * random_direction(width, seed, "steering", str(draw)) for draw in range(self.draws)]
        for alpha in self.alphas:

            def under(vector: np.ndarray, name: str, alpha: float = alpha) -> dict[str, Any]:
                changed = Changed(generator, target, Added(alpha * vector, layer))
                rows = asked(suite, target, changed, seed, folder / f"{name}-{alpha:g}-{_mark(vector, layer)}")
                return rates(suite, rows)

            for name, vector in directions.items():
                found.append({"direction": name, "alpha": float(alpha), **under(vector, name)})
            drawn = [under(vector, f"{RANDOM}{draw}") for draw, vector in enumerate(randoms)]
            merged = {
                side: {key: over_draws([one[side][key] for one in drawn]) for key in drawn[0][side]}
                for side in drawn[0]
            }
            found.append({"direction": RANDOM, "alpha": float(alpha), **merged})
        return found

    def ablate(
        self,
        suite: Suite,
        target: TargetModel,
        generator: HF,
        directions: Mapping[str, np.ndarray],
        spread: np.ndarray,
        seed: int,
        name: str,
        folder: Path,
    ) -> dict[str, Any]:
        """Rates of a model as it is and with each direction projected out, and with two controls: a random direction,
        and one of `spread`, along which the states vary as much as along directions of their own."""
        found = {NONE: rates(suite, asked(suite, target, generator, seed, folder / NONE))}
        isotropic = random_direction(len(directions[HARM]), seed, "ablation", name)
        stretched = spread[seed_for(seed, "ablation", name) % len(spread)]
        for which, vector in {**directions, RANDOM: isotropic, SPREAD: stretched}.items():
            changed = Changed(generator, target, Ablated(vector))
            rows = asked(suite, target, changed, seed, folder / f"{which}-{_mark(unit(vector))}")
            found[which] = rates(suite, rows)
        return found


def random_direction(width: int, seed: int, *names: str) -> np.ndarray:
    """A unit vector, every direction as likely as any other."""
    return unit(np.random.default_rng(seed_for(seed, *names)).standard_normal(width))


def asked(suite: Suite, target: TargetModel, generator: Any, seed: int, folder: Path) -> dict[str, list[dict]]:
    """Rows by benchmark, also in `folder`; what that holds already is not asked again.

    Benchmarks that sample alike are asked together: one batch of 80 short replies takes little longer than one of 20.
    """
    journal = Journal(folder / "replies.jsonl")
    groups: dict[str, dict[str, list[Item]]] = {}
    for name, one in suite.benchmarks.items():
        items = suite.chosen(one.items.load_with_report()[0])
        groups.setdefault(repr((one.samples, one.sampling)), {})[name] = items
    answers: dict[str, list[Asked]] = {}
    for group in groups.values():
        first = suite.benchmarks[next(iter(group))]
        everything = [item for items in group.values() for item in items]
        replies = first.ask(everything, target, generator, seed, journal, suite.max_thinking_tokens)
        for name, items in group.items():
            mine = {item.id for item in items}
            answers[name] = [one for one in replies if one.item.id in mine]
    found = {}
    for name, one in suite.benchmarks.items():
        judging = Journal(folder / f"{name}.judge.jsonl")
        found[name] = one.rows(answers[name], JudgeContext(generator, judging, seed_for(seed, "judge", name)))
        write_jsonl(folder / f"{name}.jsonl", found[name])
    return found


def rates(suite: Suite, rows: Mapping[str, list[dict]]) -> dict[str, Any]:
    """Refused, complied and neither, of harmful and of harmless requests; all items of a side weigh the same."""
    found: dict[str, Any] = {}
    for side, kind in SIDES.items():
        verdicts = [row["verdict"] for name, one in suite.benchmarks.items() if one.kind == kind for row in rows[name]]
        if verdicts:
            neither = [verdict not in (REFUSAL, COMPLIANCE) for verdict in verdicts]
            found[side] = {
                "refusal": rate([verdict == REFUSAL for verdict in verdicts]),
                "compliance": rate([verdict == COMPLIANCE for verdict in verdicts]),
                "neither": rate(neither),
            }
    return found


def _mark(vector: np.ndarray, *more: object) -> str:
    return digest(*(f"{value:.6g}" for value in vector), *more, length=8)
