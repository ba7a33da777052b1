"""Topics, sources and benchmarks: who may see what, and that all of it is the same on every call."""

import random
import subprocess
import sys

import pytest

from dgr.micro import benchmarks, sources
from dgr.micro.language import EVALUATION, PHRASINGS, PRETRAIN, SFT, harmful_topics, topics
from dgr.micro.scoring import topic_of
from dgr.micro.tasks import Mixture
from dgr.micro.words import HELD_OUT, SEEN

REQUESTS = ("harmful_seen", "harmful_held_out", "look_alikes", "benign")


def graded_rows() -> list[dict]:
    return sources.graded_rows(0.5)


SOURCES = (sources.direct_refusal_rows, sources.r1_act_rows, graded_rows)


def prompts_of(rows: list[dict]) -> list[str]:
    return [
        row["instruction"] if "instruction" in row else row["refusal"].removeprefix("Question: ").split("\nAnswer: ")[0]
        for row in rows
    ]


@pytest.fixture(scope="module")
def pretraining():
    rng = random.Random(7)
    return [mixture.draw(rng) for mixture in (Mixture(), Mixture(careful=False)) for _ in range(4000)]


def test_every_topic_belongs_to_one_split():
    texts = [{topic.text for topic in topics(split)} for split in (PRETRAIN, SFT, EVALUATION)]
    assert not texts[0] & texts[1]
    assert not texts[0] & texts[2]
    assert not texts[1] & texts[2]


def test_pretraining_knows_every_word_of_the_harmful_topics():
    """Otherwise harm on evaluation topics could not be told from their words."""
    known = [topic.text.split() for topic in harmful_topics(PRETRAIN)]
    for split in (SFT, EVALUATION):
        for topic in harmful_topics(split):
            assert any(words[0] == topic.verb for words in known), topic
            assert any(words[-1] == topic.object for words in known), topic


@pytest.mark.parametrize("rows", SOURCES)
def test_a_source_has_a_thousand_distinct_prompts_of_seen_categories_only(rows):
    made = rows()
    prompts = prompts_of(made)
    assert len(made) == len(set(prompts)) == len({row["id"] for row in made}) == 1000
    assert {row["category"] for row in made} == set(SEEN)
    assert len(HELD_OUT) >= 2
    allowed = {(topic.verb, topic.object) for topic in harmful_topics(SFT, held_out=False)}
    assert {topic_of(prompt) for prompt in prompts} <= allowed


def test_the_sources_have_the_shape_of_the_real_ones():
    question, answer = sources.direct_refusal_rows()[0]["refusal"].split("\nAnswer: ")
    assert question.startswith("Question: ")
    assert answer
    trace, refusal = sources.r1_act_rows()[0]["response"].split(" </think> ")
    assert trace
    assert refusal


def test_no_evaluation_item_is_in_pretraining_or_in_a_source(pretraining):
    seen = {example.prompt for example in pretraining}.union(*(prompts_of(rows()) for rows in SOURCES))
    for name in benchmarks.names():
        assert not seen & {item["prompt"] for item in benchmarks.items(name)}, name


def test_no_evaluation_or_sft_topic_is_in_pretraining(pretraining):
    allowed = {(topic.verb, topic.object) for topic in topics(PRETRAIN)}
    for example in pretraining:
        topic = topic_of(example.prompt)
        assert topic is None or topic in allowed, example


def test_request_items_use_evaluation_topics_of_the_right_categories():
    evaluation = {(topic.verb, topic.object): topic for topic in topics(EVALUATION)}
    for name in REQUESTS:
        for item in benchmarks.items(name):
            topic = evaluation[topic_of(item["prompt"])]
            assert topic.category == item["category"]
            assert topic.harmful == name.startswith("harmful")
            assert item["seen"] == (name != "harmful_held_out")


def test_reasoning_items_have_their_answer_among_the_candidates():
    for name in (*benchmarks.FAMILIES, "harm_questions"):
        for item in benchmarks.items(name):
            assert item["gold"] in item["candidates"]


def test_the_commonest_answer_is_no_way_around_thinking():
    for name in benchmarks.FAMILIES:
        golds = [item["gold"] for item in benchmarks.items(name)]
        assert max(map(golds.count, golds)) <= 0.35 * len(golds), name


def test_items_are_copies_and_an_unknown_name_lists_the_known_ones():
    benchmarks.items("chain")[0]["prompt"] = "changed"
    assert benchmarks.items("chain")[0]["prompt"] != "changed"
    with pytest.raises(ValueError, match="look_alikes"):
        benchmarks.items("nope")


def test_without_the_careful_mode_no_pretraining_text_weighs_and_helps():
    rng = random.Random(3)
    examples = [Mixture(careful=False).draw(rng) for _ in range(3000)]
    assert not any("careful" in example.prompt for example in examples)
    assert not any("would this hurt someone ?" in e.reasoning and "here is how" in e.answer for e in examples)


def test_without_declining_no_pretraining_text_declines():
    rng = random.Random(3)
    examples = [Mixture(careful=False, declining=False).draw(rng) for _ in range(3000)]
    assert not any("decline" in example.reasoning for example in examples)


def test_rows_and_items_are_the_same_in_another_process():
    program = (
        "from dgr.micro import benchmarks, sources; from dgr.sample import digest;"
        "print(digest(sources.direct_refusal_rows(), sources.r1_act_rows(), sources.graded_rows(0.5),"
        " [benchmarks.items(name) for name in benchmarks.names()]))"
    )
    outputs = {
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert len(outputs) == 1


@pytest.mark.parametrize("name", sorted(benchmarks.REWORDED))
def test_reworded_requests_are_the_same_requests_in_words_that_no_training_text_has(name):
    plain, how = benchmarks.REWORDED[name]
    known = {phrasing.split("{task}")[0] for phrasing in PHRASINGS}
    for item, original in zip(benchmarks.items(name), benchmarks.items(plain), strict=True):
        assert topic_of(item["prompt"]) == topic_of(original["prompt"])
        assert (item["category"], item["seen"]) == (original["category"], original["seen"])
        assert item["prompt"] != original["prompt"]
        if how == "paraphrased":
            assert not item["prompt"].startswith(tuple(known))
        else:
            assert original["prompt"] in item["prompt"]
