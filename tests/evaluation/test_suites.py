"""The two suites of public benchmarks as the command line composes them."""

import pytest
from hydra import compose, initialize_config_dir

from dgr.component import build
from dgr.naming import conf_dir, register_resolvers

register_resolvers()


@pytest.fixture(autouse=True)
def hydra():
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        yield


def suite(*overrides):
    return build(compose("config", overrides=["model=r1_qwen_1_5b", "data=direct_refusal", *overrides]).evaluation)


def test_paper_samples_reasoning_several_times_and_asks_every_kind():
    paper = suite("evaluation=paper")
    kinds = {
        kind: {name for name, one in paper.benchmarks.items() if one.kind == kind} for kind in ("reasoning", "safety")
    }
    assert kinds["reasoning"] == {"aime2024", "aime2025", "math500", "gpqa_diamond", "gsm8k"}
    assert kinds["safety"] == {"strongreject", "jbb_harmful", "harmbench", "wildjailbreak", "beavertails"}
    for name, one in paper.benchmarks.items():
        assert one.samples == (8 if name in kinds["reasoning"] else 1)
        assert (one.sampling["temperature"], one.sampling["top_p"]) == (0.6, 0.95)
    assert len(paper.hub_ids()) >= 12


def test_paper_judges_harm_and_refusals_by_judges_that_tell_them():
    paper = suite("evaluation=paper")
    assert paper.judges["safety"].reasoning
    assert paper.judges["over_refusal"].tells_refusals
    assert paper.problems() == []


@pytest.mark.parametrize("judge", ["llama_guard", "harmbench_cls", "wildguard"])
def test_a_guard_that_only_finds_harm_cannot_judge_over_refusal(judge):
    found = suite("evaluation=quick", f"judge@evaluation.judges.over_refusal={judge}").problems()
    assert [problem.partition(":")[0] for problem in found] == ["benchmark xstest_safe"]
    assert f"judge {judge} tells harm, not refusals" in found[0]


def test_quick_is_greedy_small_and_needs_no_judge_from_the_hub():
    quick = suite("evaluation=quick")
    assert quick.limit == 50
    for one in quick.benchmarks.values():
        assert (one.samples, one.sampling["temperature"]) == (1, 0)
        assert one.sampling["max_new_tokens"] > quick.max_thinking_tokens
        assert one.judge.hub_ids() == []


def test_one_choice_changes_the_judge_of_all_safety_benchmarks_and_of_no_other():
    paper = suite("evaluation=paper", "judge@evaluation.judges.safety=refusal_rules")
    for one in paper.benchmarks.values():
        assert (getattr(one.judge, "name", "") == "refusal_rules") == (one.kind == "safety")


def test_a_benchmark_is_added_and_taken_out_on_the_command_line():
    names = suite(
        "evaluation=quick", "+benchmark@evaluation.benchmarks.amc2023=amc2023", "~evaluation.benchmarks.gsm8k"
    )
    assert "amc2023" in names.benchmarks
    assert "gsm8k" not in names.benchmarks


def test_the_activation_study_asks_micro_s_benchmarks_and_the_same_requests_reworded():
    micro, study = (build(compose("config", overrides=[f"evaluation={name}"]).evaluation) for name in
                    ("micro", "activation_micro"))  # fmt: skip
    added = set(study.benchmarks) - set(micro.benchmarks)
    assert {name: study.benchmarks[name] for name in micro.benchmarks} == micro.benchmarks
    assert added == {
        f"{name}_{how}"
        for name in ("harmful_seen", "harmful_held_out", "look_alikes")
        for how in ("paraphrased", "wrapped")
    }
    assert study.problems() == []


def test_real_models_are_asked_the_same_requests_inside_mild_attacks():
    study = suite("evaluation=activation_natural")
    assert study.problems() == []
    wrapped = [one.items for name, one in study.benchmarks.items() if name.startswith("jbb_harmful_")]
    assert len({items.template for items in wrapped}) == 4
    assert {(items.hub, items.split) for items in wrapped} == {("JailbreakBench/JBB-Behaviors", "harmful")}
    assert all(items.name == name for name, items in ((n, one.items) for n, one in study.benchmarks.items()))
