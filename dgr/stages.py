"""The stages of a point. Each reads and writes files of the run folder; its marker, written last, says it is done.

A stage runs inline, or in a child process that reads the resolved config: `python -m dgr.stages STAGE FOLDER`.
"""

import json
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dgr import child, stopping
from dgr.component import build
from dgr.disk import explained, remove_temporaries
from dgr.files import read_json, read_jsonl, write_json, write_jsonl, write_text
from dgr.machine import has_gpu
from dgr.model import TargetModel
from dgr.progress import reported_in
from dgr.sample import Sample, nested_subset
from dgr.status import FINISHED, PREPARED, Status
from dgr.store import Store, locked
from dgr.training import launch

log = logging.getLogger(__name__)

SAMPLE_FIELDS = ("id", "prompt", "reasoning", "answer", "category", "stance")


def store(cfg: DictConfig) -> Store:
    return Store(Path(cfg.outputs) / "store")


def subset(cfg: DictConfig, folder: Path) -> None:
    """source.jsonl: the nested subset of the dataset, as the source has it; subset.json: what the source reported."""
    rows, report = build(cfg.data).load_with_report()
    write_jsonl(folder / "source.jsonl", map(asdict, nested_subset(rows, cfg.n_samples, cfg.seed)))
    write_json(folder / "subset.json", report)


def reserve(cfg: DictConfig, source: list[Sample]) -> list[Sample]:
    """The samples that come after the subset in the nested order; ValueError where the dataset has changed since."""
    rows = build(cfg.data).load()
    ordered = nested_subset(rows, len(rows), cfg.seed)
    if ordered[: len(source)] != source:
        raise ValueError("the dataset is not the one that source.jsonl was taken from; delete the run's folder")
    return ordered[len(source) :]


def refine(cfg: DictConfig, folder: Path) -> None:
    """samples.jsonl: what is trained on, with provenance; attempts.jsonl: every attempt; refine.json: the numbers."""
    from dgr.gap import sample_nll
    from dgr.refine import RefineContext, summary, texts

    source = [Sample(**row) for row in read_jsonl(folder / "source.jsonl")]
    target, shared = build(cfg.model), store(cfg)
    context = RefineContext(target, build(cfg.generator), cfg.seed, shared, partial(reserve, cfg, source))
    refined = build(cfg.refine).refine(source, context) if source else []
    nll = sample_nll(texts(refined), target, shared)
    write_jsonl(folder / "attempts.jsonl", (row for entry in refined for row in entry.attempt_rows()))
    write_jsonl(folder / "samples.jsonl", (entry.row(nll) for entry in refined if not entry.dropped))
    write_json(folder / "refine.json", summary(refined, target.chat(), nll))


def samples(folder: Path) -> list[Sample]:
    """What is trained on."""
    return [Sample(**{name: row[name] for name in SAMPLE_FIELDS}) for row in read_jsonl(folder / "samples.jsonl")]


def sources(folder: Path) -> list[Sample]:
    """What the source says in the place of every sample that is trained on."""
    before = {row["id"]: row for row in read_jsonl(folder / "samples.jsonl")}
    return [
        replace(sample, reasoning=before[sample.id]["source_reasoning"], answer=before[sample.id]["source_answer"])
        for sample in samples(folder)
    ]


def gap(cfg: DictConfig, folder: Path) -> None:
    """gap.jsonl and gap.json: how far the training targets are from the untouched target's distribution."""
    from dgr.gap import measure

    found = measure(samples(folder), sources(folder), build(cfg.model), build(cfg.generator), cfg.seed, store(cfg))
    write_jsonl(folder / "gap.jsonl", found.rows)
    write_json(folder / "gap.json", found.numbers)


