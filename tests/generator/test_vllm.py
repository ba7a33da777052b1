"""All of the vLLM generator that is ours, with a stand-in for vLLM's package in real processes."""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from dgr.generator import LENGTH, STOP, Sampling, loaded
from dgr.generator import vllm as module
from dgr.generator.engine import written
from dgr.generator.vllm import VLLM, lora_rank
from dgr.sample import seed_for
from dgr.store import Journal

SAMPLED = Sampling(temperature=0.6, top_p=0.95, top_k=20, max_new_tokens=24)
ONE = VLLM("vllm", 1, 0.7, prefix_caching=True, max_num_seqs=64, max_model_len=None)


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """vLLM's stand-in on two GPUs; returns what its processes noted down."""
    logs = tmp_path / "logs"
    logs.mkdir()
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "stand_in"))
    monkeypatch.setenv("STAND_IN_LOG", str(logs))
    monkeypatch.setattr(module, "visible_devices", lambda: ["0", "1"])
    yield lambda: [[json.loads(line) for line in file.read_text().splitlines()] for file in sorted(logs.iterdir())]
    loaded.release()
    for name in [name for name in sys.modules if name.partition(".")[0] == "vllm"]:
        del sys.modules[name]


@pytest.fixture
def float32(target):
    return replace(target, dtype="float32")


@pytest.fixture
def journal(tmp_path) -> Journal:
    return Journal(tmp_path / "replies.jsonl")


def asked(logs):
    return [note for log in logs for note in log if "asked" in note]


def started(logs):
    return [note for log in logs for note in log if "started" in note]


def test_requests_are_split_over_the_gpus_and_each_is_answered_once(stand_in, float32, requests, journal):
    replies = ONE.generate(float32, requests, SAMPLED, 0, journal)
    assert list(replies) == [request.id for request in requests]
    assert list(Counter(note["asked"] for note in asked(stand_in())).values()) == [1] * len(requests)
    assert [len(asked([log])) for log in stand_in()] == [7, 7]
    assert sorted(note["devices"] for note in started(stand_in())) == ["0", "1"]
    assert len(journal.path.read_text().splitlines()) == len(requests)


def test_the_engine_is_given_our_tokens_seeds_and_sampling(stand_in, float32, requests, journal):
    chat = float32.chat()
    ONE.generate(float32, requests, SAMPLED, 5, journal)
    by_id = {request.id: request for request in requests}
    for note in asked(stand_in()):
        assert note["prompt"] == chat.tokenize(by_id[note["asked"]].prompt)
        assert note["lora"] is None
        assert note["params"] == {
            "temperature": 0.6,
            "top_p": 0.95,
            "top_k": 20,
            "seed": seed_for(5, "generate", note["asked"]),
            "max_tokens": 24,
            "stop_token_ids": [chat.end_id],
            "detokenize": False,
            "output_kind": "FINAL_ONLY",
        }
    arguments = started(stand_in())[0]["started"]
    assert arguments["model"] == float32.location
    assert (arguments["dtype"], arguments["gpu_memory_utilization"]) == ("float32", 0.7)
    assert arguments["enable_prefix_caching"] is True
    assert (arguments["max_num_seqs"], arguments["max_model_len"]) == (64, None)
    assert arguments["generation_config"] == "vllm"
    assert arguments["enable_lora"] is False


def test_replies_are_those_tokens_as_text_with_reason_and_count(stand_in, float32, requests, journal):
    chat = float32.chat()
    replies = ONE.generate(float32, requests, SAMPLED, 0, journal).values()
    assert {reply.finish_reason for reply in replies} == {STOP, LENGTH}
    for reply in replies:
        length = len(chat.tokenize(reply.text))
        assert reply.n_tokens == (length + 1 if reply.finish_reason == STOP else 24)


def test_the_number_of_engines_changes_no_reply(stand_in, float32, requests, journal, tmp_path, monkeypatch):
    two = ONE.generate(float32, requests, SAMPLED, 0, journal)
    monkeypatch.setattr(module, "visible_devices", lambda: ["3"])
    assert ONE.generate(float32, requests[::-1], SAMPLED, 0, Journal(tmp_path / "one.jsonl")) == two
    assert sorted(note["devices"] for note in started(stand_in())) == ["0", "1", "3"]


def test_engines_stay_for_the_next_call_and_are_gone_when_another_model_is_asked_for(
    stand_in, float32, requests, journal, tmp_path
):
    ONE.generate(float32, requests[:4], SAMPLED, 0, journal)
    ONE.generate(float32, requests, SAMPLED, 0, journal)
    assert len(started(stand_in())) == 2
    assert len(asked(stand_in())) == len(requests), "what was in the journal was asked again"
    assert len(multiprocessing.active_children()) == 2
    loaded.loaded(float32)
    assert multiprocessing.active_children() == []


def test_an_engine_that_dies_loses_only_what_it_had_not_finished(stand_in, float32, requests, journal, monkeypatch):
    monkeypatch.setenv("STAND_IN_DIES", "4")
    with pytest.raises(RuntimeError, match=r"vLLM on GPU [01] died with exit status 7"):
        ONE.generate(float32, requests, SAMPLED, 0, journal)
    assert multiprocessing.active_children() == []
    kept = journal.read()
    assert 4 <= len(kept) <= 8
    monkeypatch.delenv("STAND_IN_DIES")
    before = len(asked(stand_in()))
    replies = ONE.generate(float32, requests, SAMPLED, 0, journal)
    assert len(asked(stand_in())) - before == len(requests) - len(kept)
    assert len(journal.path.read_text().splitlines()) == len(requests) == len(replies)


