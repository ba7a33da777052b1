"""The embedded micro model as target, a store, and samples to rewrite."""

import pytest

from dgr.model import TargetModel
from dgr.refine import RefineContext
from dgr.sample import Sample
from dgr.store import Store


@pytest.fixture(scope="session")
def target() -> TargetModel:
    return TargetModel("micro", "embedded:base", "think_tags", language="micro", dtype="float64")


@pytest.fixture
def context(target, tmp_path):
    """Make a context around a script; all contexts of a test share the store."""

    def make(script, seed=0):
        return RefineContext(target, script, seed, Store(tmp_path / "store"))

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
