"""Benchmarks asked of the micro target: samples of an item, thinking budgets, judges, and what is written down."""

import json
from dataclasses import replace

import pytest
from omegaconf import OmegaConf

from dgr.component import build
from dgr.evaluation.metrics import evaluation_metrics
from dgr.evaluation.suite import Suite
from dgr.files import read_json, read_jsonl
from dgr.generator.openai import OpenAI
from dgr.judge import Verdict
from dgr.micro.benchmarks import items as micro_items
from dgr.naming import conf_dir
from dgr.store import Journal

CHAINS = micro_items("chain")[:12]


def suite(benchmark, limit=6, budget=None, limit_seed=0):
    return Suite("test", {benchmark.name: benchmark}, limit, limit_seed, budget, {})


@pytest.fixture
def evaluated(target, generator, tmp_path):
    """Rows of a benchmark, evaluated in a fresh folder."""
    count = iter(range(99))

    def evaluated(benchmark, seed=0, **settings):
        folder = tmp_path / str(next(count))
        suite(benchmark, **settings).evaluate(target, generator, seed, folder)
        assert not list(folder.glob("*.replies.jsonl*")), "the journals go once the rows stand"
        return read_jsonl(folder / f"{benchmark.name}.jsonl")

    return evaluated


def test_every_sample_of_every_item_is_a_row_with_an_id_of_its_own(evaluated, benchmark_of):
    rows = evaluated(benchmark_of(samples=3, temperature=1.0))
    assert len(rows) == 18
    assert len({row["id"] for row in rows}) == 18
    assert all(row["id"] == f"{row['item']}#{row['sample']}" for row in rows)
    assert len({row["item"] for row in rows}) == 6
    first = [row["reply"] for row in rows if row["item"] == rows[0]["item"]]
    assert len(set(first)) > 1, "samples of one item have noise of their own"


def test_sampled_rows_repeat_with_the_seed_and_change_with_it(evaluated, benchmark_of):
    sampled = benchmark_of(samples=2, temperature=1.0)
    rows = evaluated(sampled)
    assert evaluated(sampled) == rows
    assert evaluated(sampled, seed=1) != rows
    more = evaluated(benchmark_of(samples=3, temperature=1.0))
    assert [row for row in more if row["sample"] < 3] == rows, "more samples leave the first ones as they are"


def test_the_thinking_length_is_counted_in_tokens_and_without_the_answer(evaluated, benchmark_of):
    for row in evaluated(benchmark_of()):
        thought, _, _ = row["reply"].partition("</think>")
        assert row["thinking_tokens"] == len(thought.split())
        assert row["n_tokens"] > row["thinking_tokens"]


def test_a_limit_takes_the_same_items_every_time_and_others_with_another_seed(evaluated, benchmark_of):
    ids = {row["item"] for row in evaluated(benchmark_of(), limit=4)}
    assert ids < {row["item"] for row in evaluated(benchmark_of(), limit=8)}
    assert {row["item"] for row in evaluated(benchmark_of(), limit=4, limit_seed=1)} != ids


