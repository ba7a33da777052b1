"""Every yaml of every group composes and becomes its component, offline and without loading anything."""

import sys
from dataclasses import fields
from importlib.util import find_spec

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_class
from omegaconf import OmegaConf

from dgr.component import build
from dgr.naming import COMPONENTS, conf_dir, register_resolvers
from dgr.preflight import Preflight

register_resolvers()
FILES = sorted(f.relative_to(conf_dir()) for f in conf_dir().glob("*/*.yaml") if f.parent.name != "local")
CHOICES = [(file.parent.name, file.stem) for file in FILES if file.parent.name in (*COMPONENTS, "tracker")]


@pytest.fixture(scope="module", autouse=True)
def hydra():
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        yield


def test_the_groups_of_the_house_are_there():
    assert {group for group, _ in CHOICES} == {*COMPONENTS, "tracker"}


@pytest.mark.parametrize("file", FILES, ids=str)
def test_the_first_line_says_what_the_choice_is(file):
    lines = (conf_dir() / file).read_text().splitlines()
    first = lines[1] if lines[0] == "# @package _global_" else lines[0]
    assert first.startswith("# ")
    assert 20 < len(first) < 125


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_a_choice_composes_and_its_keys_are_the_constructor_s_arguments(group, name):
    cfg = compose("config", overrides=[f"{group}={name}"])
    node = cfg[group]
    if group == "data" and name == "jsonl":
        node.path = "rows.jsonl"
    component = build(node)
    assert component is not None
    settings = OmegaConf.to_container(node)
    assert set(settings) - {"_target_", "_convert_"} == {field.name for field in fields(get_class(node._target_))}
    if group in ("model", "data", "refine"):
        assert component.name == name, "the name in a run's folder is the name on the command line"


def speaks_natural_language(component):
    asked = [benchmark.items for benchmark in getattr(component, "benchmarks", {}).values()]
    return any(getattr(part, "language", None) == "natural" for part in (component, *asked))


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_a_choice_passes_preflight_with_partners_that_fit_it(group, name):
    overrides = [f"{group}={name}", "preflight.reachability=false"]
    if speaks_natural_language(build(compose("config", overrides=overrides)[group])):
        overrides += ["evaluation=none"] if group != "evaluation" else []
        overrides += ["data=direct_refusal"] if group != "data" else []
        overrides += ["model=qwen3_1_7b"] if group != "model" else []
    overrides += ["generator.api_key_env=null"] if name == "openai" else []
    cfg = compose("config", overrides=overrides)
    problems = Preflight().problems(cfg)
    if name == "vllm" and find_spec("vllm") is None:
        assert len(problems) == 1
        assert "pip install 'dgr[vllm]'" in problems[0]
    elif name == "jsonl":
        assert len(problems) == 1
        assert "data.path" in problems[0]
    else:
        assert problems == []


def test_building_any_choice_loads_no_heavy_package():
    # in a process of its own: the test session has loaded them long ago
    import subprocess

    code = (
        "import sys\n"
        "from hydra import compose, initialize_config_dir\n"
        "from dgr.component import build\n"
        "from dgr.naming import COMPONENTS, conf_dir, register_resolvers\n"
        "register_resolvers()\n"
        "with initialize_config_dir(str(conf_dir()), version_base='1.3'):\n"
        f"    for group, name in {CHOICES!r}:\n"
        "        build(compose('config', overrides=[f'{group}={name}'])[group])\n"
        "print([name for name in ('torch', 'transformers', 'datasets', 'wandb', 'peft') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
