"""Tasks of lm-evaluation-harness, run by it on the same checkpoint: for comparison with published tables.

The harness works in a process of its own: `python -m dgr.evaluation.lm_eval FOLDER`.
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from dgr import child
from dgr.chat import think_format
from dgr.component import result_settings
from dgr.files import read_json, write_json, write_jsonl
from dgr.generator import Generator
from dgr.model import TargetModel
from dgr.sample import digest
from dgr.status import describe
from dgr.store import Store, locked

log = logging.getLogger(__name__)

INSTALL = "evaluation=lm_eval needs a package that is not installed: pip install 'dgr[lm_eval]'"
RESULTS, SETTINGS, ERROR = "lm_eval.json", "lm_eval.settings.json", "lm_eval.error.json"


@dataclass(frozen=True)
class LmEval:
    """`tasks` of the harness, its own or those of the yamls in the folder `include_path`.

    The harness reads and samples the model by itself; the generator has no part in it. `model_args` and `gen_kwargs`
    are the harness's. Its random seeds are its defaults, as in published tables, not the run's.
    """

    name: str
    tasks: list[str]
    language: str
    include_path: str | None
    num_fewshot: int | None
    apply_chat_template: bool
    gen_kwargs: dict[str, Any]
    model_args: dict[str, Any]
    limit: int | None
    batch_size: int

    speed_only: ClassVar[tuple[str, ...]] = ("batch_size",)
    in_fingerprint: ClassVar[tuple[str, ...]] = ("include_path",)

    def fingerprint(self) -> str:
        """The harness's version and the content of the task folder."""
        files = sorted(file for file in self.folder.rglob("*") if file.is_file()) if self.folder else []
        content = [(file.relative_to(self.folder), file.read_bytes().hex()) for file in files]
        return digest(version("lm_eval") if find_spec("lm_eval") else "", *content)

    @property
    def folder(self) -> Path | None:
        return Path(self.include_path).expanduser().resolve() if self.include_path else None

    def problems(self) -> list[str]:
        if not find_spec("lm_eval"):
            return [INSTALL]
        if self.folder and not self.folder.is_dir():
            return [f"evaluation.include_path={self.include_path}: no such folder; it should hold the tasks' yamls"]
        found = [] if self.tasks else ["evaluation.tasks=[]: name at least one task"]
        found += [
            f"evaluation.tasks: the harness has no task {task!r}; `lm-eval ls tasks` lists its own"
            for task in self.tasks
            if task not in task_index(self.folder, self.tasks)
        ]
        if self.limit is not None and self.limit < 2:
            found.append(f"evaluation.limit={self.limit}: at least 2 items a task are needed for an error bar")
        if self.batch_size < 1:
            found.append(f"evaluation.batch_size={self.batch_size}: must be at least 1")
        return found

    def problems_with(self, model: TargetModel, generator: Generator | None) -> Iterator[str]:
        if model.language != self.language:
            yield (
                f"evaluation={self.name} asks in {self.language} language, model={model.name} reads {model.language}; "
                "choose another evaluation (evaluation=none trains without one) or another model"
            )

    def hub_ids(self) -> list[tuple[str, str, str | None]]:
        """The datasets of the tasks; those of a task that is written in Python are not known."""
        if self.problems():
            return []
        index = task_index(self.folder, self.tasks)
        return [(name, "dataset", None) for name in dict.fromkeys(_datasets(self.tasks, index))]

    def evaluate(self, target: TargetModel, generator: Generator, seed: int, folder: Path) -> None:
        """Write the harness's results to `folder/lm_eval.json`, and each task's items to a file of its own."""
        if (folder / RESULTS).exists():
            return
        log.info("evaluate %s: %s", Path(target.adapter or target.path).name, ", ".join(self.tasks))
        write_json(folder / SETTINGS, self._arguments(target))
        command = [sys.executable, "-m", "dgr.evaluation.lm_eval", str(folder)]
        if status := child.call(command):
            raise _failure(folder, status)

    def _arguments(self, target: TargetModel) -> dict[str, Any]:
        """What the child is told: arguments of the harness's `simple_evaluate`."""
        attention = {} if target.attn_implementation == "auto" else {"attn_implementation": target.attn_implementation}
        model_args = {
            "pretrained": target.location,
            "revision": target.revision or "main",
            "dtype": target.dtype,
            "trust_remote_code": target.trust_remote_code,
            "use_safetensors": True,
            "peft": target.adapter,
            "think_end_token": think_format(target.think_format).closing,  # generated answers begin after it
            **attention,
            **self.model_args,
        }
        return {
            "tasks": self.tasks,
            "include_path": str(self.folder) if self.folder else None,
            "threads": target.cpu_threads,
            "num_fewshot": self.num_fewshot,
            "apply_chat_template": self.apply_chat_template,
            "gen_kwargs": self.gen_kwargs or None,
            "limit": self.limit,
            "batch_size": self.batch_size,
            "model_args": model_args,
        }

    def evaluate_once(self, target: TargetModel, generator: Generator, seed: int, store: Store, settings: dict) -> Path:
        """The untouched target's results: one folder in the store for all points that ask for the same."""
        key = digest(target.fingerprint(), result_settings(settings["evaluation"]))
        folder = store.root / "evaluation" / key
        with locked(folder):
            self.evaluate(target, generator, seed, folder)
        return folder

    def metrics(self, folder: Path, base: Path) -> dict[str, float]:
        untouched = folded(read_json(base / RESULTS))
        return folded(read_json(folder / RESULTS)) | {f"base/{key}": value for key, value in untouched.items()}


