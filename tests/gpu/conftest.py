"""Tests that need a CUDA device: `pytest -m gpu tests/gpu`."""

from pathlib import Path

import pytest
from trainings import launch, make_trainer, weights  # noqa: F401 - fixtures

from dgr.machine import has_gpu


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.gpu)
            item.add_marker(pytest.mark.skipif(not has_gpu(), reason="no CUDA device here"))
