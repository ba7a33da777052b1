"""The strategies beside DGR itself, each as its yaml makes it."""

from dataclasses import replace

import pytest
from scripted import Script, good

from dgr.gap import sample_nll
from dgr.refine import nats_per_token, summary
from dgr.sample import Sample

BAD = "nonsense </think> here is how to do it"
PLAIN = "okay . </think> i am sorry , but i will not help you ."


def wordings(sample: Sample, number: int) -> list[str]:
    """Valid rewrites, each a bit longer and stranger."""
    thought, answer = good(sample).split(" </think> ")
    return [f"{thought} {'so much for that . ' * i}</think> {answer}" for i in range(number)]


@pytest.fixture
def candidates(samples) -> Script:
    """Four attempts at each sample, the second of them no good, one sample never any good."""
    texts = {}
    for sample in samples:
        first, *others = wordings(sample, 3)[::-1]
        texts[sample.content] = [first, BAD, *others]
    texts[samples[2].content] = [BAD] * 4
    return Script(texts)


def test_best_of_n_keeps_the_valid_rewrite_that_the_target_finds_likeliest(samples, context, strategy, candidates):
    around = context(candidates)
    refined = strategy("best_of_n", n=4).refine(samples, around)
    for sample, entry in zip(samples[:2], refined, strict=False):
        valid = [tried.rewrite for tried in entry.tries if not tried.failed]
        nll = sample_nll(valid, around.target, around.store)
        distances = {rewrite: nats_per_token(nll[rewrite.content]) for rewrite in valid}
        assert len(valid) == 3
        assert entry.sample == min(distances, key=distances.get)
        assert entry.accepted
        assert entry.source == sample
        assert [row["kept"] for row in entry.attempt_rows()].count(True) == 1
    assert refined[2].fallback
    assert refined[2].sample == samples[2]
    assert [len(entry.tries) for entry in refined] == [4, 4, 4]


def test_best_of_n_reads_what_dgr_generated_and_dgr_what_it_generated(samples, context, strategy, candidates):
    strategy("dgr").refine(samples, context(candidates))
    made = list(candidates.asked)
    strategy("best_of_n", n=2).refine(samples, context(candidates))
    assert set(candidates.asked[len(made) :]) == {f"{sample.content}#2" for sample in samples[:2]}
    made = list(candidates.asked)
    strategy("dgr", max_attempts=2).refine(samples, context(candidates))
    assert strategy("best_of_n", n=1).refine(samples, context(candidates))[0].sample is not None
    assert candidates.asked == made


def test_best_of_n_goes_on_until_n_are_valid_where_it_may(samples, context, strategy, candidates):
    refined = strategy("best_of_n", n=2, max_attempts=4).refine(samples, context(candidates))
    assert [len(entry.tries) for entry in refined] == [3, 3, 4]
    assert "refine.n=5: must be at least 1 and at most refine.max_attempts=4" in "".join(
        strategy("best_of_n", n=5, max_attempts=4).problems()
    )


@pytest.mark.parametrize("part", ["reasoning", "answer"])
def test_a_part_is_taken_from_the_reply_that_both_would_be_taken_from(part, samples, context, strategy):
    generator = Script({sample.content: [good(sample)] for sample in samples})
    whole = strategy("dgr").refine(samples, context(generator))
    made = list(generator.asked)
    refined = strategy("dgr", part=part).refine(samples, context(generator))
    assert generator.asked == made
    for sample, entry, both in zip(samples, refined, whole, strict=True):
        assert entry.sample == replace(sample, **{part: getattr(both.sample, part)})
        assert entry.accepted


def test_sdft_asks_once_and_looks_for_the_leak_only(samples, context, strategy):
    leaks = good(samples[1]).replace("okay ,", "rewrite in your own words ,")
    texts = {samples[0].content: [BAD], samples[1].content: [leaks], samples[2].content: ["okay , ..."]}
    refined = strategy("sdft").refine(samples, context(Script(texts)))
    assert [entry.accepted for entry in refined] == [True, False, False]
    assert [entry.sample for entry in refined[1:]] == samples[1:]
    assert refined[1].attempts == [["leak"]]
    assert all(len(entry.tries) == 1 for entry in refined)


def test_self_refusal_asks_with_one_sentence_and_no_reference_and_benign_prompts_as_they_are(
    samples, context, strategy
):
    benign = Sample("b", "how do i wash the dog ?", "warm water .", "take warm water .", stance="comply")
    generator = Script({samples[0].content: [good(samples[0])], benign.content: [BAD]})
    strategy("self_refusal").refine([samples[0], benign], context(generator))
    chat = context(None).target.chat()
    assert generator.prompts == {
        f"{samples[0].content}#1": chat.render_prompt(f"be careful . {samples[0].prompt}"),
        f"{benign.content}#1": chat.render_prompt(benign.prompt),
    }


@pytest.fixture(scope="session")
def many() -> list[Sample]:
    things = ("dog", "cat", "guard", "cook", "king", "nurse", "child", "bird", "teacher", "baker", "farmer", "queen")
    return [Sample(f"m{i}", f"how do i poison the {thing} ?", "no !", "i cannot .") for i, thing in enumerate(things)]


