"""Linear probes: where can a logistic regression tell harmful requests from harmless ones, and is it only the words?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from dgr.probe.intervals import auroc, entry, resamples, rounded
from dgr.probe.requests import TESTS, TRAIN, ProbeItem
from dgr.probe.states import POSITIONS
from dgr.progress import progress

INSTALL = "python -m dgr.probe needs scikit-learn: pip install 'dgr[probe]'"


@dataclass(frozen=True)
class Linear:
    """Standardised inputs, an L2 penalty of `1 / c`; c has the best log loss over folds of the training topics.

    `shuffles` is how often the control's training labels are shuffled, topic by topic, for the same c.
    """

    positions: list[str]
    c: list[float]
    folds: int
    shuffles: int

    def problems(self) -> list[str]:
        found = [] if find_spec("sklearn") else [INSTALL]
        unknown = [name for name in self.positions if name not in POSITIONS]
        if unknown or not self.positions:
            found.append(f"linear.positions={self.positions}: choose from {', '.join(POSITIONS)}")
        if not self.c or min(self.c) <= 0:
            found.append(f"linear.c={self.c}: one number above 0 at least is needed")
        if self.folds < 2:
            found.append(f"linear.folds={self.folds}: at least 2 are needed")
        if self.shuffles < 1:
            found.append(f"linear.shuffles={self.shuffles}: at least 1 is needed")
        return found

    def measure(
        self, items: Sequence[ProbeItem], states: Mapping[str, np.ndarray], seed: int
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The numbers, and every item's score by probe. Rows of nan in `states` are items without that position."""
        layers = next(iter(states.values())).shape[1]
        found: list[dict[str, Any]] = []
        scores: dict[str, np.ndarray] = {}
        with progress("probes", len(self.positions) * layers + 1) as shown:
            words = self._fit(items, _counts(items), seed, scale=False)
            scores["words"] = words.pop("scores")
            shown.add(done=1)
            for position in self.positions:
                there = np.isfinite(states[position]).all((1, 2))
                kept = [item for item, has in zip(items, there, strict=True) if has]
                for layer in range(layers):
                    probe = self._fit(kept, states[position][there, layer], seed)
                    column = scores.setdefault(f"{position}/{layer}", np.full(len(items), np.nan))
                    column[there] = probe.pop("scores")
                    found.append({"position": position, "layer": layer, "left_out": int((~there).sum()), **probe})
                    shown.add(done=1)
        return {"probes": found, "words": words}, scores

    def _fit(self, items: Sequence[ProbeItem], inputs: np.ndarray, seed: int, scale: bool = True) -> dict[str, Any]:
        from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold

        harmful = np.array([item.harmful for item in items])
        train = np.array([item.split == TRAIN for item in items])
        topics = np.array([item.topic for item in items])
        folds = StratifiedGroupKFold(self.folds, shuffle=True, random_state=seed)
        search = GridSearchCV(_regression(1.0, scale), {"clf__C": self.c}, scoring="neg_log_loss", cv=folds)
        search.fit(inputs[train], harmful[train], groups=topics[train])
        chosen = search.best_params_["clf__C"]
        score = search.best_estimator_.decision_function(inputs)
        rng = np.random.default_rng(seed)
        shuffled = []
        for _ in range(self.shuffles):
            labels = shuffle(rng, topics[train], harmful[train])
            shuffled.append(_regression(chosen, scale).fit(inputs[train], labels).decision_function(inputs))
        tests = {split: _tests(items, harmful, topics, score, shuffled, split, seed) for split in TESTS}
        return {
            "c": chosen,
            "train": {"n": int(train.sum()), "topics": len(set(topics[train]))},
            "scores": score,
            **tests,
        }


def _regression(c: float, scale: bool):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    steps = [("scale", StandardScaler())] if scale else []
    return Pipeline([*steps, ("clf", LogisticRegression(C=c, class_weight="balanced", max_iter=5000))])


def _counts(items: Sequence[ProbeItem]) -> np.ndarray:
    """Which training words a request holds, in lower case; words that training lacks do not count."""
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(binary=True, token_pattern=r"\w+")
    counter.fit([item.prompt for item in items if item.split == TRAIN])
    return counter.transform([item.prompt for item in items]).toarray().astype(float)


def shuffle(rng: np.random.Generator, topics: np.ndarray, harmful: np.ndarray) -> np.ndarray:
    """The labels given to other topics; requests of one topic and label keep having one label."""
    pairs = list(zip(topics.tolist(), harmful.tolist(), strict=True))
    units = sorted(set(pairs))
    drawn = rng.permutation([label for _, label in units])
    given = dict(zip(units, drawn.tolist(), strict=True))
    return np.array([given[pair] for pair in pairs])


def _tests(
    items: Sequence[ProbeItem],
    harmful: np.ndarray,
    topics: np.ndarray,
    score: np.ndarray,
    shuffled: Sequence[np.ndarray],
    split: str,
    seed: int,
) -> dict[str, Any]:
    """Accuracy (at probability one half, both classes weighing the same) and AUROC, with those of the shuffled."""
    chosen = np.array([item.split == split for item in items])
    labels, n, count = harmful[chosen], int(chosen.sum()), len(set(topics[chosen]))
    weights, whole = resamples(list(topics[chosen]), seed, split), np.ones((1, n))
    found: dict[str, Any] = {}
    for name, measure in (("auroc", auroc), ("accuracy", _accuracy)):
        value = measure(labels, score[chosen], whole)[0]
        found[name] = entry(value, measure(labels, score[chosen], weights), n, count)
        found[name]["shuffled"] = [rounded(measure(labels, other[chosen], whole)[0]) for other in shuffled]
    return found


def _accuracy(harmful: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mean of the two classes' shares of right answers."""
    right = (scores > 0) == harmful
    with np.errstate(invalid="ignore", divide="ignore"):
        sides = [(weights * (right & side)).sum(1) / (weights * side).sum(1) for side in (harmful, ~harmful)]
    return (sides[0] + sides[1]) / 2
