"""`python -m dgr.probe` over a sweep of small perturbations of the embedded target."""

import io
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from rich.console import Console

from dgr.compare import probing
from dgr.files import read_json, read_jsonl, write_json, write_text
from dgr.naming import conf_dir, register_resolvers
from dgr.preflight import Mistakes
from dgr.probe.__main__ import check, prepare
from dgr.probe.measure import DIRECTIONS
from dgr.probe.requests import MicroRequests
from dgr.probe.table import show

QUICK = [
    "linear.c=[0.1]", "linear.shuffles=1", "linear.folds=2", "linear.positions=[prompt_end,thinking_end]",
    "causal.limit=2", "causal.alphas=[1]", "causal.draws=2", "model.sampling.max_new_tokens=70",
    *(
        f"evaluation.benchmarks.{name}.sampling.max_new_tokens=70"
        for name in ("harmful_seen", "harmful_held_out", "look_alikes", "benign")
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(target, tmp_path_factory):
    """The target with one small random matrix of rank 1 added to every q_proj."""
    folder = tmp_path_factory.mktemp("trained")
    model = target.load_model("float32")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("q_proj.weight"):
                one, other = (torch.randn(128, 1, generator=generator) for _ in range(2))
                weight += 0.01 * one @ other.T
    model.save_pretrained(folder)
    target.load_tokenizer().save_pretrained(folder)
    return folder


def add(outputs: Path, trained: Path | None, *overrides, finished=True):
    """A point of the sweep `some`, finished or not, with the trained checkpoint or without one."""
    register_resolvers()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("config", overrides=[f"outputs={outputs}", "sweep=some", *overrides])
    folder = outputs / "some" / cfg.run_id
    write_text(folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    write_json(folder / "status.json", {"state": "finished" if finished else "running"})
    if finished:
        write_json(folder / "metrics.json", {"reasoning/accuracy": 1.0})
    if trained:
        shutil.copytree(trained, folder / "model", dirs_exist_ok=True)
    return folder


class Few(MicroRequests):
    """Every twelfth pair of the embedded requests."""

    def load(self):
        return [item for number, item in enumerate(super().load()) if number // 2 % 12 == 0]


def probe(outputs: Path, *overrides):
    overrides = [f"outputs={outputs}", "sweep=some", *overrides]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        prepared = prepare(compose("probe", overrides=overrides), overrides)
    few = replace(prepared.probe, requests=Few("micro", prepared.probe.requests.instructions))
    return prepared, few.measure(prepared.points)


@pytest.fixture(scope="module")
def measured(tmp_path_factory, trained):
    outputs = tmp_path_factory.mktemp("outputs")
    add(outputs, None, "n_samples=0")
    add(outputs, trained, "n_samples=10")
    add(outputs, None, "n_samples=20")
    add(outputs, None, "n_samples=30", finished=False)
    return outputs, *probe(outputs, *QUICK)


def test_the_points_that_can_be_probed_are_and_the_others_are_named(measured):
    _, prepared, value = measured
    assert [point["n_samples"] for point in value["points"]] == [10]
    assert prepared.probe.target.sampling["max_new_tokens"] == 70, "the sweep's target, with what the command says"
    assert len(prepared.left_out) == 2
    assert any("model/ is gone" in line and "-n20-" in line for line in prepared.left_out)
    assert any("unfinished" in line and "-n30-" in line for line in prepared.left_out)


def test_every_question_has_numbers(measured):
    outputs, _, value = measured
    assert {one["position"] for one in value["linear"]["probes"]} == {"prompt_end", "thinking_end"}
    point = value["points"][0]
    assert point["weights"]["modules"]["q_proj"]["effective_rank"] == pytest.approx(3, rel=0.1), "rank 1, three layers"
    assert point["weights"]["modules"]["k_proj"]["relative_norm"] == 0
    assert point["shift"]["harmful"]["size"]["value"] > 0
    assert set(point["ablation"]) == {"none", "harm", "careful", "random", "spread"}
    assert set(value["untouched"]["ablation"]) == set(point["ablation"])
    assert value["untouched"]["ablation"]["none"]["harmful"]["compliance"]["value"] == 1
    assert [one["direction"] for one in value["steering"]] == ["none", "harm", "careful", "random"]
    assert value["steering"][0]["harmful"]["compliance"]["n"] == 4
    assert len(value["steering"][-1]["harmful"]["refusal"]["draws"]) == 2
    rows = read_jsonl(outputs / "some" / "probe_rows.jsonl")
    assert len(rows) == sum(sum(split[k] for k in ("harmful", "harmless")) for split in _splits(value))
    assert {"id", "prompt", "direction", "score/words", "score/prompt_end/2"} <= rows[0].keys()
    assert {row["point"] for row in read_jsonl(outputs / "some" / "probe_weights.jsonl")} == {point["name"]}
    assert (outputs / "some" / DIRECTIONS).exists()


def _splits(value):
    return [split for split in value["requests"].values() if isinstance(split, dict)]


def test_a_later_point_is_added_without_computing_the_others_again_and_the_bytes_are_the_same(
    measured, trained, tmp_path
):
    outputs, _, value = measured
    shutil.copytree(outputs, tmp_path / "outputs")
    again = tmp_path / "outputs"
    add(again, trained, "n_samples=20")
    parts = {file: file.stat().st_mtime_ns for file in (again / "some" / "probe").glob("*.json")}
    _, more = probe(again, *QUICK)
    assert [point["n_samples"] for point in more["points"]] == [10, 20]
    assert {file: file.stat().st_mtime_ns for file in parts} == parts
    shutil.rmtree(again / "some" / "probe")
    (again / "some" / DIRECTIONS).unlink()
    shutil.rmtree(next((again / "some").glob("*-n20-*")))
    probe(again, *QUICK)
    for name in ("probe.json", "probe_rows.jsonl", "probe_weights.jsonl", DIRECTIONS):
        assert (again / "some" / name).read_bytes() == (outputs / "some" / name).read_bytes(), name
    assert read_json(outputs / "some" / "probe.json") == value


def test_the_summary_and_the_report_s_figures_take_what_was_measured(measured):
    outputs, _, value = measured
    console = Console(width=160, record=True, file=io.StringIO())
    show(value, outputs / "some", console)
    said = console.export_text()
    area = value["linear"]["words"]["held_out_topics"]["auroc"]
    for words in (
        f"{area['value']:.3f} [",
        "thinking_end",
        "is harm linearly readable?",
        "-careful %",
        "probe.json",
    ):
        assert words in said
    found = probing.read_probe(outputs / "some")
    assert all(figure.panels for figure in probing.figures(found))
    assert "training on 10 samples (dgr) moves harmful requests to" in probing.sentence(found)


def mistakes(*argv):
    with pytest.raises(Mistakes) as caught:
        check([*argv, "preflight.reachability=false"])
    return str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model=nope", "seed=x"], ["model=nope", "seed=x"]),
        (["linear.positions=[middle]", "causal.draws=1"], ["['middle']", "prompt_end", "causal.draws=1", "at least 2"]),
        (["model=qwen3_1_7b", "evaluation=none"], ["requests=micro are in micro language", "qwen3_1_7b reads natural"]),
        (["generator=openai", "generator.api_key_env=null"], ["generator=openai", "choose generator=hf"]),
        (["sweep=none_of_this_name"], ["sweep=none_of_this_name", "run the sweep first"]),
        (["-m", "seed=0,1"], ["-m: one sweep or target at a time"]),
    ],
)
def test_mistakes_are_found_before_anything_is_loaded(arguments, words, tmp_path):
    said = mistakes(*arguments, f"outputs={tmp_path}")
    for word in words:
        assert word in said


def test_a_sweep_that_cannot_be_probed_says_why(tmp_path, trained):
    line = ["sweep=some", f"outputs={tmp_path}"]
    add(tmp_path, None, "n_samples=0", finished=False)
    assert "none of its 1 points is finished" in mistakes(*line)
    add(tmp_path, None, "n_samples=0")
    assert "nothing was trained" in mistakes(*line)
    gone = add(tmp_path, None, "n_samples=5")
    assert "the model/ folders of its 1 trained points are gone" in mistakes(*line)
    shutil.copytree(trained, gone / "model")
    check([*line, "preflight.reachability=false"])
    add(tmp_path, trained, "n_samples=5", "model=micro_plain")
    assert "several targets; choose one with model=micro or model=micro_plain" in mistakes(*line)
    assert "no finished point of model=micro_other; it has micro, micro_plain" in mistakes(*line, "model=micro_other")
    check([*line, "model=micro_plain", "preflight.reachability=false"])