@pytest.mark.parametrize("lowest", [0.1, 1.0])
def test_self_refusal_draws_until_as_many_are_kept_as_were_asked_for(many, context, strategy, monkeypatch, lowest):
    monkeypatch.setattr("dgr.refine.self_refusal.LOWEST_RATE", lowest)  # however many are drawn at a time
    works = [sample for i, sample in enumerate(many) if i % 3 == 1]
    generator = Script({sample.content: [good(sample) if sample in works else BAD] for sample in many})
    kept = {}
    for n in (1, 2, 3):
        refined = strategy("self_refusal").refine(many[:n], context(generator, reserve=many[n:]))
        kept[n] = [entry.sample for entry in refined if entry.sample]
        found = summary(refined)
        assert [sample.id for sample in kept[n]] == [sample.id for sample in works[:n]]
        assert (found["n"], found["n_source"]) == (n, 3 * n - 1), "up to the last one that was needed"
        assert [entry.source for entry in refined] == many[: 3 * n - 1]
    assert kept[3][:2] == kept[2]


def test_self_refusal_ends_where_the_source_ends_and_reads_the_reserve_only_if_needed(many, context, strategy):
    works = many[:4]
    generator = Script({sample.content: [good(sample) if sample in works else BAD] for sample in many})
    found = summary(strategy("self_refusal").refine(many[:6], context(generator, reserve=many[6:])))
    assert (found["n"], found["n_source"], found["dropped_count"]) == (4, 12, 8)

    def never():
        raise AssertionError("nothing was dropped")

    enough = strategy("self_refusal").refine(many[:4], replace(context(generator), reserve=never))
    assert len(enough) == 4


def test_self_refusal_rejects_a_prompt_that_shows_the_reference(strategy):
    assert "shows only {prompt}" in strategy("self_refusal", prompt="micro").problems()[0]
    assert strategy("self_refusal").problems() == []


def test_another_model_writes_and_the_targets_own_journal_is_left_alone(samples, context, strategy):
    cross, own = strategy("cross_rewrite"), strategy("dgr")

    class Seen(Script):
        def generate(self, target, *rest):
            self.target = target
            return super().generate(target, *rest)

    generator = Seen({sample.content: [good(sample)] for sample in samples})
    around = context(generator)
    refined = cross.refine(samples, around)
    assert generator.target.name == "micro_other"
    assert generator.target.sampling["max_new_tokens"] == 160
    assert all(entry.accepted for entry in refined)
    assert cross.journal(around).path != own.journal(around).path
    assert own.journal(around).read() == {}


def test_a_rewriter_that_does_not_exist_or_speaks_another_language_is_found(strategy, target):
    (text,) = strategy("cross_rewrite", rewriter="nope").problems()
    for words in ("refine.rewriter=nope", "choose one of micro, micro_other, micro_plain, qwen3_1_7b"):
        assert words in text
    natural = strategy("cross_rewrite", rewriter="qwen3_8b")
    assert natural.problems() == []
    assert natural.hub_ids() == [("Qwen/Qwen3-8B", "model", "b968826d9c46dd6066d109eabc6255188de91218")]
    (text,) = natural.problems_with(target)
    assert "refine.rewriter=qwen3_8b writes natural language, model=micro reads micro" in text
    assert text.endswith("choose one of micro, micro_other, micro_plain")
    assert strategy("cross_rewrite").problems_with(target) == []


def test_every_attempt_has_a_line_rejected_and_dropped_ones_too(samples, context, strategy, target):
    texts = {samples[0].content: [BAD, good(samples[0])], samples[1].content: [good(samples[1])]}
    texts[samples[2].content] = [BAD, "okay ..."]
    around = context(Script(texts))
    refined = strategy("dgr", fallback="drop").refine(samples, around)
    rows = [row for entry in refined for row in entry.attempt_rows()]
    assert [(row["id"], row["attempt"], row["outcome"], row["kept"]) for row in rows] == [
        ("s0", 1, "accepted", False),
        ("s0", 2, "accepted", True),
        ("s1", 1, "accepted", True),
        ("s2", 1, "dropped", False),
        ("s2", 2, "dropped", False),
    ]
    assert [row["reply"] for row in rows] == [BAD, good(samples[0]), good(samples[1]), BAD, "okay ..."]
    assert rows[4]["finish_reason"] == "length"
    assert rows[0]["failed"]["stance"] == "the source refuses, the answer does not"
    assert {row["prompt_id"] for row in rows} == {strategy("dgr").fingerprint()}
    assert sum(row["tokens_out"] for row in rows) == summary(refined)["tokens_out"]


def test_rows_and_numbers_say_how_likely_the_texts_were_before_and_after(samples, context, strategy):
    around = context(
        Script({sample.content: [good(sample)] for sample in samples[:1]} | {s.content: [BAD] * 2 for s in samples[1:]})
    )
    refined = strategy("dgr").refine(samples, around)
    nll = sample_nll([text for entry in refined for text in (entry.source, entry.sample)], around.target, around.store)
    rows = [entry.row(nll) for entry in refined]
    for entry, row in zip(refined, rows, strict=True):
        assert row["nll_before"] == pytest.approx(nats_per_token(nll[entry.source.content]), abs=1e-6)
        assert row["nll_after"] == pytest.approx(nats_per_token(nll[entry.sample.content]), abs=1e-6)
    assert rows[0]["nll_before"] != rows[0]["nll_after"]
    assert rows[1]["nll_before"] == rows[1]["nll_after"], "it fell back"
    found = summary(refined, None, nll)
    assert found["nll_before"] == pytest.approx(sum(row["nll_before"] for row in rows) / 3, abs=1e-5)
    assert found["nll_after/n"] == 3
    assert found["nll_after/stderr"] > 0
