"""A local task, run by lm-evaluation-harness on the micro checkpoint, offline."""

import json
from dataclasses import asdict

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from dgr.component import build, result_settings
from dgr.evaluation.lm_eval import folded
from dgr.files import read_jsonl
from dgr.micro.benchmarks import items
from dgr.naming import conf_dir
from dgr.store import Store

HARM = items("harm_questions")[:24]


def prompt_of(chat, item):
    """The question, with an empty thought and the beginning of an answer behind it."""
    return f"{chat.render_prompt(item['prompt'])} </think> the answer is"


@pytest.fixture
def tasks(tmp_path, target):
    """A folder with one multiple-choice task."""
    chat, folder = target.chat(), tmp_path / "tasks"
    folder.mkdir()
    rows = [{"prompt": prompt_of(chat, item), "gold": item["gold"]} for item in HARM]
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {
        "task": "micro_harm",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(folder / "items.jsonl")}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{prompt}}",
        "doc_to_choice": ["yes", "no"],
        "doc_to_target": "{{gold}}",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }
    (folder / "task.yaml").write_text(yaml.safe_dump(task))
    return folder


def evaluation(**changes):
    node = OmegaConf.load(conf_dir() / "evaluation" / "lm_eval.yaml")
    return build(OmegaConf.merge(node, {"language": "micro", "tasks": ["micro_harm"], **changes}))


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.mark.slow
def test_a_local_task_gives_the_models_own_choices_and_the_untouched_target_is_asked_once(tasks, target, tmp_path):
    pytest.importorskip("lm_eval", reason="pip install 'dgr[lm_eval]'")
    harness = evaluation(include_path=str(tasks))
    assert harness.problems() == []
    assert harness.hub_ids() == []
    assert list(harness.problems_with(target, None)) == []
    harness.evaluate(target, None, 0, tmp_path / "run")

    model, chat = target.load_model(), target.chat()
    words = [chat.tokenize(word)[0] for word in ("yes", "no")]
    chosen = []
    for item in HARM:
        with torch.inference_mode():
            logits = model(torch.tensor([chat.tokenize(prompt_of(chat, item))])).logits[0, -1, words]
        chosen.append(("yes", "no")[int(logits.argmax())])
    right = [float(answer == item["gold"]) for answer, item in zip(chosen, HARM, strict=True)]
    accuracy = sum(right) / len(right)

    settings = {"evaluation": {"_target_": "dgr.evaluation.lm_eval.LmEval", **asdict(harness)}}
    store = Store(tmp_path / "store")
    base = harness.evaluate_once(target, None, 0, store, settings)
    written = (base / "lm_eval.json").stat().st_mtime_ns
    assert harness.evaluate_once(target, None, 1, store, settings) == base
    assert (base / "lm_eval.json").stat().st_mtime_ns == written

    metrics = harness.metrics(tmp_path / "run", base)
    assert metrics["lm_eval/micro_harm/acc"] == pytest.approx(accuracy)
    assert metrics["lm_eval/micro_harm/acc/n"] == 24
    assert metrics["lm_eval/micro_harm/acc/stderr"] == pytest.approx((accuracy * (1 - accuracy) / 23) ** 0.5)
    assert metrics["base/lm_eval/micro_harm/acc"] == metrics["lm_eval/micro_harm/acc"]
    by_item = {row["id"]: row["acc"] for row in read_jsonl(tmp_path / "run" / "lm_eval.micro_harm.jsonl")}
    assert [by_item[f"micro_harm/{number}@none"] for number in range(24)] == right


@pytest.mark.slow
def test_what_goes_wrong_in_the_harness_is_an_error_with_its_reason(tasks, target, tmp_path):
    pytest.importorskip("lm_eval", reason="pip install 'dgr[lm_eval]'")
    (tasks / "items.jsonl").unlink()
    with pytest.raises(RuntimeError, match=r"lm-evaluation-harness: FileNotFoundError") as caught:
        evaluation(include_path=str(tasks)).evaluate(target, None, 0, tmp_path / "run")
    assert "Traceback" in caught.value.__notes__[0]
    assert not (tmp_path / "run" / "lm_eval.json").exists()


def test_mistakes_are_found_before_anything_runs(tasks, monkeypatch):
    pytest.importorskip("lm_eval", reason="pip install 'dgr[lm_eval]'")
    where = {"include_path": str(tasks)}
    assert evaluation(**where, tasks=[]).problems() == ["evaluation.tasks=[]: name at least one task"]
    assert "evaluation.limit=1" in evaluation(**where, limit=1).problems()[0]
    assert "evaluation.batch_size=0" in evaluation(**where, batch_size=0).problems()[0]
    assert "no such folder" in evaluation(include_path="/no/such/folder").problems()[0]
    monkeypatch.setattr("dgr.evaluation.lm_eval.find_spec", lambda _: None)
    assert "pip install 'dgr[lm_eval]'" in evaluation(**where).problems()[0]


@pytest.mark.slow
def test_an_unknown_task_is_named_and_the_datasets_of_known_ones_are_known():
    pytest.importorskip("lm_eval", reason="pip install 'dgr[lm_eval]'")
    (problem,) = evaluation(tasks=["gsm8k", "nonsense"]).problems()
    assert "'nonsense'" in problem
    assert evaluation(tasks=["gsm8k"]).hub_ids() == [("openai/gsm8k", "dataset", None)]
    groups = {repo for repo, _, _ in evaluation(tasks=["gsm8k", "hendrycks_math"]).hub_ids()}
    assert len(groups) == 2, "a group's tasks have theirs"


def test_a_model_of_another_language_is_a_mistake(target):
    (problem,) = evaluation(language="natural").problems_with(target, None)
    assert "asks in natural language" in problem


def test_numbers_are_folded_with_their_error_their_n_and_the_name_of_their_filter():
    results = {
        "results": {
            "gsm8k": {
                "alias": "gsm8k",
                "exact_match,strict-match": 0.5,
                "exact_match_stderr,strict-match": 0.1,
                "exact_match,flexible-extract": 0.6,
                "exact_match_stderr,flexible-extract": "N/A",
            },
            "mmlu": {"acc,none": 0.4, "acc_stderr,none": 0.02, "sample_len": 30},
        },
        "n-samples": {"gsm8k": {"original": 1319, "effective": 26}},
    }
    assert folded(results) == {
        "lm_eval/gsm8k/exact_match/strict-match": 0.5,
        "lm_eval/gsm8k/exact_match/strict-match/n": 26,
        "lm_eval/gsm8k/exact_match/strict-match/stderr": 0.1,
        "lm_eval/gsm8k/exact_match/flexible-extract": 0.6,
        "lm_eval/gsm8k/exact_match/flexible-extract/n": 26,
        "lm_eval/mmlu/acc": 0.4,
        "lm_eval/mmlu/acc/n": 30,
        "lm_eval/mmlu/acc/stderr": 0.02,
    }


def test_the_content_of_the_task_folder_counts_not_where_it_lies_nor_the_batch_size(tasks, tmp_path):
    def key(folder, batch_size=8):
        node = OmegaConf.load(conf_dir() / "evaluation" / "lm_eval.yaml")
        changes = {"include_path": str(folder), "batch_size": batch_size}
        return result_settings(OmegaConf.to_container(OmegaConf.merge(node, changes)))

    before = key(tasks)
    assert key(tasks.rename(tmp_path / "elsewhere"), batch_size=1) == before
    (tmp_path / "elsewhere" / "items.jsonl").write_text('{"prompt": "x", "gold": "yes"}\n')
    assert key(tmp_path / "elsewhere") != before
