"""All measurements of a target and of its trained points; a part that is finished is never computed again."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dgr.evaluation.suite import Suite
from dgr.files import read_json, write_json, write_jsonl
from dgr.generator.hf import HF
from dgr.model import TargetModel
from dgr.probe import weights
from dgr.probe.base import Base
from dgr.probe.causal import NONE, RANDOM, SPREAD, Causal
from dgr.probe.direction import HARM, Direction, difference, shifts, unit
from dgr.probe.intervals import rounded
from dgr.probe.linear import Linear
from dgr.probe.points import Point
from dgr.probe.requests import TRAIN, ProbeItem, Requests
from dgr.probe.states import states
from dgr.sample import digest
from dgr.store import locked

log = logging.getLogger(__name__)

FORMAT = "2"  # of probe.json and its parts; what was computed in another one is computed again
DIRECTIONS = "probe_directions.safetensors"
UNTOUCHED = "untouched"


@dataclass(frozen=True)
class Probe:
    """What is measured, and how; `suite` None leaves the interventions out."""

    target: TargetModel
    requests: Requests
    suite: Suite | None
    generator: HF
    linear: Linear
    direction: Direction
    causal: Causal
    seed: int
    folder: Path

    @cached_property
    def items(self) -> list[ProbeItem]:
        return self.requests.load()

    @cached_property
    def key(self) -> str:
        """Of everything that the untouched target's states and directions depend on."""
        content = digest(*(tuple(asdict(item).values()) for item in self.items))
        settings = (self.direction, sorted(self.requests.instructions.items()), self.seed)
        return digest(FORMAT, self.target.fingerprint(), content, *settings)

    def part(self, name: str, key: str, make: Callable[[], Any]) -> Any:
        """A part's value: from its file, or made now and written there."""
        path = self.folder / "probe" / f"{name}-{digest(self.key, key, length=8)}.json"
        if not path.exists():
            log.info("probe: %s", name)
            write_json(path, make())
        return read_json(path)

    @cached_property
    def base(self) -> Base:
        return Base(self)

    def measure(self, points: Sequence[Point]) -> dict[str, Any]:
        """Writes probe.json, probe_rows.jsonl, probe_weights.jsonl and the directions; returns the first."""
        with locked(self.folder / "probe"):
            linear = self.part("linear", repr((self.linear, self.target.sampling)), lambda: self.base.linear())
            direction = self.part("direction", "", lambda: self.base.direction_numbers())
            steering = self._steering()
            untouched = self._ablation(UNTOUCHED, self.target)
            found = [self._point(point) for point in points]
            value = self._value(linear, direction, steering, untouched, points, found)
            write_jsonl(self.folder / "probe_rows.jsonl", self._rows(linear, direction))
            write_jsonl(
                self.folder / "probe_weights.jsonl",
                ({"point": point.name, **row} for point, one in zip(points, found, strict=True) for row in one["rows"]),
            )
            if not (self.folder / DIRECTIONS).exists() or key_of(self.folder / DIRECTIONS) != self.key:
                self.base.save(self.folder / DIRECTIONS)
            write_json(self.folder / "probe.json", value)
        return value

    def _steering(self) -> list[dict[str, Any]] | None:
        if self.suite is None:
            return None
        suite = self.causal.suite(self.suite, self.fitted)
        key = digest(repr(self.causal), repr(self.suite))
        folder = self.folder / "probe" / f"steering-{digest(self.key, key, length=8)}"

        def make() -> list[dict[str, Any]]:
            base = self.base
            steered = base.interventions
            return self.causal.steer(suite, self.target, self.generator, steered, base.layer, self.seed, folder)

        return self.part("steering", key, make)

    @property
    def fitted(self) -> list[ProbeItem]:
        return [item for item in self.items if item.split == TRAIN]

    def _point(self, point: Point) -> dict[str, Any]:
        target = self.target.trained(point.checkpoint)
        fingerprint = target.fingerprint()

        def shifted() -> dict[str, Any]:
            base = self.base
            after = states(target, base.prompts, [self.direction.position])[self.direction.position]
            found = shifts(self.items, base.chosen, after[:, base.layer], base.directions, base.spread, self.seed)
            after_direction = difference(after[base.train, base.layer], base.harmful[base.train])
            return {**found, "direction_cosine": rounded(unit(after_direction) @ unit(base.directions[HARM]))}

        def weighed() -> dict[str, Any]:
            rows = weights.changes(self.base.weights, weights.parameters(target))
            return {**weights.summary(rows), "rows": [weights.detail(row) for row in rows]}

        shift = self.part(f"{point.name}-shift", fingerprint, shifted)
        change = self.part(f"{point.name}-weights", fingerprint, weighed)
        rows = change.pop("rows")
        return {"shift": shift, "weights": change, "ablation": self._ablation(point.name, target), "rows": rows}

    def _ablation(self, name: str, target: TargetModel) -> dict[str, Any] | None:
        if self.suite is None:
            return None
        suite = self.causal.suite(self.suite, self.fitted)
        key = digest(target.fingerprint(), self.causal.limit, repr(self.suite))
        folder = self.folder / "probe" / f"{name}-ablation-{digest(self.key, key, length=8)}"

        def make() -> dict[str, Any]:
            base, generator = self.base, self.generator
            return self.causal.ablate(
                suite, target, generator, base.interventions, base.spread, self.seed, name, folder
            )

        return self.part(f"{name}-ablation", f"{key} {NONE} {RANDOM} {SPREAD}", make)

    def _value(
        self, linear, direction, steering, untouched, points: Sequence[Point], found: Sequence[dict]
    ) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "target": self.target.name,
            "requests": {
                "name": self.requests.name,
                **{
                    split: {
                        "harmful": sum(item.split == split and item.harmful for item in self.items),
                        "harmless": sum(item.split == split and not item.harmful for item in self.items),
                        "topics": len({item.topic for item in self.items if item.split == split}),
                    }
                    for split in dict.fromkeys(item.split for item in self.items)
                },
            },
            "linear": {"probes": linear["probes"], "words": linear["words"]},
            "direction": {key: value for key, value in direction.items() if key != "projections"},
            "steering": steering,
            "untouched": {"ablation": untouched},
            "points": [
                {
                    "name": point.name,
                    "data": point.data,
                    "arm": point.arm,
                    "n_samples": point.n_samples,
                    "seed": point.seed,
                    **{key: one[key] for key in ("shift", "weights", "ablation")},
                }
                for point, one in zip(points, found, strict=True)
            ],
        }

    def _rows(self, linear: dict[str, Any], direction: dict[str, Any]) -> list[dict[str, Any]]:
        """One line a request: what it is, each probe's score (above 0: harmful) and its place along the direction."""
        return [
            {
                **asdict(item),
                "direction": direction["projections"][number],
                **{f"score/{name}": column[number] for name, column in linear["scores"].items()},
            }
            for number, item in enumerate(self.items)
        ]


def key_of(path: Path) -> str | None:
    """The key that a file of directions was written for."""
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        return (file.metadata() or {}).get("key")