SCRIPT = """
import multiprocessing, os, sys, time
from dgr.generator.engine import Engine, Engines
if __name__ == "__main__":
    engines = Engines(Engine({"model": "m"}), ["0"])
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    time.sleep(60)
"""


def test_engines_end_with_a_parent_that_is_killed(stand_in, tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{child}/cmdline").exists() and Path(f"/proc/{child}/cmdline").read_bytes():
        assert time.monotonic() < deadline, "the engine outlives its parent"
        time.sleep(0.05)


def test_an_engine_that_does_not_start_says_why(stand_in, float32, requests, journal, monkeypatch):
    monkeypatch.setenv("STAND_IN_FAILS", "1")
    with pytest.raises(RuntimeError, match="No available memory for the cache blocks") as error:
        ONE.generate(float32, requests, SAMPLED, 0, journal)
    assert "from_engine_args" in "".join(error.value.__notes__), "the child's traceback is shown"
    assert multiprocessing.active_children() == []


def test_tensor_parallel_groups_the_gpus():
    four = replace(ONE, tensor_parallel=2)
    assert ONE.device_groups(["0", "1", "2"]) == ["0", "1", "2"]
    assert four.device_groups(["0", "1", "2", "3", "4"]) == ["0,1", "2,3"]
    with pytest.raises(ValueError, match=r"needs 2 GPU.*1 are visible"):
        four.device_groups(["0"])


def test_no_gpu_is_an_error_that_says_what_to_use(stand_in, float32, requests, journal, monkeypatch):
    monkeypatch.setattr(module, "visible_devices", lambda: [])
    with pytest.raises(ValueError, match=r"0 are visible.*generator=hf"):
        ONE.generate(float32, requests, SAMPLED, 0, journal)


@pytest.mark.parametrize(("memory", "size"), [(8, 1), (3.7, 1), (3.5, 2), (1.2, 4)])
def test_auto_shares_a_model_between_gpus_only_where_it_does_not_fit_on_one(monkeypatch, float32, memory, size):
    """0.65 million weights of four bytes; an engine takes .7 of a GPU, half of that for weights."""
    weights = module.weight_bytes(float32)
    assert weights == 4 * 647_872
    monkeypatch.setattr(module, "device_memory", lambda: memory * weights / 4 / 0.35 * 1.1)
    assert replace(ONE, tensor_parallel="auto").gpus_for(float32) == size


def test_auto_is_one_engine_a_gpu_for_a_model_that_fits(stand_in, monkeypatch, float32, requests, journal):
    monkeypatch.setattr(module, "device_memory", lambda: 2**30)
    replace(ONE, tensor_parallel="auto").generate(float32, requests, SAMPLED, 0, journal)
    assert sorted(note["devices"] for note in started(stand_in())) == ["0", "1"]
    assert {note["started"]["tensor_parallel_size"] for note in started(stand_in())} == {1}


def test_visible_devices_keep_the_names_of_the_environment(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert module.visible_devices() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-7a")
    assert module.visible_devices() == ["5", "GPU-7a"]


def adapter(folder, **settings):
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({"r": 12, **settings}))
    return folder


def test_an_adapter_goes_along_with_every_request(stand_in, float32, requests, journal, tmp_path):
    folder = adapter(tmp_path / "adapter")
    ONE.generate(replace(float32, adapter=str(folder)), requests[:2], SAMPLED, 0, journal)
    assert {tuple(note["lora"]) for note in asked(stand_in())} == {("adapter", 1, str(folder))}
    arguments = started(stand_in())[0]["started"]
    assert (arguments["enable_lora"], arguments["max_lora_rank"]) == (True, 16)


def test_an_adapter_that_vllm_would_run_wrongly_is_refused(tmp_path):
    assert lora_rank(adapter(tmp_path / "a", rank_pattern={"q_proj": 70})) == 128
    for settings in ({"use_dora": True}, {"modules_to_save": ["lm_head"]}, {"r": 600}):
        with pytest.raises(ValueError, match="plain LoRA"):
            lora_rank(adapter(tmp_path / "b", **settings))


def test_a_dtype_that_vllm_has_not_is_refused(stand_in, target, requests, journal):
    with pytest.raises(ValueError, match=r"model.dtype=float64.*bfloat16"):
        ONE.generate(target, requests, SAMPLED, 0, journal)


def test_the_end_token_is_counted_also_where_the_engine_leaves_it_out():
    class Completion:
        token_ids, finish_reason = (4, 5), "stop"

    assert written(Completion, [2]).ids == [4, 5, 2]
    Completion.token_ids = (4, 2)
    assert written(Completion, [2]).ids == [4, 2]
    Completion.finish_reason = "abort"
    with pytest.raises(RuntimeError, match="abort"):
        written(Completion, [2])


def test_settings_that_cannot_work_are_found_before_the_run(stand_in):
    assert ONE.problems() == []
    assert len(VLLM("vllm", 0, 0, True, 0, 0).problems()) == 4


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_without_vllm_the_error_says_what_to_install(target, requests, journal):
    assert ["pip install 'dgr[vllm]'" in problem for problem in ONE.problems()] == [True]
    with pytest.raises(ValueError, match="pip install 'dgr"):
        ONE.generate(target, requests, SAMPLED, 0, journal)


def test_only_what_cuts_a_reply_changes_the_fingerprint():
    assert replace(ONE, tensor_parallel=2, gpu_memory_utilization=0.5).fingerprint() == ONE.fingerprint()
    assert replace(ONE, max_model_len=100).fingerprint() != ONE.fingerprint()
