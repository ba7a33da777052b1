"""Everything that can be known to be wrong before the first point starts, for all points, all at once."""

import logging
import os
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, make_dataclass
from functools import cache
from typing import Any, get_type_hints

from hydra.errors import HydraException
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

from dgr.component import build
from dgr.judge import same_judge
from dgr.naming import COMPONENTS, choices, run_id
from dgr.sample import COMPLY

log = logging.getLogger(__name__)

PRIMITIVE = (int, float, str, bool, int | None, float | None, str | None)


class Mistakes(Exception):
    """What is wrong with a command; `found` maps each message to the number of points that it concerns."""

    def __init__(self, found: dict[str, int], points: int) -> None:
        self.found, self.points = found, points
        lines = [
            f"  - {message}" + (f"  [{count} of {points} points]" if count < points else "")
            for message, count in found.items()
        ]
        super().__init__("\n".join([f"dgr: {len(found)} mistake(s), nothing was started:", *lines]))


@contextmanager
def ending_on_mistakes() -> Iterator[None]:
    """Mistakes are printed and end the command with status 2; HYDRA_FULL_ERROR=1 shows the traceback."""
    try:
        yield
    except Mistakes as mistakes:
        if os.environ.get("HYDRA_FULL_ERROR"):
            raise
        print(mistakes, file=sys.stderr)
        sys.exit(2)


