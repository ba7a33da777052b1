"""The yamls of conf/model: every choice can be instantiated, and says what the rest of the program asks of it."""

import re
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from dgr.chat import think_format
from dgr.generator import Sampling

FILES = sorted((Path(__file__).parents[1] / "conf" / "model").glob("*.yaml"))
SFT = {"learning_rate", "epochs", "max_steps", "global_batch", "max_length"}


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def file(request):
    return request.param


def test_a_target_is_complete(file):
    text = file.read_text(encoding="utf-8")
    target = instantiate(OmegaConf.load(file))
    assert text.startswith("# ")
    assert target.name == file.stem
    assert think_format(target.think_format)
    assert target.language == ("micro" if file.stem.startswith("micro") else "natural")
    assert Sampling(**target.sampling).max_new_tokens > 0
    assert set(target.sft) == SFT
    assert (target.sft["epochs"] is None) != (target.sft["max_steps"] is None)
    assert not target.trust_remote_code


def test_a_revision_is_a_commit_or_says_that_it_is_not_pinned(file):
    revision = OmegaConf.load(file).revision
    if revision is not None and not re.fullmatch("[0-9a-f]{40}", revision):
        assert revision == "main"
        assert re.search(r"revision: main +# pin it", file.read_text(encoding="utf-8"))
