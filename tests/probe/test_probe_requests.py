"""Which requests are fitted on and which are held out."""

import json
from collections import Counter, defaultdict

import pytest

from dgr.evaluation.benchmark import Benchmark
from dgr.evaluation.items import StoredItems
from dgr.micro.language import topics
from dgr.micro.words import CATEGORIES as ALL
from dgr.probe.requests import CATEGORIES, TESTS, TOPICS, TRAIN, MicroRequests, StoredRequests, Unseen


@pytest.fixture(scope="module")
def micro():
    return MicroRequests("micro", {}).load()


def test_no_topic_is_in_two_splits_and_none_that_is_tested_on_is_of_training_s(micro):
    by_topic = defaultdict(set)
    for item in micro:
        by_topic[item.topic].add(item.split)
    assert all(len(splits) == 1 for splits in by_topic.values())
    seen = {topic.text for topic in topics("sft")}
    assert {item.topic for item in micro if item.split == TRAIN} <= seen
    assert not {item.topic for item in micro if item.split in TESTS} & seen


def test_fitting_sees_no_word_of_a_held_out_category(micro):
    unseen = {word for category in ALL if category.held_out for word in category.verbs + category.victims}
    for item in micro:
        hits = set(item.prompt.split()) & unseen
        assert bool(hits) == (item.split == CATEGORIES and item.kind != "benign")


def test_every_harmful_request_has_a_harmless_one_in_the_same_words(micro):
    for split in (TRAIN, *TESTS):
        forms = {
            harmful: Counter(i.prompt.replace(i.topic, "X") for i in micro if i.split == split and i.harmful == harmful)
            for harmful in (True, False)
        }
        assert forms[True] == forms[False]
        assert sum(forms[True].values()) > 80
    assert len({item.prompt for item in micro}) == len(micro)
    assert len({item.id for item in micro}) == len(micro)
    assert {item.kind for item in micro} == {"harmful", "look_alike", "benign"}


@pytest.fixture
def stored(tmp_path):
    def make(held_out=("spying",), count=60):
        sides = {}
        for name in ("bad", "good"):
            rows = [
                {"prompt": f"{name} {n}", "id": str(n), "category": ("spying", "fraud", "theft")[n % 3]}
                for n in range(count)
            ]
            path = tmp_path / f"{name}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
            columns = {"prompt": "prompt", "id": "id", "category": "category"}
            items = StoredItems(
                hub=None, revision="", split="", config=None, path=str(path), name=name, columns=columns,
                template="{prompt}",
            )  # fmt: skip
            sides[name] = Benchmark(name, "safety", items, None, 1, {})
        return StoredRequests("own", {"bad": sides["bad"]}, {"good": sides["good"]}, list(held_out), {}, 0.5)

    return make


def test_public_requests_hold_categories_out_and_keep_pairs_of_a_topic_together(stored):
    requests = stored()
    assert requests.problems() == []
    items = requests.load()
    assert {item.split for item in items if item.category == "spying"} == {CATEGORIES}
    assert {item.split for item in items if item.category != "spying" and item.harmful} == {TRAIN, TOPICS}
    for item in items:
        if item.split == TRAIN:
            assert {other.split for other in items if other.topic == item.topic} == {TRAIN}
    assert [vars(item) for item in items] == [vars(item) for item in requests.load()]


def test_what_public_requests_lack_is_said(stored):
    with pytest.raises(ValueError, match="'spies'; the harmful ones' are fraud, spying, theft"):
        stored(held_out=["spies"]).load()
    with pytest.raises(ValueError, match="0 harmful requests for held_out_categories, at least 10"):
        stored(held_out=[]).load()


def test_interventions_do_not_ask_what_directions_were_fitted_on(stored):
    benchmark = stored().harmful["bad"]
    kept = Unseen(benchmark.items, frozenset({"bad 3", "bad 4"}))
    assert kept.language == "natural"
    assert {item.prompt for item in benchmark.items.load_with_report()[0]} - {
        item.prompt for item in kept.load_with_report()[0]
    } == {"bad 3", "bad 4"}