class Preflight:
    """Checks configs of points; a component that many points share is looked at once."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Any, list[str]]] = {}
        self._stances: dict[str, list[str] | str | None] = {}
        self.hub_ids: set[tuple[str, str, str | None]] = set()
        self._warned: set[str] = set()

    def problems(self, cfg: DictConfig) -> list[str]:
        """Every finding about one point."""
        found = list(_top_level(cfg))
        parts = {}
        for name in (*COMPONENTS, "tracker"):
            parts[name], messages = self.component(name, cfg[name])
            found += messages
        found += self._together(cfg, parts)
        if not found:
            found += self._named(cfg)
        return found

    def component(self, name: str, node: DictConfig) -> tuple[Any, list[str]]:
        """The instantiated component (None where it cannot be) and what is wrong with it alone."""
        try:
            key = f"{name}:{OmegaConf.to_container(node, resolve=True)}"
        except OmegaConfBaseException as error:
            return None, [f"{name}: {_first_line(error)}"]
        if key not in self._seen:
            self._seen[key] = self._inspect(name, node)
        return self._seen[key]

    def _inspect(self, name: str, node: DictConfig) -> tuple[Any, list[str]]:
        missing = [
            f"{name}.{key.removeprefix(f'{name}.')}: a value is required (???)"
            for key in sorted(OmegaConf.missing_keys(node))
        ]
        messages = missing or list(_type_problems(name, node))
        if messages:
            return None, messages
        try:
            part = build(node)
        except (HydraException, OmegaConfBaseException, ValueError, TypeError) as error:
            return None, [f"{name}: {_first_line(error.__cause__ or error)}"]
        if hasattr(part, "hub_ids"):
            self.hub_ids.update(part.hub_ids())
        alone = hasattr(part, "problems") and name not in ("trainer", "adapter")  # those two need n and the model
        return part, part.problems() if alone else []

    def _together(self, cfg: DictConfig, parts: dict[str, Any]) -> Iterator[str]:
        """Combinations that cannot work."""
        model, data, suite = parts["model"], parts["data"], parts["evaluation"]
        if model and data and model.language != data.language:
            yield (
                f"model={model.name} reads {model.language} language, data={data.name} is {data.language} language; "
                f"choose a {model.language} dataset ({', '.join(choices('data', model.language))}) or another model"
            )
        if suite:
            self._warn_of_one_judge(getattr(parts["refine"], "judge", None), suite)
        if model and suite:
            yield from suite.problems_with(model, parts["generator"])
        if model and hasattr(parts["refine"], "problems_with"):
            yield from parts["refine"].problems_with(model)
        if model and parts["adapter"] and not model.problems():
            yield from parts["adapter"].problems(model, hub=cfg.preflight.reachability and _all_reached(model))
            if parts["trainer"]:
                yield from parts["trainer"].problems_with(model, parts["adapter"])
        if isinstance(cfg.n_samples, int):
            yield from parts["trainer"].problems(cfg.n_samples) if parts["trainer"] else ()
            yield from self._data_problems(cfg, data, parts["trainer"]) if data else ()

    def _warn_of_one_judge(self, filtering: Any, suite: Any) -> None:
        """What a judge has filtered looks better to that judge than to any other."""
        scored = getattr(suite, "benchmarks", {})  # the harness judges by itself
        names = [name for name, benchmark in scored.items() if same_judge(filtering, benchmark.judge)]
        warning = (
            f"refine.judge={getattr(filtering, 'name', '')} filters the rewrites and scores {', '.join(names)}: its "
            "blind spots pass twice; filter with one judge and score with another"
        )
        if names and warning not in self._warned:
            self._warned.add(warning)
            log.warning(warning)

    def _data_problems(self, cfg: DictConfig, data: Any, trainer: Any) -> Iterator[str]:
        key = str(OmegaConf.to_container(cfg.data, resolve=True))
        if key not in self._stances:
            self._stances[key] = self._load(data, ask_hub=cfg.preflight.reachability)
        stances = self._stances[key]
        if isinstance(stances, str):
            yield stances
            return
        if stances is not None and cfg.n_samples > len(stances):
            size = len(stances)
            yield f"n_samples={cfg.n_samples}: data={data.name} has {size} samples; choose at most {size}"
        if trainer and trainer.kl_to_base and stances and COMPLY not in stances:
            yield (
                f"trainer.kl_to_base={trainer.kl_to_base}: it works on benign samples, and data={data.name} has none; "
                "choose trainer.kl_to_base=0 or a dataset with samples that comply"
            )

    def _load(self, data: Any, ask_hub: bool) -> list[str] | str | None:
        """What each sample does, or what is wrong with the rows; None where that cannot be known yet."""
        if data.problems() or (data.hub_ids() and not (ask_hub and _all_reached(data))):
            return None
        try:
            return [sample.stance for sample in data.load()]
        except ValueError as error:
            return str(error)

    def _named(self, cfg: DictConfig) -> list[str]:
        try:
            run_id(cfg)
        except (ValueError, OSError) as error:
            return [str(error)]
        return []

    def unreachable(self) -> list[str]:
        """Models and datasets that are neither in the local cache nor on a hub that answers."""
        with ThreadPoolExecutor(max_workers=8) as pool:
            return [message for message in pool.map(_reach, sorted(self.hub_ids, key=str)) if message]


@cache
def _reach(hub_id: tuple[str, str, str | None]) -> str | None:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import GatedRepoError, HTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    repo, kind, revision = hub_id
    where = f"{kind} {repo}" + (f" at revision {revision}" if revision else "")
    try:
        snapshot_download(repo, repo_type=kind, revision=revision, local_files_only=True)
        return None
    except (LocalEntryNotFoundError, OSError):
        pass  # not in the cache: ask the hub
    try:
        HfApi().repo_info(repo, repo_type=kind, revision=revision, timeout=10)
        HfApi().auth_check(repo, repo_type=kind)  # a gated repository's page can be read by anybody, its files cannot
        return None
    except GatedRepoError:
        return f"{where} is gated: ask for access on its page, then set HF_TOKEN in the environment"
    except RepositoryNotFoundError:
        return f"{where} does not exist on the hub, or is private: check the name, or set HF_TOKEN"
    except (HTTPError, OSError) as error:
        return (
            f"{where} cannot be reached ({type(error).__name__}): check the network, or use a local copy (the "
            f"{kind}'s path=...), or preflight.reachability=false"
        )


def _all_reached(part: Any) -> bool:
    return not any(map(_reach, part.hub_ids()))


def _top_level(cfg: DictConfig) -> Iterator[str]:
    for key in ("n_samples", "seed"):
        value = cfg[key]
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            yield f"{key}={value}: a whole number of 0 or more is expected"
    if not isinstance(cfg.plan, bool):
        yield f"plan={cfg.plan}: true or false is expected; assumptions are changed by their keys, costs.parallel=4"
    if not re.fullmatch(r"[\w.+-]+", str(cfg.sweep)) or str(cfg.sweep) in (".", "..", "store"):
        yield f"sweep={cfg.sweep}: a plain folder name is expected (letters, digits, . _ + -; not 'store')"


def _type_problems(path: str, node: Any) -> Iterator[str]:
    """Values that do not have the type of the constructor's argument, in this component and in those inside it."""
    if OmegaConf.is_list(node):
        for position, inner in enumerate(node):
            yield from _type_problems(f"{path}.{position}", inner)
    if not OmegaConf.is_dict(node):
        return
    for key in node:
        yield from _type_problems(f"{path}.{key}", node[key])
    if "_target_" not in node or not is_dataclass(get_class(node._target_)):
        return
    for key, schema in _schemas(get_class(node._target_)).items():
        if key in node:
            try:
                OmegaConf.merge(schema, {key: node[key]})
            except ValidationError as error:
                yield f"{path}.{key}={node[key]}: {_first_line(error)}"


def _schemas(component: type) -> dict[str, DictConfig]:
    """A one-field schema for each plainly typed constructor argument."""
    hints = get_type_hints(component)
    plain = {field.name: hints[field.name] for field in fields(component) if hints[field.name] in PRIMITIVE}
    return {name: OmegaConf.structured(make_dataclass("Schema", [(name, hint)])) for name, hint in plain.items()}


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]