@stopping.finishing()
def train(cfg: DictConfig, folder: Path) -> None:
    """model/ and train.json; without samples the untouched target is what is evaluated.

    Of several processes the first one writes. curve.jsonl is what can be watched meanwhile. Where a stop is asked for,
    the step that it is at ends in a checkpoint (`Stopped`, no train.json), or the finished model is written yet.
    """
    chosen, trainer = samples(folder), build(cfg.trainer)
    record: dict[str, Any] | None = {"steps": 0, "loss": []}
    if chosen:
        with (folder / "curve.jsonl").open("a", buffering=1) as curve:
            record = trainer.train(
                chosen,
                build(cfg.model),
                build(cfg.adapter),
                cfg.seed,
                folder,
                on_log=lambda row: curve.write(json.dumps(row) + "\n"),
            )
    if record is not None:
        write_json(folder / "train.json", record)
        (folder / "curve.jsonl").unlink(missing_ok=True)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def trained_model(cfg: DictConfig, folder: Path) -> TargetModel:
    target = build(cfg.model)
    return target.trained(folder / "model") if (folder / "model").exists() else target


def evaluate(cfg: DictConfig, folder: Path) -> None:
    """evaluation/ of the trained model, a file a benchmark; base.json says where the untouched target's lie."""
    base = _untouched(cfg, folder)
    build(cfg.evaluation).evaluate(trained_model(cfg, folder), build(cfg.generator), cfg.seed, folder / "evaluation")
    write_json(folder / "base.json", base)


def untouched(cfg: DictConfig, folder: Path) -> None:
    """untouched.json: as base.json, before there is a trained model. `evaluate` finds the files; see dgr.prepare."""
    write_json(folder / "untouched.json", _untouched(cfg, folder))


def _untouched(cfg: DictConfig, folder: Path) -> dict[str, str]:
    """Evaluate the untouched target, unless the store has it; where its files lie."""
    settings = {name: OmegaConf.to_container(cfg[name], resolve=True) for name in ("generator", "evaluation")}
    base = build(cfg.evaluation).evaluate_once(build(cfg.model), build(cfg.generator), cfg.seed, store(cfg), settings)
    return {"evaluation": os.path.relpath(base, folder)}


def record(cfg: DictConfig, folder: Path) -> None:
    """metrics.json: every number of the point in one flat file.

    Damaged files of an evaluation stop it; started again, the point replaces them first.
    """
    base = folder / read_json(folder / "base.json")["evaluation"]
    try:
        metrics = build(cfg.evaluation).metrics(folder / "evaluation", base)
    except (ValueError, FileNotFoundError):
        (folder / "base.json").unlink()
        raise
    for part in ("refine", "gap", "train"):
        metrics |= {f"{part}/{key}": value for key, value in read_json(folder / f"{part}.json").items() if _flat(value)}
    write_json(folder / "metrics.json", metrics)


