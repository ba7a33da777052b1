"""gap.json and gap.jsonl: whose numbers they are, and that they are joined by id."""

import math
from dataclasses import replace

import numpy as np
import pytest

from dgr.gap import BANDS, measure, sample_nll

GOOD = "that would hurt someone . </think> i will not answer this ."


@pytest.fixture
def refined(samples):
    """Every other sample is in other words; two are dropped, and the order is another one."""
    changed = [replace(s, reasoning="yes , that would hurt .", answer="no ! no .") for s in samples[::2]]
    return [*changed, *samples[3::2]][::-1]


def test_each_side_is_the_ratio_of_its_own_sums(samples, refined, target, store, script):
    found = measure(refined, samples, target, script([GOOD, "cut ..."]), 0, store).numbers
    ids = {sample.id for sample in refined}
    sides = {"": refined, "source/": [sample for sample in samples if sample.id in ids]}
    for side, texts in sides.items():
        scored = sample_nll(texts, target, store)
        rows = [scored[sample.content] for sample in texts]
        for scope, parts in (("", ("reasoning", "answer")), ("reasoning/", ("reasoning",)), ("answer/", ("answer",))):
            nats = np.array([sum(row[f"{part}_nll"] for part in parts) for row in rows])
            tokens = np.array([sum(row[f"{part}_tokens"] for part in parts) for row in rows])
            key = f"{side}{scope}"
            assert found[f"{key}nll_per_token"] == pytest.approx(nats.sum() / tokens.sum())
            assert found[f"{key}nll_per_token/n"] == len(texts) == 11
            assert found[f"{key}perplexity"] == pytest.approx(math.exp(nats.sum() / tokens.sum()))
            assert found[f"{key}tokens"] == pytest.approx(tokens.mean())
            assert found[f"{key}tokens/q50"] == pytest.approx(np.median(tokens))
            for band in BANDS:
                hits = sum(row[f"{part}_{band}"] for row in rows for part in parts)
                assert found[f"{key}rank/{band}"] == pytest.approx(hits / tokens.sum())
            assert sum(found[f"{key}rank/{band}"] for band in BANDS) == pytest.approx(1)


def test_the_floor_holds_usable_replies_only_and_the_others_are_counted(samples, target, store, script):
    texts = [GOOD, "cut ...", "without an end of thinking", GOOD]
    found = measure(samples, samples, target, script(texts), 0, store)
    n = found.numbers
    assert n["floor/nll_per_token/n"] == n["above_floor/nll_per_token/n"] == 6
    assert (n["floor/unfinished"], n["floor/malformed"]) == (0.25, 0.25)
    assert n["floor/unfinished/n"] == 12
    assert n["floor/unfinished/stderr"] == pytest.approx(math.sqrt(0.25 * 0.75 / 11))
    kept = [row for row in found.rows if row["floor/outcome"] == "kept"]
    assert all(("floor/answer/nll" in row) == (row in kept) for row in found.rows)
    own = sum(row[f"floor/{part}/nll"] for row in kept for part in ("reasoning", "answer"))
    tokens = sum(row[f"floor/{part}/tokens"] for row in kept for part in ("reasoning", "answer"))
    assert n["floor/nll_per_token"] == pytest.approx(own / tokens)
    mine = sum(row[f"{part}/nll"] for row in kept for part in ("reasoning", "answer"))
    mine /= sum(row[f"{part}/tokens"] for row in kept for part in ("reasoning", "answer"))
    assert n["above_floor/nll_per_token"] == pytest.approx(mine - own / tokens), "over the same prompts"


def test_text_that_is_the_model_s_own_is_not_above_the_floor(samples, target, store, script):
    reasoning, _, answer = GOOD.partition(" </think> ")
    own = [replace(sample, reasoning=reasoning, answer=answer) for sample in samples]
    found = measure(own, own, target, script([GOOD]), 0, store).numbers
    assert found["above_floor/nll_per_token"] == pytest.approx(0, abs=1e-12)
    assert found["above_floor/nll_per_token/stderr"] == pytest.approx(0, abs=1e-12)


def test_without_a_usable_reply_there_is_no_floor(samples, target, store, script):
    found = measure(samples, samples, target, script(["cut ..."]), 0, store).numbers
    assert found["floor/unfinished"] == 1
    assert not any(key.startswith("above_floor") or key.startswith("floor/nll") for key in found)


def test_vanilla_is_its_source(samples, target, store, script):
    found = measure(samples, samples, target, script([GOOD]), 0, store).numbers
    assert found["similarity/rouge_l"] == found["similarity/answer/rouge_l"] == 1
    assert found["similarity/nll_difference"] == found["similarity/nll_difference/stderr"] == 0
    assert found["source/nll_per_token"] == found["nll_per_token"]


def test_rows_are_joined_by_id_and_dropped_samples_leave_nothing(samples, refined, target, store, script):
    found = measure(refined, samples, target, script([GOOD]), 0, store)
    assert [row["id"] for row in found.rows] == [sample.id for sample in refined]
    source = {sample.id: sample for sample in samples}
    scored = sample_nll([*samples, *refined], target, store)
    for row, sample in zip(found.rows, refined, strict=True):
        assert row["source/answer/nll"] == pytest.approx(scored[source[row["id"]].content]["answer_nll"])
        assert row["answer/nll"] == pytest.approx(scored[sample.content]["answer_nll"])
        assert row["prompt/tokens"] == scored[sample.content]["prompt_tokens"]
        assert (row["similarity/rouge_l"] == 1) == (sample == source[row["id"]])
    assert found.numbers["similarity/rouge_l/n"] == len(refined)
    difference = found.numbers["nll_per_token"] - found.numbers["source/nll_per_token"]
    assert found.numbers["similarity/nll_difference"] == pytest.approx(difference)


def test_a_sample_without_a_source_row_is_measured_without_one(samples, target, store, script):
    found = measure(samples, samples[1:], target, script([GOOD]), 0, store)
    assert found.numbers["nll_per_token/n"] == 12
    assert found.numbers["source/nll_per_token/n"] == found.numbers["similarity/rouge_l/n"] == 11
    assert "source/answer/nll" not in found.rows[0]


def test_nothing_trained_on_is_nothing_measured(samples, target, store, script):
    generator = script([GOOD])
    found = measure([], samples, target, generator, 0, store)
    assert (found.numbers, found.rows, generator.asked) == ({}, [], [])


def test_every_rate_and_mean_has_its_n_and_error(samples, refined, target, store, script):
    found = measure(refined, samples, target, script([GOOD]), 0, store).numbers
    for key in found:
        if key.endswith(("nll_per_token", "tokens", "rouge_l", "nll_difference", *BANDS, "unfinished", "malformed")):
            assert found[f"{key}/n"] > 0
            assert found[f"{key}/stderr"] >= 0, key
