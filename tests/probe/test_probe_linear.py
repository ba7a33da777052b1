"""Probes find what is planted and nothing else."""

import numpy as np
import pytest

from dgr.probe.intervals import auroc, over_draws, resamples
from dgr.probe.linear import Linear, shuffle
from dgr.probe.requests import TESTS

PLANTED_LAYER = 2


@pytest.fixture(scope="module")
def measured(planted_items, planted_states):
    linear = Linear(["prompt_end"], [0.01, 1.0], 3, 10)
    return linear.measure(planted_items, {"prompt_end": planted_states}, 0)


def test_a_planted_direction_is_read_where_it_is_and_nowhere_else(measured):
    by_layer = {one["layer"]: one for one in measured[0]["probes"]}
    for split in TESTS:
        found = by_layer[PLANTED_LAYER][split]
        assert found["auroc"]["value"] > 0.98
        assert found["accuracy"]["value"] > 0.9
        assert found["auroc"]["low"] > 0.9
        assert (found["auroc"]["n"], found["auroc"]["topics"]) == (40, 20)
        for layer in (0, 1, 3):
            assert 0.25 < by_layer[layer][split]["auroc"]["value"] < 0.75


def test_shuffled_labels_and_words_without_meaning_give_chance(measured):
    one = next(one for one in measured[0]["probes"] if one["layer"] == PLANTED_LAYER)
    shuffled = np.array([one[split]["auroc"]["shuffled"] for split in TESTS])
    assert abs(shuffled.mean() - 0.5) < 0.2
    assert shuffled.max() < one[TESTS[0]]["auroc"]["value"]
    for split in TESTS:
        assert 0.25 < measured[0]["words"][split]["auroc"]["value"] < 0.75


def test_a_position_that_some_requests_lack_leaves_those_out(planted_items, planted_states):
    states = planted_states.copy()
    states[5] = np.nan
    found, scores = Linear(["prompt_end"], [0.1], 3, 1).measure(planted_items, {"prompt_end": states}, 0)
    assert all(one["left_out"] == 1 for one in found["probes"])
    assert found["probes"][0]["train"]["n"] == 79
    column = scores[f"prompt_end/{PLANTED_LAYER}"]
    assert np.isnan(column[5])
    assert np.isfinite(np.delete(column, 5)).all()


def test_shuffling_keeps_a_topic_s_requests_together_and_the_number_of_labels(planted_items):
    topics = np.array([item.topic for item in planted_items])
    harmful = np.array([item.harmful for item in planted_items])
    given = shuffle(np.random.default_rng(0), topics, harmful)
    assert given.sum() == harmful.sum()
    assert (given != harmful).any()
    assert all(len(set(given[topics == topic])) == 1 for topic in topics)


def test_the_area_under_the_curve_counts_ties_half_and_weighs_items():
    harmful, scores = np.array([True, True, False, False]), np.array([2.0, 1.0, 1.0, 0.0])
    weights = np.array([[1, 1, 1, 1], [1, 0, 0, 5], [0, 1, 1, 0], [0, 0, 1, 1]])
    assert auroc(harmful, scores, weights)[:3].tolist() == [0.875, 1.0, 0.5]
    assert np.isnan(auroc(harmful, scores, weights)[3]), "a resample without harmful requests has none"


def test_topics_are_drawn_as_a_whole():
    weights = resamples(["a", "a", "b", "c"], 0, "x")
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, [0, 2, 3]].sum(1) == 3).all()
    assert (weights == resamples(["a", "a", "b", "c"], 0, "x")).all()


def test_an_interval_over_draws_is_never_narrower_than_over_items():
    one = {"value": 0.0, "low": 0.0, "high": 0.05, "n": 80}
    assert over_draws([one, one, one])["high"] == 0.05
    spread = over_draws([{**one, "value": value} for value in (0.0, 0.5, 1.0)])
    assert (spread["low"], spread["high"], spread["value"]) == (0.0, 1.0, 0.5)
