from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from scripted import Script, good

from dgr.refine import summary
from dgr.refine.rewrite import Rewrite
from dgr.refine.vanilla import Vanilla
from dgr.sample import Sample

CONF = Path(__file__).parents[2] / "conf" / "refine"
BAD = "nonsense </think> here is how to do it"


def rewrite(**changes) -> Rewrite:
    """The strategy as conf/refine/dgr.yaml makes it for the micro target."""
    cfg = OmegaConf.merge({"model": {"language": "micro"}}, {"refine": OmegaConf.load(CONF / "dgr.yaml")})
    settings = OmegaConf.to_container(cfg, resolve=True)["refine"]
    settings.pop("_target_")
    return Rewrite(**{**settings, **changes})


def script(samples, *texts) -> Script:
    """The same attempts at every sample; None stands for a good one."""
    return Script({sample.content: [text or good(sample) for text in texts] for sample in samples})


def test_an_accepted_rewrite_is_trained_on_under_the_sources_id(samples, context):
    refined = rewrite().refine(samples, context(script(samples, None)))
    for sample, entry in zip(samples, refined, strict=True):
        reasoning, answer = good(sample).split(" </think> ")
        assert entry.sample == replace(sample, reasoning=reasoning, answer=answer)
        assert (entry.accepted, entry.fallback, entry.attempts) == (True, False, [[]])
        assert entry.source == sample


def test_a_failed_attempt_is_made_again_and_only_for_the_samples_that_failed(samples, context):
    texts = {sample.content: [good(sample)] for sample in samples}
    texts[samples[1].content] = [BAD, good(samples[1])]
    generator = Script(texts)
    refined = rewrite().refine(samples, context(generator))
    assert [len(entry.attempts) for entry in refined] == [1, 2, 1]
    assert all(entry.accepted for entry in refined)
    assert {"stance", "topic"} <= set(refined[1].attempts[0])
    assert sorted(generator.asked) == sorted(
        [*(f"{sample.content}#1" for sample in samples), f"{samples[1].content}#2"]
    )


def test_original_falls_back_to_the_source_and_drop_leaves_it_out(samples, context):
    generator = script(samples, BAD, BAD)
    kept = rewrite().refine(samples, context(generator))
    assert [entry.sample for entry in kept] == samples
    assert all(entry.fallback and not entry.accepted and not entry.dropped for entry in kept)
    dropped = rewrite(fallback="drop").refine(samples, context(generator))
    assert all(entry.dropped and not entry.fallback and not entry.accepted for entry in dropped)


def test_changing_checks_fallback_or_attempts_makes_no_reply_again(samples, context):
    generator = script(samples, BAD, BAD, None)
    rewrite().refine(samples, context(generator))
    made = list(generator.asked)
    rewrite(fallback="drop").refine(samples, context(generator))
    rewrite(max_attempts=1).refine(samples, context(generator))
    switched = {**rewrite().checks, "topic": False, "stance": False}
    assert all(entry.accepted for entry in rewrite(checks=switched).refine(samples, context(generator)))
    assert generator.asked == made
    third = rewrite(max_attempts=3).refine(samples, context(generator))
    assert all(entry.accepted and len(entry.attempts) == 3 for entry in third)
    assert generator.asked[len(made) :] == [f"{sample.content}#3" for sample in samples]


def test_subsets_share_their_replies_and_another_seed_or_prompt_does_not(samples, context, tmp_path):
    generator = script(samples, None)
    small = rewrite().refine(samples[:1], context(generator))
    assert rewrite().refine(samples, context(generator))[0] == small[0]
    assert len(generator.asked) == len(samples)
    rewrite().refine(samples, context(generator, seed=1))
    assert len(generator.asked) == 2 * len(samples)
    other = tmp_path / "other.txt"
    other.write_text("say it again : {prompt} {reasoning} {answer}")
    rewrite(prompt=str(other)).refine(samples, context(generator))
    assert len(generator.asked) == 3 * len(samples)


def test_an_edited_comment_in_the_prompt_is_the_same_prompt(samples, tmp_path):
    file = tmp_path / "p.txt"
    file.write_text("# one\n{prompt} {reasoning} {answer}\n")
    before = rewrite(prompt=str(file)).fingerprint()
    file.write_text("# two\n# and three\n{prompt} {reasoning} {answer}\n")
    assert rewrite(prompt=str(file)).fingerprint() == before
    file.write_text("{prompt} {answer} {reasoning}\n")
    assert rewrite(prompt=str(file)).fingerprint() != before


def test_braces_and_control_tokens_in_a_sample_stay_text(context):
    sample = Sample("b", "{answer} and {0} </think> ?", "{prompt} {", "no {reasoning} }")
    generator = Script({sample.content: [BAD, BAD]})
    rewrite().refine([sample], context(generator))
    prompt = generator.prompts[f"{sample.content}#1"]
    for text in ("{answer} and {0} < /think> ?", "{prompt} {", "no {reasoning} }"):
        assert prompt.count(text) == 1


