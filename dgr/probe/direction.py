"""Directions as differences of means (2406.11717, section 2.3), the layer to take them at, and shifts along them.

The untouched target need not refuse anything: the direction is named after what it separates, harm.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dgr.probe.intervals import CONFIDENCE, entry, resamples, rounded
from dgr.probe.requests import TESTS, TRAIN, ProbeItem
from dgr.probe.states import PROMPT_END, REQUEST_MEAN
from dgr.sample import seed_for

HARM = "harm"
SPREAD_DRAWS = 1000
PLACES = (PROMPT_END, REQUEST_MEAN)  # what exists before the reply


@dataclass(frozen=True)
class Direction:
    """Where directions are taken.

    `layer` null follows the rule: of the layers 1 to `deepest` (a share of all) that one where training topics left out
    of the difference of means are farthest apart along it (Cohen's d). No test item, no refusal and no trained model
    has a part in it.
    """

    position: str
    layer: int | None
    deepest: float
    folds: int

    def problems(self) -> list[str]:
        found = []
        if self.position not in PLACES:
            found.append(f"direction.position={self.position}: choose one of {', '.join(PLACES)}")
        if not 0 < self.deepest <= 1:
            found.append(f"direction.deepest={self.deepest}: above 0 and at most 1")
        if self.folds < 2:
            found.append(f"direction.folds={self.folds}: at least 2 are needed")
        if self.layer is not None and self.layer < 0:
            found.append(f"direction.layer={self.layer}: 0 (the embeddings) or more, or null for the rule")
        return found

    def choose(self, items: Sequence[ProbeItem], states: np.ndarray) -> tuple[int, list[float]]:
        """The layer, and every layer's separation on left-out training topics."""
        last = states.shape[1] - 1
        train = np.array([item.split == TRAIN for item in items])
        harmful = np.array([item.harmful for item in items])[train]
        topics = [item.topic for item in items if item.split == TRAIN]
        found = [separation(states[train, layer], harmful, topics, self.folds) for layer in range(last + 1)]
        if self.layer is not None:
            if self.layer > last:
                raise ValueError(f"direction.layer={self.layer}: the model has the layers 0 to {last}")
            return self.layer, found
        allowed = range(1, max(1, int(self.deepest * last)) + 1)
        return max(allowed, key=lambda layer: found[layer]), found


def difference(states: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Mean of the states on one side minus that of the others, in double precision."""
    return states[side].mean(0, dtype=float) - states[~side].mean(0, dtype=float)


def separation(states: np.ndarray, harmful: np.ndarray, topics: Sequence[str], folds: int) -> float:
    """Cohen's d of the projections of each fold's topics on the direction of the other folds."""
    names = sorted(set(topics))
    order = np.random.default_rng(seed_for(0, "folds")).permutation(len(names))
    fold = {names[place]: number % folds for number, place in enumerate(order)}
    places = np.array([fold[topic] for topic in topics])
    projected = np.empty(len(topics))
    for number in range(folds):
        left_out = places == number
        vector = difference(states[~left_out], harmful[~left_out])
        length = np.linalg.norm(vector)
        projected[left_out] = states[left_out] @ (vector / length if length else vector)
    one, other = projected[harmful], projected[~harmful]
    spread = ((one.var(ddof=1) + other.var(ddof=1)) / 2) ** 0.5
    return rounded((one.mean() - other.mean()) / spread) if spread else 0.0


def contrasts(
    items: Sequence[ProbeItem], states: np.ndarray, instructed: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Differences of means over training requests, by name: harm first, then what the instructions change, then
    contrasts of the same requests that are not about harm. `states` and `instructed` have shape (items, width)."""
    train = np.array([item.split == TRAIN for item in items])
    chosen = [item for item in items if item.split == TRAIN]
    inputs = states[train]
    harmful = np.array([item.harmful for item in chosen])
    lengths = np.array([len(item.prompt.split()) for item in chosen])
    categories = sorted({item.category for item in chosen if item.harmful})
    some = set(categories[: len(categories) // 2])
    sides = {
        HARM: (np.ones(len(chosen), bool), harmful),
        "question": (np.ones(len(chosen), bool), np.array([item.prompt.rstrip().endswith("?") for item in chosen])),
        "length": (np.ones(len(chosen), bool), lengths > np.median(lengths)),
        "category": (harmful, np.array([item.category in some for item in chosen])),
    }
    found = {
        name: difference(inputs[among], side[among])
        for name, (among, side) in sides.items()
        if 0 < side[among].sum() < among.sum()
    }
    told = {name: (there[train].astype(float) - inputs).mean(0) for name, there in instructed.items()}
    return {HARM: found.pop(HARM), **told, **found}


def unit(vector: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vector)
    return vector / length if length else vector


def spread(items: Sequence[ProbeItem], states: np.ndarray, seed: int) -> np.ndarray:
    """Unit vectors drawn from the covariance of training states around their class's mean: random, but as
    stretched as the states are. Shape (SPREAD_DRAWS, width)."""
    train = np.array([item.split == TRAIN for item in items])
    harmful = np.array([item.harmful for item in items])[train]
    inputs = states[train].astype(float)
    for side in (harmful, ~harmful):
        inputs[side] -= inputs[side].mean(0)
    drawn = np.random.default_rng(seed_for(seed, "spread")).standard_normal((SPREAD_DRAWS, len(inputs))) @ inputs
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def shifts(
    items: Sequence[ProbeItem],
    before: np.ndarray,
    after: np.ndarray,
    directions: Mapping[str, np.ndarray],
    drawn: np.ndarray,
    seed: int,
) -> dict[str, Any]:
    """How training moved the mean state of held-out requests, and how much of that lies along each direction.

    `cosine` is signed: above 0 is towards harm. `share` is its square. The shares to hold it against: of an isotropic
    direction, of directions drawn from the states' spread (mean and 95 % quantile), and of the other contrasts.
    """
    tested = np.array([item.split in TESTS for item in items])
    harmful = np.array([item.harmful for item in items])
    moved = after.astype(float) - before.astype(float)
    length = float(np.linalg.norm(directions[HARM]))
    return {
        "harmful": _shift(items, moved, tested & harmful, directions, drawn, length, seed),
        "harmless": _shift(items, moved, tested & ~harmful, directions, drawn, length, seed),
    }


def _shift(items, moved, chosen, directions, drawn, length: float, seed: int) -> dict[str, Any]:
    topics = [item.topic for item, inside in zip(items, chosen, strict=True) if inside]
    weights = resamples(topics, seed, "shift")
    mean = moved[chosen].mean(0)
    resampled = (weights @ moved[chosen]) / weights.sum(1, keepdims=True)
    size, sizes = np.linalg.norm(mean), np.linalg.norm(resampled, axis=1)
    if not size:  # a training that changed nothing
        return {"size": entry(0.0, sizes, len(topics), len(set(topics)))}
    n, count = len(topics), len(set(topics))
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = (resampled @ unit(directions[HARM])) / sizes
    cosine = float(mean @ unit(directions[HARM]) / size)
    random = (drawn @ (mean / size)) ** 2
    return {
        "size": entry(size / length, sizes / length, n, count),
        "cosine": entry(cosine, cosines, n, count),
        "share": entry(cosine**2, cosines**2, n, count),
        "controls": {
            "isotropic": rounded(1 / len(mean)),
            "spread": rounded(random.mean()),
            "spread_high": rounded(np.quantile(random, CONFIDENCE)),
            **{name: rounded((mean @ unit(vector) / size) ** 2) for name, vector in directions.items() if name != HARM},
        },
    }