def _flat(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class Stage:
    """A stage and the file that it writes last. `heavy` stages hold a model: where there is a GPU, in a child."""

    run: Callable[[DictConfig, Path], None]
    marker: str
    heavy: bool = False

    @property
    def name(self) -> str:
        return self.run.__name__

    def done(self, folder: Path) -> bool:
        return (folder / self.marker).exists()


STAGES = (
    Stage(subset, "subset.json"),
    Stage(refine, "refine.json", heavy=True),
    Stage(gap, "gap.json", heavy=True),
    Stage(train, "train.json", heavy=True),
    Stage(evaluate, "base.json", heavy=True),
    Stage(record, "metrics.json"),
)
PREPARATION = (*STAGES[:3], Stage(untouched, "untouched.json", heavy=True))  # all that points share


def run_point(cfg: DictConfig, folder: Path, place: str = "", stages: Sequence[Stage] = STAGES) -> None:
    """Run what is not done yet of a point, in order; raises what a stage raises, after it is in status.json.

    `Stopped` where a signal asks for it: what the point has done is then kept, and running it again continues it. A
    finished point that the tracker has not seen to its end is mirrored only. `place` stands before the run's name
    where it is logged.
    """
    tracker = build(cfg.tracker)
    with stopping.stoppable(), explained(folder), locked(folder / "run"):  # another command may be at the same point
        remove_temporaries(folder)
        finished = stages[-1].done(folder)
        if finished and tracker.done(folder):
            log.info("%s%s: finished before, skipped", place, folder.name)
            return
        log.info("%s%s%s", place, folder.name, ": finished before, mirrored to the tracker" if finished else "")
        with tracker.follow(folder, OmegaConf.to_container(cfg, resolve=True)):
            if not finished:
                _run_stages(cfg, folder, stages)


def prepare_point(cfg: DictConfig, folder: Path) -> bool:
    """Do the stages whose results points share, if they are not done; False: there was nothing to do."""
    with stopping.stoppable(), explained(folder), locked(folder / "run"):
        remove_temporaries(folder)
        if STAGES[-1].done(folder) or all(stage.done(folder) for stage in PREPARATION):
            return False
        _run_stages(cfg, folder, PREPARATION, PREPARED)
        return True


def _run_stages(cfg: DictConfig, folder: Path, stages: Sequence[Stage], state: str = FINISHED) -> None:
    status = Status(folder)
    try:
        with explained(folder):
            write_text(folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
            for stage in stages:
                if stage.done(folder):
                    continue
                stopping.check()
                began = time.monotonic()
                status.begin(stage.name)
                try:
                    _run_stage(stage, cfg, folder)
                finally:
                    if stage.done(folder):  # also where a stop was asked for while it ended
                        status.end(stage.name, time.monotonic() - began)
                        log.info("%s: done in %.1f s", stage.name, time.monotonic() - began)
    except stopping.Stopped as stop:
        status.interrupt(stop.signal)
        raise
    except KeyboardInterrupt:
        status.interrupt(signal.SIGINT)
        raise
    except BaseException as error:
        status.fail(error)
        raise
    status.finish(state)


def _run_stage(stage: Stage, cfg: DictConfig, folder: Path) -> None:
    """Inline, in a child process, or in several that torchrun starts."""
    trainer = build(cfg.trainer) if stage.run is train else None
    patience = trainer.stop_patience if trainer else 0
    if trainer and trainer.launched and samples(folder):
        launch.run(trainer.nproc, trainer.global_batch, *_program(stage, folder), patience)
    elif stage.heavy and has_gpu():
        run_in_child(stage, folder, patience)
    else:
        _run_here(stage, cfg, folder)


def _run_here(stage: Stage, cfg: DictConfig, folder: Path) -> None:
    with reported_in(folder):
        stage.run(cfg, folder)


def run_in_child(stage: Stage, folder: Path, patience: float = 0) -> None:
    """Run a stage in a process of its own; its error arrives here as one RuntimeError with the child's traceback.

    Where a stop is asked for, it has `patience` seconds to save; ended by SIGTERM, it leaves no half-written file.
    """
    program, errors, what = _program(stage, folder)
    child.run([sys.executable, *program], child.clean(os.environ), errors, what, signal.SIGTERM, patience)


def _program(stage: Stage, folder: Path) -> tuple[list[str], Path, str]:
    """What a child runs, where it leaves an error, and what it is called there."""
    return ["-m", "dgr.stages", stage.name, str(folder)], folder / "errors", f"stage {stage.name}"


def main() -> None:
    """The child's side: run one stage of a run folder; of several processes the first one tells what it does."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    rank = int(os.environ.get("RANK", "0"))
    logging.basicConfig(level=logging.WARNING if rank else logging.INFO, format="%(message)s")
    stage = next(stage for stage in (*STAGES, *PREPARATION) if stage.name == name)
    run = stage.run if rank else partial(_run_here, stage)

    def work() -> None:
        with explained(folder):
            run(OmegaConf.load(folder / "config.yaml"), folder)

    child.work(folder / "errors", rank, work)


if __name__ == "__main__":
    main()
