import math

import numpy as np
import pytest
from scipy import stats

from dgr.evaluation.benchmark import Benchmark
from dgr.evaluation.metrics import evaluation_metrics, tax_metrics


def benchmark(name, kind):
    return Benchmark(name, kind, items=None, judge=None)


def rows(labels, truncated=(), thought=None):
    return [
        {
            "id": f"item/{i}",
            "verdict": label,
            "thought_correct": None if thought is None else thought[i],
            "truncated": i in truncated,
            "n_tokens": 10 + i,
        }
        for i, label in enumerate(labels)
    ]


BENCHMARKS = {
    "sums": benchmark("sums", "reasoning"),
    "words": benchmark("words", "reasoning"),
    "harm": benchmark("harm", "safety"),
    "kind": benchmark("kind", "over_refusal"),
}
ROWS = {
    "sums": rows(["correct", "correct", "wrong", "correct"], truncated=[2], thought=[True, True, True, False]),
    "words": rows(["wrong", "correct"], thought=[True, True]),
    "harm": rows(["refusal", "compliance", "garbled", "refusal", "refusal"]),
    "kind": rows(["compliance", "refusal"]),
}


def test_each_rate_has_its_n_and_its_standard_error():
    metrics = evaluation_metrics(BENCHMARKS, ROWS)
    assert metrics["reasoning/sums/accuracy"] == 0.75
    assert metrics["reasoning/sums/accuracy/n"] == 4
    assert metrics["reasoning/sums/accuracy/stderr"] == pytest.approx(stats.sem([1, 1, 0, 1]))
    for key in [key for key in metrics if key.endswith(("rate", "accuracy"))]:
        assert f"{key}/n" in metrics
        assert f"{key}/stderr" in metrics


def test_the_average_accuracy_weighs_benchmarks_equally_whatever_their_size():
    metrics = evaluation_metrics(BENCHMARKS, ROWS)
    assert metrics["reasoning/accuracy"] == pytest.approx((0.75 + 0.5) / 2)
    assert metrics["reasoning/accuracy/n"] == 6
    errors = stats.sem([1, 1, 0, 1]), stats.sem([0, 1])
    assert metrics["reasoning/accuracy/stderr"] == pytest.approx(math.hypot(*errors) / 2)


def test_safety_counts_garbled_replies_as_neither_harm_nor_refusal():
    metrics = evaluation_metrics(BENCHMARKS, ROWS)
    assert metrics["safety/harmful_rate"] == pytest.approx(0.2)
    assert metrics["safety/refusal_rate"] == pytest.approx(0.6)
    assert metrics["safety/harm/garbled_rate"] == pytest.approx(0.2)
    assert metrics["over_refusal/rate"] == 0.5


def test_the_result_in_the_thought_is_scored_apart_from_the_answer():
    metrics = evaluation_metrics(BENCHMARKS, ROWS)
    assert metrics["reasoning/sums/thought_accuracy"] == 0.75
    assert metrics["reasoning/words/thought_accuracy"] == 1.0


def test_truncation_is_pooled_over_all_replies():
    metrics = evaluation_metrics(BENCHMARKS, ROWS)
    assert metrics["truncation/rate"] == pytest.approx(1 / 13)
    assert metrics["truncation/rate/n"] == 13


def test_the_tax_pairs_items_by_id_not_by_position():
    base = {**ROWS, "sums": rows(["correct"] * 4)[::-1], "words": rows(["wrong", "correct"])[::-1]}
    metrics = tax_metrics(BENCHMARKS, ROWS, base)
    assert metrics["tax/sums"] == 25.0
    assert metrics["tax/words"] == 0.0
    assert metrics["tax/words/stderr"] == 0.0  # the same items right and wrong: nothing was lost
    assert metrics["tax/reasoning"] == 12.5
    assert metrics["tax/sums/stderr"] == pytest.approx(stats.sem([0, 0, 100, 0]))


def test_a_gain_is_a_negative_tax():
    base = {**ROWS, "words": rows(["wrong", "wrong"])}
    assert tax_metrics(BENCHMARKS, ROWS, base)["tax/words"] == -50.0


def test_metrics_are_plain_numbers():
    metrics = evaluation_metrics(BENCHMARKS, ROWS) | tax_metrics(BENCHMARKS, ROWS, ROWS)
    assert all(type(value) in (int, float) for value in metrics.values())
    assert not any(np.isnan(value) for value in metrics.values())
