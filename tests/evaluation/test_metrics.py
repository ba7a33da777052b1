import math

import numpy as np
import pytest
from scipy import stats

from dgr.evaluation.benchmark import Benchmark
from dgr.evaluation.metrics import evaluation_metrics, pass_at, tax_metrics


def benchmark(name, kind):
    return Benchmark(name, kind, items=None, judge=None, samples=1, sampling={})


def rows(labels, truncated=(), thought=None):
    return [
        {
            "id": f"item/{i}#1",
            "item": f"item/{i}",
            "sample": 1,
            "verdict": label,
            "thought_correct": None if thought is None else thought[i],
            "reasoning_verdict": None,
            "score": None,
            "truncated": i in truncated,
            "forced": False,
            "thinking_tokens": 5,
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


def sampled(labels_by_item):
    """Rows of items that are asked several times; the second item's thoughts are twice as long."""
    return [
        {**row, "id": f"item/{i}#{number}", "item": f"item/{i}", "sample": number, "thinking_tokens": 10 * (i + 1)}
        for i, labels in enumerate(labels_by_item)
        for number, row in enumerate(rows(labels, truncated=[0] if i == 0 else []), start=1)
    ]


SAMPLED = [["correct"] * 4, ["wrong"] * 4, ["correct", "wrong", "wrong", "wrong"]]


def test_samples_of_an_item_count_as_one_and_the_error_is_clustered():
    metrics = evaluation_metrics({"sums": BENCHMARKS["sums"]}, {"sums": sampled(SAMPLED)})
    assert metrics["reasoning/sums/accuracy"] == pytest.approx(5 / 12)
    assert metrics["reasoning/sums/accuracy/n"] == 3
    assert metrics["reasoning/sums/samples"] == 12
    assert metrics["reasoning/sums/accuracy/stderr"] == pytest.approx(stats.sem([1, 0, 0.25]))
    alone = stats.sem([1] * 4 + [0] * 4 + [1, 0, 0, 0])
    assert metrics["reasoning/sums/accuracy/stderr"] > 1.5 * alone, "twelve independent samples would claim too much"


def test_truncation_and_thinking_length_stand_beside_the_score():
    metrics = evaluation_metrics({"sums": BENCHMARKS["sums"]}, {"sums": sampled(SAMPLED)})
    assert metrics["reasoning/sums/truncation_rate"] == pytest.approx(1 / 12)
    assert metrics["reasoning/sums/truncation_rate/n"] == 3
    assert metrics["reasoning/sums/thinking_tokens"] == 20
    assert metrics["reasoning/sums/thinking_tokens/stderr"] == pytest.approx(stats.sem([10, 20, 30]))
    assert metrics["reasoning/sums/forced_rate"] == 0


def test_pass_at_k_is_the_unbiased_estimate():
    metrics = evaluation_metrics({"sums": BENCHMARKS["sums"]}, {"sums": sampled(SAMPLED)})
    assert metrics["reasoning/sums/pass@2"] == pytest.approx((1 + 0 + 1 / 2) / 3)  # one right of four: 3 of 6 pairs
    assert metrics["reasoning/sums/pass@4"] == pytest.approx(2 / 3)
    assert metrics["reasoning/sums/pass@2/n"] == 3
    assert "reasoning/sums/pass@1" not in metrics
    assert not any("pass@" in key for key in evaluation_metrics(BENCHMARKS, ROWS))


def test_pass_at_k_equals_what_drawing_k_samples_gives():
    rng, samples = np.random.default_rng(0), [1, 1, 1, 0, 0, 0, 0, 0]
    drawn = np.mean([any(rng.choice(samples, 3, replace=False)) for _ in range(20_000)])
    assert pass_at(3, samples) == pytest.approx(drawn, abs=0.01)
    assert pass_at(6, samples) == 1.0, "six of eight cannot all be the five wrong ones"


def test_the_tax_of_sampled_items_pairs_their_means():
    base = sampled([["correct"] * 4] * 3)[::-1]
    metrics = tax_metrics({"sums": BENCHMARKS["sums"]}, {"sums": sampled(SAMPLED)}, {"sums": base})
    assert metrics["tax/sums"] == pytest.approx(100 * (0 + 1 + 0.75) / 3)
    assert metrics["tax/sums/n"] == 3
    assert metrics["tax/sums/stderr"] == pytest.approx(stats.sem([0, 100, 75]))


def test_replies_that_a_judge_could_not_read_are_counted():
    labels = ["refusal", "unparsable", "compliance", "unparsable"]
    metrics = evaluation_metrics({"harm": BENCHMARKS["harm"]}, {"harm": rows(labels)})
    assert metrics["safety/harm/unparsable_rate"] == metrics["safety/unparsable_rate"] == 0.5
    assert metrics["safety/harm/harmful_rate"] == 0.25