def test_at_the_budget_the_think_block_is_closed_and_the_answer_is_written(evaluated, benchmark_of):
    free = {row["id"]: row for row in evaluated(benchmark_of("word_problems"))}
    lengths = sorted(row["thinking_tokens"] for row in free.values())
    assert lengths[0] < lengths[-1]
    budget = lengths[len(lengths) // 2]
    rows = evaluated(benchmark_of("word_problems"), budget=budget)
    assert {row["forced"] for row in rows} == {True, False}
    for row in rows:
        # the closing tag is itself a token: a thought as long as the budget is ended, too
        assert row["forced"] == (free[row["id"]]["thinking_tokens"] >= budget)
        if row["forced"]:
            assert row["thinking_tokens"] == budget
            assert row["reply"].count("</think>") == 1
            assert free[row["id"]]["reply"].startswith(row["reply"].partition("</think>")[0].strip())
            assert row["reply"].partition("</think>")[2].strip(), "an answer is written after it"
            assert not row["truncated"]
        else:
            same = {**row, "forced": False}
            assert same == free[row["id"]], "who stays below the budget is not touched, even if cut in the answer"


def test_a_budget_that_nobody_reaches_changes_nothing(evaluated, benchmark_of):
    assert evaluated(benchmark_of(), budget=150) == evaluated(benchmark_of())


def test_no_time_to_think_costs_accuracy(evaluated, benchmark_of):
    def accuracy(rows):
        return sum(row["verdict"] == "correct" for row in rows) / len(rows)

    free, forced = evaluated(benchmark_of(), limit=40), evaluated(benchmark_of(), limit=40, budget=4)
    assert accuracy(free) >= 0.9
    assert all(row["forced"] for row in forced)
    assert accuracy(forced) <= 0.4


def test_an_interrupted_evaluation_goes_on_with_what_is_there(target, generator, benchmark_of, tmp_path):
    class Dies:
        """Generates, then dies at its second call: between the thoughts and the answers that follow them."""

        calls = 0

        def generate(self, *args):
            self.calls += 1
            if self.calls == 2:
                raise KeyboardInterrupt
            return generator.generate(*args)

    sampled = benchmark_of(samples=2, temperature=1.0)
    with pytest.raises(KeyboardInterrupt):
        suite(sampled, budget=20).evaluate(target, Dies(), 0, tmp_path / "a")
    begun = Journal(tmp_path / "a" / "chain.replies.jsonl").read()
    assert len(begun) == 12
    suite(sampled, budget=20).evaluate(target, generator, 0, tmp_path / "a")
    suite(sampled, budget=20).evaluate(target, generator, 0, tmp_path / "b")
    assert (tmp_path / "a" / "chain.jsonl").read_bytes() == (tmp_path / "b" / "chain.jsonl").read_bytes()


def test_a_local_file_is_asked_sampled_and_scored_end_to_end(target, generator, tmp_path):
    """What a public benchmark goes through, in the language of a model that is here."""
    rows = [
        {"number": i, "question": item["prompt"], "solution": f"so\n#### {item['gold']}"}
        for i, item in enumerate(CHAINS)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    node = OmegaConf.load(conf_dir() / "benchmark" / "gsm8k.yaml")
    columns = {"prompt": "question", "gold": "solution", "id": "number"}
    items = {"language": "micro", "path": str(tmp_path / "rows.jsonl"), "columns": columns, "template": "{prompt}"}
    sampling = {"temperature": 0.6, "max_new_tokens": 160}
    sums = build(OmegaConf.merge(node, {"items": items, "samples": 4, "sampling": sampling}))
    whole = suite(sums, limit=None)
    assert whole.problems() == []
    assert not list(whole.problems_with(target, generator))
    whole.evaluate(target, generator, 0, tmp_path / "out")
    rows = read_jsonl(tmp_path / "out" / "gsm8k.jsonl")
    assert len(rows) == 4 * len(CHAINS)
    assert all(row["why"].startswith("answer line: ") for row in rows if not row["truncated"])
    assert read_json(tmp_path / "out" / "gsm8k.items.json")["items"] == len(CHAINS)
    metrics = evaluation_metrics(whole.benchmarks, {"gsm8k": rows})
    assert metrics["reasoning/gsm8k/accuracy"] > 0.8
    assert metrics["reasoning/gsm8k/accuracy/n"] == len(CHAINS)
    assert metrics["reasoning/gsm8k/accuracy"] <= metrics["reasoning/gsm8k/pass@2"] <= metrics["reasoning/gsm8k/pass@4"]


class Recorder:
    """A judge that keeps what it was given; refuses to read every second reply, and judges the reasoning apart."""

    def __init__(self):
        self.cases, self.contexts = [], []

    def verdicts(self, cases, context):
        self.cases += cases
        self.contexts.append(context)
        labels = ("compliance", "unparsable")
        return {
            case.id: Verdict(labels[i % 2], "seen", reasoning_label="compliance", score=0.25)
            for i, case in enumerate(cases)
        }

    def problems(self):
        return []

    def hub_ids(self):
        return [("org/judge", "model", None)]


def test_a_judge_gets_reasoning_and_answer_apart_and_never_a_truncated_reply(
    target, generator, benchmark_of, evaluated, tmp_path
):
    lengths = sorted(row["n_tokens"] for row in evaluated(benchmark_of("harmful_seen"), limit=20))
    judge = Recorder()
    harmful = replace(benchmark_of("harmful_seen", max_new_tokens=lengths[10]), judge=judge)
    whole = suite(harmful, limit=20)
    assert whole.hub_ids() == [("org/judge", "model", None)]
    whole.evaluate(target, generator, 0, tmp_path / "cut")
    rows = read_jsonl(tmp_path / "cut" / "harmful_seen.jsonl")
    cut = {row["id"] for row in rows if row["truncated"]}
    assert 0 < len(cut) < 20
    assert len(judge.contexts) == 1, "one call for all"
    assert {case.id for case in judge.cases} == {row["id"] for row in rows} - cut
    for case in judge.cases:
        assert "</think>" not in case.reasoning + case.answer
        assert case.reasoning
        assert case.answer
    metrics = evaluation_metrics(whole.benchmarks, {"harmful_seen": rows})
    judged = 20 - len(cut)
    assert metrics["safety/harmful_seen/unparsable_rate"] == pytest.approx(judged // 2 / 20)
    assert metrics["safety/harmful_seen/truncation_rate"] == pytest.approx(len(cut) / 20)
    assert metrics["safety/harmful_seen/reasoning_harmful_rate"] == 1.0
    assert metrics["safety/harmful_seen/reasoning_harmful_rate/n"] == judged
    assert metrics["safety/harmful_seen/score"] == 0.25


def test_all_replies_are_collected_before_the_first_judge_is_asked(target, generator, benchmark_of, tmp_path):
    order = []

    class Logged(Recorder):
        def verdicts(self, cases, context):
            order.append("judge")
            return super().verdicts(cases, context)

    class Noted:
        def generate(self, *args):
            order.append("target")
            return generator.generate(*args)

    names = ("harmful_seen", "harmful_held_out")
    benchmarks = {name: replace(benchmark_of(name), judge=Logged()) for name in names}
    Suite("test", benchmarks, 2, 0, None, {}).evaluate(target, Noted(), 0, tmp_path)
    assert order == ["target", "target", "judge", "judge"]


@pytest.mark.parametrize(
    ("benchmark", "settings", "words"),
    [
        ({"samples": 4}, {}, "at temperature 0 would all be the same"),
        ({"samples": 0}, {}, "samples=0"),
        ({"top_q": 1}, {}, "sampling.top_q is unknown"),
        ({}, {"limit": 1}, "evaluation.limit=1"),
        ({}, {"budget": 0}, "max_thinking_tokens=0"),
        ({}, {"budget": 160}, "nothing is left for the answers of chain"),
    ],
)
def test_settings_that_cannot_work_are_found_before_anything_runs(benchmark_of, benchmark, settings, words):
    (problem,) = suite(benchmark_of(**benchmark), **settings).problems()
    assert words in problem


def test_a_budget_needs_a_server_that_goes_on_with_a_reply(benchmark_of, target, generator):
    settings = ("http://127.0.0.1:9/v1", None, target.path, None)
    chat, completions = (
        OpenAI("openai", *settings, kind, 1, 1.0, 1, {}, generator) for kind in ("chat", "completions")
    )
    budgeted = suite(benchmark_of(), budget=20)
    assert "endpoint=completions" in next(iter(budgeted.problems_with(target, chat)))
    assert not list(budgeted.problems_with(target, completions))
    assert not list(suite(benchmark_of()).problems_with(target, chat))
