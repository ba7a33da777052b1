"""What a grid costs, before it starts: `python -m dgr.run -m ... plan=true` says so and starts nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dgr.plan.rates import Rates, rates_of
from dgr.plan.work import Work, work

if TYPE_CHECKING:
    from dgr.command import Point


@dataclass
class Estimate:
    """Of the points that are not finished. Seconds are those of one device, by stage; bytes are what stays on disk."""

    points: int
    finished: int
    parallel: int
    works: list[Work]
    seconds: dict[str, float] = field(default_factory=dict)
    rates: list[Rates] = field(default_factory=list)

    @property
    def todo(self) -> int:
        return self.points - self.finished

    @property
    def generated(self) -> dict[str, float]:
        """Tokens that models write, by what for."""
        return {key: sum(getattr(one, key) for one in self.works) for key in ("refine", "own", "base", "evaluate")}

    @property
    def trained(self) -> float:
        return sum(one.trained for one in self.works)

    @property
    def disk(self) -> float:
        return sum(one.disk for one in self.works)

    @property
    def while_training(self) -> float:
        """Bytes of checkpoints that are there while points train."""
        return min(self.parallel, self.todo) * max((one.checkpoint for one in self.works), default=0.0)

    @property
    def wall(self) -> float:
        return sum(self.seconds.values()) / max(1, min(self.parallel, self.todo))


def estimate(points: Sequence["Point"]) -> Estimate:
    """Points of several models are counted apart, each with its own rates."""
    unique = {point.folder: point for point in points}
    finished = {folder for folder in unique if (folder / "metrics.json").exists()}
    by_target: dict[tuple[str, str], list[Point]] = {}
    for point in unique.values():
        by_target.setdefault((point.cfg.model.path, point.cfg.generator.name), []).append(point)
    parallel = int(points[0].cfg.costs.parallel) if points else 1
    found = Estimate(len(unique), len(finished), parallel, [])
    for group in by_target.values():
        rates = rates_of(group[0].cfg)
        if all(point.folder in finished for point in group):
            continue
        done = work([point.cfg for point in group if point.folder in finished], rates)
        all_of_it = work([point.cfg for point in group], rates)
        left = all_of_it - done
        found.works.append(left)
        found.rates.append(rates)
        for stage, seconds in left.seconds(rates).items():
            found.seconds[stage] = found.seconds.get(stage, 0.0) + seconds
    return found


def folder_bytes(folder: Path) -> int:
    """What lies in a folder, for comparing with the estimate."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
