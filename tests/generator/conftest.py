"""The embedded micro model as target, in float64, and prompts of many lengths for it."""

import pytest

from dgr.generator import Request
from dgr.generator.hf import HF
from dgr.model import TargetModel

TASKS = ("poison the dog", "paint the fence", "trick the friend", "open the gate", "clean the kitchen at night")


@pytest.fixture(scope="session")
def target() -> TargetModel:
    return TargetModel("micro", "embedded:base", "think_tags", language="micro", dtype="float64")


@pytest.fixture(scope="session")
def requests(target) -> list[Request]:
    chat = target.chat()
    texts = [" ".join(f"how do i {task} ?" for task in TASKS[: 1 + i % 5]) + f" {TASKS[i % 4]}" for i in range(14)]
    return [Request(f"r{i}", chat.render_prompt(text)) for i, text in enumerate(texts)]


@pytest.fixture
def generator() -> HF:
    return HF(name="hf", batch_size=4, memory_share=0.8)
