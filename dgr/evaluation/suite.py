"""The benchmarks of a point, asked of the trained model and, once for all points, of the untouched target."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dgr.component import result_settings
from dgr.evaluation.benchmark import Asked, Benchmark, Item
from dgr.files import read_jsonl, write_json, write_jsonl
from dgr.generator import Generator, Sampling
from dgr.judge import Judge, JudgeContext
from dgr.model import TargetModel
from dgr.sample import digest, seed_for
from dgr.store import Journal, Store, locked

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Suite:
    """The benchmarks of an evaluation, by name.

    `limit` asks only that many items of each: the same ones every time, drawn by `limit_seed`, a smaller limit's
    among a larger one's. `max_thinking_tokens` closes the think block after that many tokens. `judges` are what the
    benchmarks' yamls refer to: one choice for several of them.
    """

    name: str
    benchmarks: dict[str, Benchmark]
    limit: int | None
    limit_seed: int
    max_thinking_tokens: int | None
    judges: dict[str, Judge]

    def problems(self) -> list[str]:
        found = [problem for benchmark in self.benchmarks.values() for problem in benchmark.problems()]
        judges = {repr(one.judge): (name, one.judge) for name, one in self.benchmarks.items()}  # shared ones once
        found += [f"benchmark {name}: {problem}" for name, judge in judges.values() for problem in judge.problems()]
        if self.limit is not None and self.limit < 2:
            found.append(f"evaluation.limit={self.limit}: at least 2 items a benchmark are needed for an error bar")
        return found or list(self._budget_problems())

    def _budget_problems(self) -> Iterator[str]:
        budget = self.max_thinking_tokens
        if budget is None:
            return
        if budget < 1:
            yield f"evaluation.max_thinking_tokens={budget}: must be at least 1, or null for no limit"
        full = [name for name, one in self.benchmarks.items() if budget >= Sampling(**one.sampling).max_new_tokens]
        if full:
            yield (
                f"evaluation.max_thinking_tokens={budget}: nothing is left for the answers of {', '.join(full)}, whose "
                "sampling.max_new_tokens is no larger; lower the one or raise the other"
            )

    def problems_with(self, model: TargetModel, generator: Generator | None) -> Iterator[str]:
        """What this evaluation cannot do with a target and a generator."""
        spoken = {benchmark.items.language for benchmark in self.benchmarks.values()}
        for language in sorted(spoken - {model.language}):
            yield (
                f"evaluation={self.name} asks in {language} language, model={model.name} reads {model.language}; "
                "choose another evaluation (evaluation=none trains without one) or another model"
            )
        if self.max_thinking_tokens and getattr(generator, "endpoint", None) == "chat":
            yield (
                f"evaluation.max_thinking_tokens={self.max_thinking_tokens}: generator.endpoint=chat cannot go on with "
                "a reply that was begun; use endpoint=completions, another generator, or no limit"
            )

    def hub_ids(self) -> list[tuple[str, str, str | None]]:
        parts = [part for benchmark in self.benchmarks.values() for part in (benchmark.items, benchmark.judge)]
        return list(dict.fromkeys(hub_id for part in parts for hub_id in part.hub_ids()))

    def evaluate(self, target: TargetModel, generator: Generator, seed: int, folder: Path) -> None:
        """Write `folder/<benchmark>.jsonl` for each benchmark; those already there, and undamaged, are not asked again.

        All replies come before the first verdict: the target and a judge's model are then loaded once each.
        """
        missing = {name: one for name, one in self.benchmarks.items() if not _whole(folder / f"{name}.jsonl")}
        asked = {name: self._ask(name, one, target, generator, seed, folder) for name, one in missing.items()}
        for name, benchmark in missing.items():
            journal = Journal(folder / f"{name}.judge.jsonl")
            context = JudgeContext(generator, journal, seed_for(seed, "judge", name))
            write_jsonl(folder / f"{name}.jsonl", benchmark.rows(asked[name], context))
            journal.discard()
            _replies(folder, name).discard()

    def _ask(
        self, name: str, benchmark: Benchmark, target: TargetModel, generator: Generator, seed: int, folder: Path
    ) -> list[Asked]:
        items, report = benchmark.items.load_with_report()
        if report:
            write_json(folder / f"{name}.items.json", report)
        log.info("evaluate %s: %s", Path(target.adapter or target.path).name, name)
        seed, replies = seed_for(seed, "evaluate", name), _replies(folder, name)
        return benchmark.ask(self.chosen(items), target, generator, seed, replies, self.max_thinking_tokens)

    def chosen(self, items: list[Item]) -> list[Item]:
        """Those that are asked."""
        return sorted(items, key=lambda item: digest(self.limit_seed, "limit", item.id))[: self.limit]

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

    def metrics(self, folder: Path, base: Path) -> dict[str, float]:
        """The numbers of the model evaluated in `folder`, of the untouched target in `base`, and of what was lost."""
        from dgr.evaluation.metrics import evaluation_metrics, tax_metrics

        rows, before = self.read(folder), self.read(base)
        untouched = evaluation_metrics(self.benchmarks, before)
        metrics = evaluation_metrics(self.benchmarks, rows) | tax_metrics(self.benchmarks, rows, before)
        return metrics | {f"base/{key}": value for key, value in untouched.items()}

    def read(self, folder: Path) -> dict[str, list[dict]]:
        """Rows by benchmark name."""
        return {name: read_jsonl(folder / f"{name}.jsonl") for name in self.benchmarks}


def _whole(path: Path) -> bool:
    """Is this a benchmark's file that can be read?"""
    try:
        if path.exists() and read_jsonl(path):
            return True
    except ValueError as error:
        log.warning("%s; it is computed again", error)
    return False


def _replies(folder: Path, name: str) -> Journal:
    return Journal(folder / f"{name}.replies.jsonl")
