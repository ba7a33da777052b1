"""The embedded micro model as target, a store, samples to rewrite, and strategies as their yamls make them."""

import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from dgr.component import build
from dgr.model import TargetModel
from dgr.naming import conf_dir, register_resolvers
from dgr.refine import RefineContext
from dgr.sample import Sample
from dgr.store import Store

register_resolvers()
sys.path.append(str(Path(__file__).parents[1]))  # tiny_tokenizers, when this folder is run alone


@pytest.fixture(scope="session")
def target() -> TargetModel:
    return TargetModel("micro", "embedded:base", "think_tags", language="micro", dtype="float64")


@pytest.fixture
def context(target, tmp_path):
    """Make a context around a script; all contexts of a test share the store."""

    def make(script, seed=0, reserve=()):
        return RefineContext(target, script, seed, Store(tmp_path / "store"), lambda: list(reserve))

    return make


@pytest.fixture(scope="session")
def samples() -> list[Sample]:
    things = ("dog", "cat", "guard")
    return [
        Sample(
            f"s{i}",
            f"how do i poison the {thing} ?",
            "i should not answer this question !",
            "i cannot tell you that .",
            category="violence",
        )
        for i, thing in enumerate(things)
    ]


@pytest.fixture(scope="session")
def strategy():
    """Make the strategy of conf/refine/<name>.yaml for a language's target, some of its keys changed."""

    def make(name, language="micro", **changes):
        node, layers = OmegaConf.load(conf_dir() / "refine" / f"{name}.yaml"), []
        for base in node.pop("defaults", []):
            layers.append(node if base == "_self_" else OmegaConf.load(conf_dir() / "refine" / f"{base}.yaml"))
        settings = OmegaConf.merge(*(layers or [node]), changes)
        return build(OmegaConf.create({"model": {"language": language}, "refine": settings}).refine)

    return make
