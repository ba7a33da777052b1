"""The embedded micro model as target, and planted states of requests whose harm lies along one direction."""

import numpy as np
import pytest

from dgr.model import TargetModel
from dgr.probe.requests import CATEGORIES, TOPICS, TRAIN, ProbeItem

WIDTH, LAYERS = 12, 4
PLANTED_LAYER = 2


@pytest.fixture(scope="session")
def target():
    return TargetModel("micro", "embedded:base", "think_tags", language="micro", dtype="float64", cpu_threads=1)


@pytest.fixture(scope="session")
def planted_items():
    """Requests whose words say nothing of harm; two of each topic."""
    rng = np.random.default_rng(1)
    found = []
    for split, count in ((TRAIN, 80), (TOPICS, 40), (CATEGORIES, 40)):
        for number in range(count):
            prompt = " ".join(rng.choice(["a", "b", "c", "d", "e", "?"], size=rng.integers(4, 9)))
            harmful = number % 4 < 2
            category = f"c{number % 8}" if harmful else "benign"
            topic = f"{split}{number // 2}"
            kind = "harmful" if harmful else "benign"
            found.append(ProbeItem(f"{split}-{number}", prompt, harmful, kind, category, topic, split))
    return found


@pytest.fixture(scope="session")
def planted_direction():
    vector = np.random.default_rng(2).standard_normal(WIDTH)
    return vector / np.linalg.norm(vector)


@pytest.fixture(scope="session")
def planted_states(planted_items, planted_direction):
    """Noise everywhere; at PLANTED_LAYER harmful requests lie five deviations further along the direction."""
    rng = np.random.default_rng(3)
    states = rng.standard_normal((len(planted_items), LAYERS, WIDTH))
    harmful = np.array([item.harmful for item in planted_items])
    states[harmful, PLANTED_LAYER] += 5 * planted_direction
    return states.astype(np.float32)
