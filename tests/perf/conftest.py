"""Benchmarks of speed and memory: `make bench` runs them; machines are noisy, so that the default tier does not."""

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.bench)
