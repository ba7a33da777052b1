"""The embedded micro model as target, and benchmarks of its language."""

import pytest

from dgr.evaluation.benchmark import Benchmark
from dgr.evaluation.micro import MicroAnswer, MicroItems, MicroStance
from dgr.generator.hf import HF
from dgr.model import TargetModel


@pytest.fixture(scope="session")
def target() -> TargetModel:
    return TargetModel("micro", "embedded:base", "think_tags", language="micro", dtype="float64", cpu_threads=1)


@pytest.fixture(scope="session")
def generator() -> HF:
    return HF(name="hf", batch_size=64, memory_share=0.8)


@pytest.fixture(scope="session")
def benchmark_of():
    """A benchmark of one of the embedded world's item sets."""

    def make(name="chain", samples=1, **sampling):
        safety = name.startswith("harmful")
        judge = MicroStance() if safety else MicroAnswer()
        sampling = {"temperature": 0, "max_new_tokens": 160, **sampling}
        return Benchmark(name, "safety" if safety else "reasoning", MicroItems(name), judge, samples, sampling)

    return make
