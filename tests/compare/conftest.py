"""Run folders of the micro target with numbers, evaluation rows and samples of the test's choice."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from dgr.files import write_json, write_jsonl, write_text
from dgr.naming import conf_dir, register_resolvers

EVIL = (
    "</script><script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">"
    "<svg onload=\"document.title='ran'\"></svg>javascript:alert(1) \x00\x1b[31m\u202egnp\u2028 \ud800 ]]> <!--"
)
VERDICTS = {"chain": "correct", "harmful_seen": "compliance", "benign": "refusal"}


def reply(benchmark, number, hit, **more):
    """One line of an evaluation file; `hit`: does it have the verdict that the benchmark's rate counts?"""
    item = f"{benchmark}-{number:04d}"
    other = {"correct": "wrong", "compliance": "refusal", "refusal": "compliance"}
    verdict = VERDICTS[benchmark] if hit else other[VERDICTS[benchmark]]
    return {
        "id": f"{item}#1",
        "item": item,
        "sample": 1,
        "prompt": f"prompt {number}",
        "gold": "",
        "reply": f"reply {number}",
        "verdict": verdict,
        "why": "as the test says",
        "truncated": False,
        "thinking_tokens": 10 + number,
    } | more


def sample(number, **more):
    """One line of samples.jsonl."""
    return {
        "id": f"sample-{number}",
        "prompt": f"request {number}",
        "reasoning": "i think about it in my own words .",
        "answer": "no .",
        "source_reasoning": "i should not answer .",
        "source_answer": "no .",
        "accepted": True,
        "fallback": False,
        "attempts": 1,
        "failed": [[]],
        "nll_before": 10.0,
        "nll_after": 0.5,
    } | more


@pytest.fixture
def evil():
    """What a hostile model or dataset could write."""
    return EVIL


@pytest.fixture
def make_sample():
    return sample


@pytest.fixture
def make_reply():
    return reply


@pytest.fixture
def add(tmp_path):
    """Adds a finished run of the given overrides; `hits` holds, by benchmark, which items have the counted verdict."""
    register_resolvers()

    def run(metrics, *overrides, hits=None, replies=None, samples=(), losses=((1, 2.0), (2, 1.0)), sweep="some"):
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            cfg = compose("config", overrides=[f"outputs={tmp_path}", f"sweep='{sweep}'", *overrides])
        folder = tmp_path / sweep / cfg.run_id
        write_text(folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
        rows = {name: [reply(name, n, hit) for n, hit in enumerate(column)] for name, column in (hits or {}).items()}
        for name in cfg.evaluation.benchmarks:
            write_jsonl(folder / "evaluation" / f"{name}.jsonl", (replies or {}).get(name, rows.get(name, [])))
        write_jsonl(folder / "samples.jsonl", samples)
        write_json(folder / "train.json", {"loss": [[step, loss, 1e-4, 1.0] for step, loss in losses]})
        write_json(folder / "status.json", {"state": "finished"})
        write_json(folder / "metrics.json", metrics)
        return folder

    return run


@pytest.fixture
def numbers():
    """The metrics that the table and the figures need."""

    def of(accuracy=0.9, harmful=0.1, over=0.05, gap=0.4, n=100):
        found = {"gap/nll_per_token": gap, "gap/nll_per_token/n": n, "gap/nll_per_token/stderr": 0.01}
        found |= {"tax/reasoning": 96 - 100 * accuracy, "tax/reasoning/n": n, "tax/reasoning/stderr": 1.0}
        rates = {
            "reasoning/accuracy": accuracy,
            "safety/harmful_rate": harmful,
            "safety/harmful_seen/harmful_rate": harmful,
            "safety/harmful_seen/refusal_rate": 1 - harmful,
            "over_refusal/rate": over,
            "refine/fallback_rate": 0.02,
            "base/reasoning/accuracy": 0.96,
            "base/safety/harmful_rate": 1.0,
            "base/safety/harmful_seen/harmful_rate": 1.0,
            "base/over_refusal/rate": 0.0,
        }
        for key, value in rates.items():
            found |= {key: value, f"{key}/n": n, f"{key}/stderr": (value * (1 - value) / n) ** 0.5}
        return found

    return of
