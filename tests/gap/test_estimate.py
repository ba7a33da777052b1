import math

import numpy as np
import pytest

from dgr.gap.estimate import lengths, mean, ratio

NATS = np.array([4.0, 9.0, 2.5, 30.0, 7.0, 12.0])
TOKENS = np.array([2, 5, 1, 12, 6, 5])


def jackknife(statistic, n):
    without = [statistic(np.delete(np.arange(n), i)) for i in range(n)]
    return math.sqrt((n - 1) * np.var(without))


def test_the_error_of_a_ratio_is_about_that_of_leaving_one_sample_out():
    found = ratio(NATS, TOKENS).named("x")
    assert found["x"] == pytest.approx(NATS.sum() / TOKENS.sum())
    assert found["x/n"] == len(NATS)
    expected = jackknife(lambda kept: NATS[kept].sum() / TOKENS[kept].sum(), len(NATS))
    assert found["x/stderr"] == pytest.approx(expected, rel=0.25)


def test_the_error_of_a_ratio_over_equal_lengths_and_of_a_mean_is_the_textbook_one():
    expected = NATS.std(ddof=1) / math.sqrt(len(NATS))
    assert mean(NATS).stderr == pytest.approx(expected)
    assert ratio(NATS, [4] * len(NATS)).stderr == pytest.approx(expected / 4)
    hits = [True, False, True, True]
    assert mean(hits).stderr == pytest.approx(math.sqrt(0.75 * 0.25 / 3))


def test_a_difference_is_paired():
    shifted = ratio(NATS + 0.5 * TOKENS, TOKENS) - ratio(NATS, TOKENS)
    assert shifted.value == pytest.approx(0.5)
    assert shifted.stderr == pytest.approx(0, abs=1e-12), "every sample moved alike: nothing is uncertain"
    other = NATS[::-1]
    difference = ratio(NATS, TOKENS) - ratio(other, TOKENS)
    expected = jackknife(lambda kept: (NATS[kept].sum() - other[kept].sum()) / TOKENS[kept].sum(), len(NATS))
    assert difference.stderr == pytest.approx(expected, rel=0.25)


def test_a_single_sample_has_no_error():
    assert math.isnan(ratio([3.0], [2]).stderr)
    assert math.isnan(lengths("tokens", [3])["tokens/sd"])


def test_lengths():
    found = lengths("tokens", list(range(1, 102)))
    assert found["tokens"] == 51
    assert found["tokens/n"] == 101
    assert found["tokens/sd"] == pytest.approx(np.arange(1, 102).std(ddof=1))
    assert {key: found[f"tokens/{key}"] for key in ("q05", "q25", "q50", "q75", "q95")} == {
        "q05": 6,
        "q25": 26,
        "q50": 51,
        "q75": 76,
        "q95": 96,
    }
