"""The benchmarks of a point, asked of the trained model and, once for all points, of the untouched target."""

import logging
from dataclasses import dataclass
from pathlib import Path

from dgr.component import result_settings
from dgr.evaluation.benchmark import Benchmark
from dgr.files import read_jsonl, write_jsonl
from dgr.generator import Generator
from dgr.model import TargetModel
from dgr.sample import digest, seed_for
from dgr.store import Journal, Store, locked

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Suite:
    """The benchmarks of an evaluation, by name; `limit` asks only that many items of each, the same ones every time."""

    name: str
    benchmarks: dict[str, Benchmark]
    limit: int | None

    def problems(self) -> list[str]:
        found = [problem for benchmark in self.benchmarks.values() for problem in benchmark.problems()]
        if self.limit is not None and self.limit < 2:
            found.append(f"evaluation.limit={self.limit}: at least 2 items a benchmark are needed for an error bar")
        return found

    def hub_ids(self) -> list[tuple[str, str, str | None]]:
        return [hub_id for benchmark in self.benchmarks.values() for hub_id in benchmark.items.hub_ids()]

    def evaluate(self, target: TargetModel, generator: Generator, seed: int, folder: Path) -> None:
        """Write `folder/<benchmark>.jsonl` for each benchmark; those already there are not asked again."""
        for name, benchmark in self.benchmarks.items():
            file = folder / f"{name}.jsonl"
            if file.exists():
                continue
            replies = Journal(folder / f"{name}.replies.jsonl")
            log.info("evaluate %s: %s", Path(target.adapter or target.path).name, name)
            rows = benchmark.run(target, generator, seed_for(seed, "evaluate", name), replies, self.limit)
            write_jsonl(file, rows)
            replies.discard()

    def evaluate_once(self, target: TargetModel, generator: Generator, seed: int, store: Store, settings: dict) -> Path:
        """The untouched target's evaluation: one folder in the store for all points that ask for the same.

        `settings` are the resolved configs of generator and evaluation: with the target's fingerprint they make the
        key, so a change in any benchmark evaluates the target again. Greedy benchmarks do not depend on the seed.
        """
        greedy = all(not benchmark.sampling.get("temperature") for benchmark in self.benchmarks.values())
        key = digest(target.fingerprint(), result_settings(settings), "" if greedy else seed)
        folder = store.root / "evaluation" / key
        with locked(folder):
            self.evaluate(target, generator, 0 if greedy else seed, folder)
        return folder

    def read(self, folder: Path) -> dict[str, list[dict]]:
        """Rows by benchmark name."""
        return {name: read_jsonl(folder / f"{name}.jsonl") for name in self.benchmarks}
