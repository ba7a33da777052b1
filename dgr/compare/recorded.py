"""The command that makes a run's config again: the choice of every group, and each value that differs from it."""

import json
import re
from collections.abc import Mapping
from functools import cache
from shlex import quote
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from dgr.compare.runs import flat
from dgr.naming import choices, conf_dir, register_resolvers

GROUPS = ("model", "data", "refine", "generator", "trainer", "adapter", "evaluation", "tracker")
# where results are written and what was expected of them, not what they are
_ELSEWHERE = ("outputs", "run_id", "preflight.", "plan", "costs.")
_PLAIN = re.compile(r"[A-Za-z0-9_./+-]+")


def command(config: Mapping[str, Any]) -> str:
    """One line for a shell. A group's choice is the one whose yaml is nearest to what the config says."""
    chosen = {group: _choice(group, json.dumps(config[group], sort_keys=True)) for group in GROUPS if group in config}
    composed, derived = _composed(tuple(sorted(chosen.items())))
    recorded = dict(flat(dict(config)))
    defaults = _defaults()
    words = [f"{group}={name}" for group, name in chosen.items() if name != defaults.get(group)]
    for key, value in recorded.items():
        told = key.startswith(_ELSEWHERE) or any(f"{key}.".startswith(f"{other}.") for other in derived)
        if told or (key in composed and composed[key] == value):
            continue
        words.append(f"{'' if key in composed else '+'}{key}={_value(value)}")
    gone = [key for key in composed if key not in recorded and key not in derived and not key.startswith(_ELSEWHERE)]
    words += [f"~{key}" for key in gone]
    return " ".join(["python -m dgr.run", *map(quote, words)])


@cache
def _defaults() -> dict[str, str]:
    listed = OmegaConf.load(conf_dir() / "config.yaml").defaults
    return {key: value for entry in listed if not isinstance(entry, str) for key, value in entry.items()}


@cache
def _choice(group: str, node: str) -> str:
    """The group's choice with the node's own `name`, else the one that shares the most values with it."""
    found = json.loads(node)
    names = choices(group)
    if found.get("name") in names:
        return found["name"]
    recorded = dict(flat(found))

    def near(name: str) -> tuple[int, int, bool]:
        said = dict(flat(_yaml(group, name)))
        same = sum(recorded.get(key) == value for key, value in said.items())
        return recorded.get("_target_") == said.get("_target_"), same - len(said), name == _defaults().get(group)

    return max(names, key=near)


@cache
def _yaml(group: str, name: str) -> dict[str, Any]:
    return OmegaConf.to_container(OmegaConf.load(conf_dir() / group / f"{name}.yaml"), resolve=False)


@cache
def _composed(chosen: tuple[tuple[str, str], ...]) -> tuple[dict[str, Any], list[str]]:
    """By dotted key, what these choices alone make; and the keys that other keys decide (`${dgr.choice:...}`)."""
    register_resolvers()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        elsewhere = ["run_id=none", "outputs=none"]  # a run_id reads files that may be gone by now
        cfg = compose("config", overrides=[*(f"{group}={name}" for group, name in chosen), *elsewhere])
    raw = flat(OmegaConf.to_container(cfg, resolve=False))
    derived = [key for key, value in raw if isinstance(value, str) and value.startswith("${dgr.")]
    return dict(flat(OmegaConf.to_container(cfg, resolve=True))), derived


def _value(value: Any) -> str:
    """As Hydra's override grammar reads it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(_value, value))}]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_value(inner)}" for key, inner in value.items()) + "}"
    text = str(value)
    if not isinstance(value, str) or (_PLAIN.fullmatch(text) and not _looks_typed(text)):
        return text
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _looks_typed(text: str) -> bool:
    """Would Hydra read this text as a number, a truth value or null?"""
    if text.lower() in ("null", "true", "false", "nan", "inf", "-inf", "+inf"):
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True
