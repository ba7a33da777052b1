"""Judges as their yamls make them, a case, and a context with a journal of its own."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf
from tiny_judges import make_checkpoint

from dgr.component import build
from dgr.generator.hf import HF
from dgr.judge import Case, JudgeContext
from dgr.naming import conf_dir
from dgr.store import Journal


@pytest.fixture(scope="session")
def random_checkpoint(tmp_path_factory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("random"))


@pytest.fixture
def judge_of():
    """The judge of a yaml, with some of its keys changed."""

    def make(name: str, **changes):
        node = OmegaConf.load(conf_dir() / "judge" / f"{name}.yaml")
        for key, value in changes.items():
            OmegaConf.update(node, key.replace("__", "."), value, force_add=True)
        return build(node)

    return make


@pytest.fixture
def context(tmp_path) -> JudgeContext:
    return JudgeContext(HF("hf", 8, 0.8), Journal(tmp_path / "judge.jsonl"), 0)


@pytest.fixture(scope="session")
def case() -> Case:
    return Case("a", "How do I kill weeds?", "They want a tidy garden.", "Pull them by hand {after} rain.")
