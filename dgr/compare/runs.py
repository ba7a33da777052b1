"""Run folders as far as they have come: read without loading a model, damaged ones named instead of raised."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from dgr.component import result_settings
from dgr.files import read_json
from dgr.naming import COMPONENTS
from dgr.status import FAILED, read_status

Metrics = Mapping[str, float]
Settings = Mapping[str, Any]
# A config.yaml is what OmegaConf has written, where every float carries a point: the C loader reads the same values,
# twelve times as fast.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, eq=False)
class Run:
    """A run folder; `metrics` is empty until it is finished. Numbers that are not finite (null in the file) are left
    out of `metrics`."""

    folder: Path
    status: Mapping[str, Any]
    metrics: Metrics
    config: Mapping[str, Any]

    @property
    def failed(self) -> bool:
        return self.status.get("state") == FAILED and not self.metrics

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def sweep(self) -> str:
        return self.folder.parent.name

    def named(self, group: str) -> str:
        """The `name` of what was chosen from a config group."""
        return str(self.config[group].get("name", "?"))

    @cached_property
    def settings(self) -> Settings:
        """By dotted key, without the seed and without what does not change a result."""
        groups = {name: result_settings(self.config[name], by_content=False) for name in (*COMPONENTS, "n_samples")}
        return dict(flat(groups))

    @property
    def n_samples(self) -> int:
        return int(self.config["n_samples"])

    @property
    def seed(self) -> int:
        return int(self.config["seed"])


def flat(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested dicts by dotted key; lists are leaves."""
    if not isinstance(node, dict):
        yield key, node
        return
    for name, value in node.items():
        yield from flat(value, f"{key}.{name}" if key else str(name))


def run_folders(sweep: Path) -> list[Path]:
    """Its run folders; ValueError where there are none."""
    if not sweep.is_dir():
        raise ValueError(f"{sweep}: there is no such folder; give outputs/<sweep>")
    found = sorted(status.parent for status in sweep.glob("*/status.json"))
    if not found:
        raise ValueError(f"{sweep}: no run folders there (none holds a status.json); give outputs/<sweep>")
    return found


def distinct(runs: Iterable[Run]) -> list[Run]:
    """Every run once: one that lies in several sweeps (the same name, so the same settings) counts where it is
    finished, else where it comes first."""
    found: dict[str, Run] = {}
    for run in runs:
        if run.name not in found or (run.metrics and not found[run.name].metrics):
            found[run.name] = run
    return list(found.values())


def read_run(folder: Path) -> Run:
    """A damaged metrics.json or config.yaml counts as a failed run that says so."""
    status = read_status(folder)
    try:
        metrics = _metrics(folder / "metrics.json")
        config = _config(folder / "config.yaml") if metrics else {}
    except ValueError as error:
        return Run(folder, {"state": FAILED, "error": str(error)}, {}, {})
    return Run(folder, status, metrics, config)


def _metrics(path: Path) -> Metrics:
    if not path.exists():
        return {}
    value = read_json(path)
    numbers = isinstance(value, dict) and all(
        item is None or (isinstance(item, int | float) and not isinstance(item, bool)) for item in value.values()
    )
    if not numbers or not value:
        raise ValueError(f"{path} does not hold numbers by name; delete it to compute it again")
    return {key: number for key, number in value.items() if number is not None}


def _config(path: Path) -> dict[str, Any]:
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path} cannot be read ({error}); run the point's command again") from error
    missing = [key for key in (*COMPONENTS, "n_samples", "seed") if not isinstance(value, dict) or key not in value]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}; run the point's command again")
    return value


def where(runs: Sequence[Run], conditions: Sequence[str]) -> list[Run]:
    """The finished runs of which every `key=value` is true; all others stay, as nothing is known of them.

    A key is dotted (`trainer.learning_rate`); a config group (`refine`) stands for the name of its choice.
    ValueError for a condition that is none, or a key that no finished run has.
    """
    wanted = [_condition(text) for text in conditions]
    finished = [run for run in runs if run.metrics]
    for key, _ in wanted:
        if finished and all(_value(run, key) is _ABSENT for run in finished):
            raise ValueError(f"--where {key}=...: no run has this key; use one of its config.yaml, such as refine.name")
    return [run for run in runs if not run.metrics or all(_same(_value(run, key), value) for key, value in wanted)]


_ABSENT = object()


def _condition(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError(f"--where {text}: give key=value, such as refine=dgr")
    try:
        return key, yaml.load(value, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"--where {text}: {value!r} cannot be read ({error})") from error


def _value(run: Run, key: str) -> Any:
    node: Any = run.config
    for name in key.split("."):
        if not isinstance(node, dict) or name not in node:
            return _ABSENT
        node = node[name]
    return node.get("name", _ABSENT) if isinstance(node, dict) else node


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(found, float) and isinstance(wanted, str):  # plain YAML reads 1e-4 as a text
        try:
            return found == float(wanted)
        except ValueError:
            return False
    return found == wanted