def task_index(folder: Path | None, tasks: Sequence[str]) -> dict[str, Any]:
    """The harness's entry of every task; its own 14,000, which take seconds to read, only where `folder` lacks one."""
    return _task_manager(folder, tasks).task_index


def _task_manager(folder: Path | None, tasks: Sequence[str]) -> Any:
    own = _manager(folder, False) if folder else None
    return own if own and set(tasks) <= set(own.task_index) else _manager(folder, True)


@cache
def _manager(folder: Path | None, everything: bool) -> Any:
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=folder, include_defaults=everything)


def _datasets(tasks: list[Any], index: dict[str, Any]) -> Iterator[str]:
    """Hub ids of the datasets of tasks and of the tasks in groups."""
    for task in tasks:
        entry = index.get(task) if isinstance(task, str) else None
        config = (entry.cfg if entry else task if isinstance(task, dict) else None) or {}
        dataset = config.get("dataset_path")
        if isinstance(dataset, str) and dataset.count("/") == 1 and not Path(dataset).exists():
            yield dataset
        if isinstance(config.get("task"), list):
            yield from _datasets(config["task"], index)


def folded(results: dict[str, Any]) -> dict[str, float]:
    """`lm_eval/<task>/<metric>` with /n and /stderr; a metric of a named filter has the filter's name behind it."""
    metrics: dict[str, float] = {}
    for task, values in results["results"].items():
        for key, value in values.items():
            metric, comma, chosen = key.partition(",")
            if not comma or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            name = f"lm_eval/{task}/{metric}" + ("" if chosen == "none" else f"/{chosen}")
            error = values.get(f"{metric}_stderr,{chosen}")
            counted = results["n-samples"].get(task, {}).get("effective", values.get("sample_len"))
            metrics[name] = value
            metrics |= {f"{name}/n": counted} if counted is not None else {}
            metrics |= {f"{name}/stderr": error} if isinstance(error, int | float) else {}
    return metrics


def _failure(folder: Path, status: int) -> RuntimeError:
    if not (folder / ERROR).exists():
        return RuntimeError(f"lm-evaluation-harness died with exit status {status}, see its last lines above")
    what = read_json(folder / ERROR)
    (folder / ERROR).unlink()
    error = RuntimeError(f"lm-evaluation-harness: {what['error']}")
    error.add_note(what["traceback"])
    return error


def _run(settings: dict[str, Any], folder: Path) -> None:
    """The child's side."""
    import torch
    from lm_eval import simple_evaluate

    logging.getLogger("lm_eval").setLevel(logging.WARNING)
    threads, include = settings.pop("threads"), settings.pop("include_path")
    if threads:
        torch.set_num_threads(threads)
    manager = _task_manager(Path(include) if include else None, settings["tasks"])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    results = simple_evaluate(model="hf", task_manager=manager, device=device, **settings)
    for task, rows in results["samples"].items():
        write_jsonl(folder / f"lm_eval.{task.replace('/', '_')}.jsonl", (_row(task, row) for row in rows))
    kept = ("results", "groups", "n-samples", "n-shot", "versions", "higher_is_better")
    write_json(folder / RESULTS, {key: results[key] for key in kept if key in results})


def _row(task: str, sample: dict[str, Any]) -> dict[str, Any]:
    """One item: what was asked, what came back, and the metrics of it."""
    metrics = {name: sample[name] for name in sample.get("metrics", ())}
    asked, replies = sample["arguments"], sample["resps"]
    identity = f"{task}/{sample['doc_id']}@{sample.get('filter', 'none')}"
    return {"id": identity, "prompt": str(asked), "reply": str(replies), "gold": str(sample["target"]), **metrics}


def main() -> None:
    folder = Path(sys.argv[1])
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        _run(read_json(folder / SETTINGS), folder)
    except Exception as error:
        write_json(folder / ERROR, describe(error))
        raise


if __name__ == "__main__":
    main()