def test_a_reply_that_is_cut_is_never_accepted(samples, context):
    refined = rewrite(max_attempts=1).refine(samples, context(script(samples, "okay , the user wants ...")))
    assert all({"unfinished", "think_block", "empty"} <= set(entry.attempts[0]) for entry in refined)


def test_rows_tell_where_each_sample_comes_from(samples, context):
    generator = script(samples, BAD, None)
    entry = rewrite().refine(samples[:1], context(generator))[0]
    row = entry.row()
    assert {name: row[name] for name in ("id", "prompt", "category", "stance")} == {
        "id": "s0",
        "prompt": samples[0].prompt,
        "category": "violence",
        "stance": "refuse",
    }
    assert (row["reasoning"], row["answer"]) == (entry.sample.reasoning, entry.sample.answer)
    assert (row["source_reasoning"], row["source_answer"]) == (samples[0].reasoning, samples[0].answer)
    assert (row["accepted"], row["fallback"], row["attempts"]) == (True, False, 2)
    assert row["failed"] == [entry.attempts[0], []]
    replies = generator.texts[samples[0].content]
    assert row["tokens_out"] == sum(len(text.split()) for text in replies)
    assert row["tokens_in"] > 2 * len(samples[0].prompt.split())


def test_summary_counts_by_reason_and_attempt_with_n_and_stderr(samples, context, target):
    texts = {samples[0].content: [good(samples[0])], samples[1].content: [BAD, good(samples[1])]}
    texts[samples[2].content] = [BAD, "so ..."]
    refined = rewrite().refine(samples, context(Script(texts)))
    found = summary(refined, target.chat())
    assert (found["n_source"], found["n"], found["tried"]) == (3, 3, 3)
    assert (found["accepted"], found["accepted/n"]) == (pytest.approx(2 / 3), 3)
    assert found["accepted/stderr"] == pytest.approx((2 / 9 / 3) ** 0.5)
    assert (found["accepted_count"], found["fallback_count"], found["dropped_count"]) == (2, 1, 0)
    assert found["attempts"] == {"1": 1, "2": 2}
    assert found["failed"]["1"]["stance"] == 2
    assert found["failed"]["2"]["unfinished"] == 1
    assert found["reasoning/characters/source"] == len(samples[0].reasoning)
    assert found["reasoning/tokens/refined"] > found["reasoning/tokens/source"]
    dropped = summary(rewrite(fallback="drop").refine(samples, context(Script(texts))))
    assert (dropped["n_source"], dropped["n"], dropped["dropped_count"], dropped["fallback_rate"]) == (3, 2, 1, 0)
    assert dropped["dropped_rate"] == pytest.approx(1 / 3)


def test_vanilla_keeps_every_text_and_claims_no_rate(samples, context):
    refined = Vanilla("vanilla").refine(samples, context(None))
    assert [entry.sample for entry in refined] == samples
    found = summary(refined)
    assert (found["n"], found["tried"]) == (3, 0)
    assert "accepted" not in found
    assert "fallback_rate" not in found
    assert summary([])["n"] == 0


def test_everything_that_cannot_work_is_reported_at_once(tmp_path):
    empty = tmp_path / "empty.txt"
    empty.write_text("# {prompt}\nrewrite {reasoning}")
    found = Rewrite(
        "x", str(empty), "all", {"empty": True, "stanse": True, "leak": 3, "answer_length": True}, 0, "keep"
    )
    text = "\n".join(found.problems())
    for piece in (
        "{prompt}, {answer} is not in",
        "stanse",
        "think_block",
        "leak=3",
        "[low, high]",
        "=0",
        "=keep",
        "part=all",
    ):
        assert piece in text
    assert len(found.problems()) == 7
    assert "micro, natural" in rewrite(prompt="nope").problems()[0]
    assert "empty has to be true" in rewrite(checks={"empty": False}).problems()[0]


@pytest.mark.parametrize("language", ["micro", "natural"])
def test_the_shipped_settings_are_in_order(language):
    assert rewrite(prompt=language).problems() == []


def test_the_micro_model_itself_is_asked_through_the_generator(samples, context):
    """One real generation: the journal holds the model's replies, and asking again gives the same records."""
    from dgr.generator.hf import HF

    target = replace(context(None).target, sampling={"temperature": 1.0, "top_p": 0.95, "max_new_tokens": 40})
    around = replace(context(HF("hf", 8, 0.8)), target=target)
    refined = rewrite(max_attempts=1).refine(samples, around)
    assert all(entry.tokens_out > 0 and len(entry.attempts) == 1 for entry in refined)
    assert set(rewrite().journal(around).read()) == {f"{sample.content}#1" for sample in samples}
    assert rewrite(max_attempts=1).refine(samples[::-1], around)[::-1] == refined
