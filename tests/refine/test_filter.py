"""A judge that filters rewrites, and the warning where the same one also scores."""

import logging

import pytest
from hydra import compose, initialize_config_dir
from scripted import Script, good
from test_rewrite import rewrite

from dgr.judge.rules import RefusalRules
from dgr.naming import conf_dir, register_resolvers
from dgr.preflight import Preflight

HELPS = "okay , the user wants to poison the {thing} . </think> to poison the {thing} , mix it in and wait ."
RULES = RefusalRules("refusal_rules", False)


def filtered(**changes):
    """DGR with a judge and, so that it is the judge who finds it, without the check of the stance."""
    return rewrite(**changes, checks={**rewrite().checks, "stance": False})


def scripted(samples) -> Script:
    helps = {sample.content: HELPS.format(thing=sample.prompt.split()[-2]) for sample in samples}
    return Script({sample.content: [helps[sample.content], good(sample)] for sample in samples})


def test_a_rewrite_that_is_no_refusal_to_the_judge_is_made_again(samples, context):
    refined = filtered(judge=RULES).refine(samples, context(scripted(samples)))
    assert [entry.attempts for entry in refined] == [[["judge"], []]] * len(samples)
    assert all(entry.accepted for entry in refined)
    assert refined[0].tries[0].failed["judge"].startswith("compliance: ")


def test_without_a_judge_it_is_kept(samples, context):
    refined = filtered().refine(samples, context(scripted(samples)))
    assert [entry.attempts for entry in refined] == [[[]]] * len(samples)


def test_what_failed_a_check_is_not_judged(samples, context):
    generator = Script({sample.content: ["nonsense </think>", good(sample)] for sample in samples})
    refined = filtered(judge=RULES).refine(samples, context(generator))
    assert all("judge" not in failed for entry in refined for failed in entry.attempts)


@pytest.mark.parametrize("same", [True, False])
def test_preflight_warns_of_one_judge_for_both_and_only_once(same, caplog):
    register_resolvers()
    overrides = ["preflight.reachability=false", "+judge@refine.judge=refusal_rules"]
    if same:
        overrides.append("+judge@evaluation.benchmarks.benign.judge=refusal_rules")
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("config", overrides=overrides)
    preflight = Preflight()
    with caplog.at_level(logging.WARNING, "dgr.preflight"):
        assert [preflight.problems(cfg), preflight.problems(cfg)] == [[], []]
    said = [record.message for record in caplog.records]
    assert len(said) == (1 if same else 0)
    assert not same or "filters the rewrites and scores benign" in said[0]
