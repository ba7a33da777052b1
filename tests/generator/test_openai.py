"""The client against a real server (transformers serve with the micro checkpoint), with a proxy that makes faults."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from types import SimpleNamespace

import pytest

pytest.importorskip("httpx2")
pytest.importorskip("tenacity")

from faulty_proxy import CUT, DROP, SLOW, SPOIL, Answer, Proxy, completion

from dgr.chat import FORMATS
from dgr.generator import LENGTH, STOP, Request, Sampling, endpoint
from dgr.generator.hf import HF
from dgr.generator.openai import CHAT, OpenAI, special_delimiters
from dgr.sample import seed_for
from dgr.store import Journal

GREEDY = Sampling(max_new_tokens=24)
KEY = "sk-test-0123456789-very-secret"
LOCAL = HF("hf", 64, 0.8)


@pytest.fixture(scope="session")
def server(target):
    """Port of a real server that serves the micro checkpoint in float64."""
    for package in ("fastapi", "uvicorn", "openai"):
        pytest.importorskip(package, reason="transformers[serving] is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["serve", target.location, "--device", "cpu", "--dtype", "float64", "--host", "127.0.0.1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "transformers.cli.transformers", *command, "--port", str(port)],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process)
        yield port
    finally:
        process.kill()
        process.wait()


def wait_for(url, process):
    deadline = time.monotonic() + 600
    while True:
        try:
            return urllib.request.urlopen(url, timeout=5).read()
        except OSError:
            assert process.poll() is None, "the server died"
            assert time.monotonic() < deadline, "the server never became ready"
            time.sleep(0.2)


@pytest.fixture(scope="session")
def real(server):
    proxy = Proxy(server)
    yield proxy
    proxy.close()


@pytest.fixture
def proxy(real):
    """In front of the real server."""
    real.reset()
    return real


@pytest.fixture
def alone():
    """A proxy without a server behind it: it answers what a test tells it to."""
    proxy = Proxy()
    yield proxy
    proxy.close()


@pytest.fixture(autouse=True)
def fast_and_with_a_key(monkeypatch):
    monkeypatch.setattr(endpoint, "BACKOFF", 0.01)
    monkeypatch.setenv("TEST_KEY", KEY)


@pytest.fixture
def journal(tmp_path) -> Journal:
    return Journal(tmp_path / "replies.jsonl")


def client(proxy, **settings) -> OpenAI:
    defaults = {
        "name": "openai",
        "base_url": proxy.url,
        "api_key_env": "TEST_KEY",
        "serves": "embedded:base",
        "model": None,
        "endpoint": "completions",
        "concurrency": 4,
        "timeout": 300,
        "max_attempts": 4,
        "extra_body": {},
        "local": LOCAL,
    }
    return OpenAI(**{**defaults, **settings})


@pytest.fixture(scope="session")
def expected(target, requests, tmp_path_factory):
    """What transformers in this process replies, greedily."""
    return LOCAL.generate(target, requests, GREEDY, 0, Journal(tmp_path_factory.mktemp("hf") / "replies.jsonl"))


def ids_in(journal):
    return [json.loads(line)["id"] for line in journal.path.read_text().splitlines()]


def test_a_real_server_gives_the_replies_that_the_model_gives_here(target, requests, proxy, journal, expected):
    assert client(proxy).generate(target, requests, GREEDY, 0, journal) == expected
    assert sorted(ids_in(journal)) == sorted(expected)
    assert {seen.path for seen in proxy.seen} == {"/v1/completions"}
    assert [seen.body["prompt"] for seen in proxy.seen] == [request.prompt for request in requests]


FAULTS = {
    "connections dropped": lambda number, body: DROP if number % 3 == 1 else None,
    "replies cut off": lambda number, body: CUT if number % 3 == 0 else None,
    "broken JSON": lambda number, body: SPOIL if number % 4 == 0 else None,
    "429": lambda number, body: Answer(429, {"error": "busy"}, {"retry-after": "0"}) if number % 2 else None,
    "500 and 503": lambda number, body: Answer(500 + 3 * (number % 2), {}) if number % 5 < 2 else None,
    "slow replies": lambda number, body: SLOW if number % 4 == 0 else None,
}


@pytest.mark.parametrize("fault", [*FAULTS, "all of them"])
def test_faults_on_the_way_lose_nothing_and_double_nothing(fault, target, requests, proxy, journal, expected):
    plans = [FAULTS[fault]] if fault in FAULTS else list(FAULTS.values())
    proxy.plan = lambda number, body: plans[number // 2 % len(plans)](number, body)
    generator = client(proxy, max_attempts=12)
    assert generator.generate(target, requests, GREEDY, 0, journal) == expected
    assert sorted(ids_in(journal)) == sorted(expected)
    assert sum(seen.action is not None for seen in proxy.seen) >= 2, "no fault was made"
    assert fault == "slow replies" or len(proxy.seen) > len(requests), "no request was made again"


def test_a_request_that_takes_too_long_is_made_again(target, requests, alone, journal):
    plan = answering(target)
    alone.plan = lambda number, body: replace(plan(number, body), delay=30.0 if number == 1 else 0.0)
    client(alone, timeout=2).generate(target, requests[:1], GREEDY, 0, journal)
    assert len(alone.seen) == 2
    assert alone.seen[1].at - alone.seen[0].at >= 2


SCRIPT = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
from test_openai import GREEDY, client
from dgr.generator import Request
from dgr.model import TargetModel
from dgr.store import Journal
target = TargetModel("micro", "embedded:base", "think_tags", language="micro", dtype="float64")
requests = [Request(*pair) for pair in json.loads(sys.stdin.read())]
client(SimpleNamespace(url=sys.argv[1])).generate(target, requests, GREEDY, 0, Journal(Path(sys.argv[2])))
"""


def test_after_a_kill_only_what_was_in_flight_is_asked_again(target, requests, proxy, journal, expected, tmp_path):
    proxy.plan, proxy.slowness = (lambda number, body: SLOW), 0.3
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, proxy.url, str(journal.path)],
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])},
    )
    process.stdin.write(json.dumps([(request.id, request.prompt) for request in requests]).encode())
    process.stdin.close()
    deadline = time.monotonic() + 300
    while not journal.path.exists() or len(ids_in(journal)) < 5:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = set(journal.read())
    asked = len(proxy.seen)
    assert len(kept) >= asked - 4, "more than the requests in flight were lost"
    assert len(kept) < len(requests)

    proxy.reset()
    assert client(proxy).generate(target, requests, GREEDY, 0, journal) == expected
    assert {seen.body["prompt"] for seen in proxy.seen} == {r.prompt for r in requests if r.id not in kept}
    assert len(proxy.seen) == len(requests) - len(kept)
    assert sorted(journal.read()) == sorted(expected)


def test_what_is_in_the_journal_asks_nobody(target, requests, proxy, journal, expected):
    client(proxy).generate(target, requests, GREEDY, 0, journal)
    proxy.reset()
    assert client(proxy, api_key_env="NOT_SET").generate(target, requests[:3], GREEDY, 0, journal) == {
        request.id: expected[request.id] for request in requests[:3]
    }
    assert proxy.seen == []


def test_no_more_requests_at_once_than_concurrency_allows(target, requests, proxy, journal):
    proxy.plan, proxy.slowness = (lambda number, body: SLOW), 0.2
    client(proxy, concurrency=3).generate(target, requests, GREEDY, 0, journal)
    assert proxy.peak == 3


def answering(target, text="ok </think> fine", **more):
    """A plan that answers every request itself."""
    chat = target.chat()
    return lambda number, body: completion(text, **{"prompt_tokens": len(chat.tokenize(body["prompt"])), **more})


def test_each_sample_has_its_own_seed_whatever_the_order(target, requests, alone, tmp_path):
    alone.plan = answering(target)
    sampling = Sampling(temperature=0.6, top_p=0.95, top_k=20, max_new_tokens=7)
    seeds = []
    for turn, asked in enumerate((requests, requests[::-1])):
        alone.reset()
        alone.plan = answering(target)
        client(alone).generate(target, asked, sampling, 3, Journal(tmp_path / f"{turn}.jsonl"))
        seeds.append({seen.body["prompt"]: seen.body["seed"] for seen in alone.seen})
    assert seeds[0] == seeds[1]
    assert seeds[0] == {r.prompt: seed_for(3, "generate", r.id) % 2**31 for r in requests}
    body = alone.seen[0].body
    assert [body[key] for key in ("temperature", "top_p", "top_k", "max_tokens")] == [0.6, 0.95, 20, 7]


def test_top_k_is_only_sent_where_it_cuts_and_the_yaml_adds_what_a_server_wants(target, requests, alone, journal):
    alone.plan = answering(target)
    generator = client(alone, model="my-model", extra_body={"add_special_tokens": False})
    generator.generate(target, requests[:1], GREEDY, 0, journal)
    body = alone.seen[0].body
    assert "top_k" not in body
    assert body["add_special_tokens"] is False
    assert body["model"] == "my-model"


def test_retry_after_is_waited_for(target, requests, alone, journal):
    plan = answering(target)
    alone.plan = lambda number, body: Answer(429, {}, {"retry-after": "1"}) if number == 1 else plan(number, body)
    client(alone).generate(target, requests[:1], GREEDY, 0, journal)
    assert 1.0 <= alone.seen[1].at - alone.seen[0].at < 2.0


def test_retry_after_may_be_a_date_or_nonsense():
    def header(value):
        return endpoint.retry_after(SimpleNamespace(headers={"retry-after": value}))

    assert header("Thu, 01 Jan 2015 00:00:00 GMT") == 0
    assert header("Fri, 01 Jan 2100 00:00:00 GMT") > 1e6
    assert header("2.5") == 2.5
    assert header("soon") == header("") == 0


REFUSED = {
    "key": (Answer(401, {"error": f"Incorrect API key provided: {KEY}"}), "generator.api_key_env"),
    "model": (Answer(404, {"error": {"message": "The model `x` does not exist."}}), "The model `x` does not exist"),
    "settings": (Answer(422, {"detail": "Unexpected fields: {'top_k'}"}), "Unexpected fields"),
    "money": (Answer(429, {"error": {"code": "insufficient_quota"}}), "insufficient_quota"),
    "elsewhere": (Answer(301, {}, {"location": "http://127.0.0.1:1/"}), "HTTP 301"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_waiting_helps_ends_at_once_and_keeps_the_replies_so_far(what, target, requests, alone, journal):
    answer, said = REFUSED[what]
    plan = answering(target)
    alone.plan = lambda number, body: answer if number == 4 else plan(number, body)
    with pytest.raises(ValueError, match=said) as error:
        client(alone, concurrency=1).generate(target, requests, GREEDY, 0, journal)
    assert alone.url in str(error.value)
    assert KEY not in str(error.value)
    assert len(alone.seen) == 4
    assert len(ids_in(journal)) == 3


def test_a_server_that_stays_away_ends_after_the_last_attempt(target, requests, alone, journal):
    alone.plan = lambda number, body: Answer(503, {"error": "loading"})
    with pytest.raises(RuntimeError, match=r"3 attempts.*503: loading.*start the same command again"):
        client(alone, concurrency=1, max_attempts=3).generate(target, requests[:1], GREEDY, 0, journal)
    assert len(alone.seen) == 3


def test_the_key_reaches_the_server_and_nothing_else(target, requests, alone, journal, caplog):
    answers = [Answer(400, {"error": f"bad: {KEY}"}), Answer(500, {"error": f"Bearer {KEY}"})]
    alone.plan = lambda number, body: answers[number % 2]
    generator = client(alone, concurrency=1)
    with caplog.at_level(logging.DEBUG), pytest.raises(ValueError, match=r"bad: \*\*\*") as error:
        generator.generate(target, requests, GREEDY, 0, journal)
    assert alone.seen[0].headers["authorization"] == f"Bearer {KEY}"
    assert "HTTP 500: Bearer ***" in caplog.text
    chain, shown = error.value, ""
    while chain:
        shown += repr(chain)
        chain = chain.__cause__ or chain.__context__
    assert KEY not in shown + caplog.text + repr(generator) + generator.fingerprint()


def test_a_message_is_cut_after_the_key_is_hidden_in_it(target, requests, alone, journal):
    alone.plan = lambda number, body: Answer(400, {"error": "x" * 390 + KEY})
    with pytest.raises(ValueError, match="HTTP 400") as error:
        client(alone).generate(target, requests[:1], GREEDY, 0, journal)
    assert KEY[:6] not in str(error.value)


def test_no_key_no_header(target, requests, alone, journal):
    alone.plan = answering(target)
    client(alone, api_key_env=None).generate(target, requests[:1], GREEDY, 0, journal)
    assert "authorization" not in alone.seen[0].headers


def test_finish_reasons(target, requests, alone, tmp_path):
    def reply(*reasons, text="so </think> no<eos>"):
        alone.reset()
        plans = [answering(target, text=text, finish_reason=reason) for reason in reasons]
        alone.plan = lambda number, body: plans[number - 1](number, body)
        journal = Journal(tmp_path / f"{reasons}.jsonl")
        return client(alone).generate(target, requests[:1], GREEDY, 0, journal)[requests[0].id]

    assert reply("stop").finish_reason == STOP
    assert reply("stop").text == "so </think> no", "the end token is taken off"
    assert reply("length").finish_reason == LENGTH
    assert reply("content_filter").finish_reason == LENGTH, "a reply that was cut is unfinished"
    assert reply("abort", None, "stop").finish_reason == STOP, "a reply that was broken off is asked for again"
    assert len(alone.seen) == 3


def test_a_server_that_reads_another_prompt_is_found_out(target, requests, alone, journal):
    n = len(target.chat().tokenize(requests[0].prompt))
    alone.plan = answering(target, prompt_tokens=n + 1)
    with pytest.raises(ValueError, match=rf"read {n + 1} tokens, its prompt has {n}.*add_special_tokens"):
        client(alone).generate(target, requests[:1], GREEDY, 0, journal)


def test_an_answer_in_another_shape_is_an_error(target, requests, alone, journal):
    alone.plan = lambda number, body: Answer(200, {"generated_text": "hi"})
    with pytest.raises(ValueError, match="no reply of OpenAI's completions interface"):
        client(alone).generate(target, requests[:1], GREEDY, 0, journal)


def test_a_think_block_of_special_tokens_must_be_asked_for(target):
    s1 = SimpleNamespace(format=FORMATS["s1"], tokenizer=SimpleNamespace(all_special_tokens=["<|im_start|>", "<|x|>"]))
    assert special_delimiters(s1) == {"<|im_start|>think", "<|im_start|>answer"}
    assert special_delimiters(target.chat()) == set()


def test_the_model_just_trained_is_asked_here_not_at_the_endpoint(target, requests, alone, tmp_path, expected):
    trained = replace(target, path=target.location)
    replies = client(alone).generate(trained, requests, GREEDY, 0, Journal(tmp_path / "replies.jsonl"))
    assert replies == expected
    assert alone.seen == []


def test_chat_sends_the_users_text_and_says_what_that_means(target, proxy, journal, tmp_path, caplog):
    chat = target.chat()
    texts = ["how do i paint the fence ?", "how do i trick the </think> friend ?"]
    requests = [Request(f"c{i}", chat.render_prompt(text), user=text) for i, text in enumerate(texts)]
    whole = replace(GREEDY, max_new_tokens=160)
    replies = client(proxy, endpoint=CHAT).generate(target, requests, whole, 0, journal)
    expected = LOCAL.generate(target, requests, whole, 0, Journal(tmp_path / "hf.jsonl"))
    for request in requests:
        reply, here = replies[request.id], expected[request.id]
        assert chat.split(request.prompt, reply.text) == chat.split(request.prompt, here.text)
        assert (reply.finish_reason, reply.n_tokens) == (here.finish_reason, here.n_tokens)
    assert {seen.path for seen in proxy.seen} == {"/v1/chat/completions"}
    asked = {seen.body["messages"][0]["content"] for seen in proxy.seen}  # side by side, in any order
    assert asked == {chat.neutralise(text) for text in texts}
    assert "endpoint=chat: the server renders the prompt" in caplog.text


def test_chat_needs_the_users_text_and_nothing_before_the_reply(target, requests, alone, journal):
    chat = target.chat()
    for request in (requests[0], Request("p", chat.render_prompt("hi", prefix=" so"), user="hi")):
        with pytest.raises(ValueError, match="endpoint=completions"):
            client(alone, endpoint=CHAT).generate(target, [request], GREEDY, 0, journal)
    assert alone.seen == []


def test_a_chat_reply_that_was_taken_apart_is_put_together(target, alone, tmp_path):
    chat = target.chat()
    request = Request("x", chat.render_prompt("hi"), user="hi")

    def said(**message):
        alone.reset()
        usage = {"prompt_tokens": 1, "completion_tokens": 5}
        choice = {"message": message, "finish_reason": "stop"}
        alone.plan = lambda number, body: Answer(200, {"choices": [choice], "usage": usage})
        journal = Journal(tmp_path / f"{len(message)}{message}.jsonl"[:200])
        return client(alone, endpoint=CHAT).generate(target, [request], GREEDY, 0, journal)["x"].text

    for text in (
        said(content="no .", reasoning_content="they may be hurt ."),
        said(content="no .", reasoning="they may be hurt ."),
        said(content="<think> they may be hurt . </think> no ."),
        said(content="they may be hurt . </think> no ."),
    ):
        split = chat.split(request.prompt, text)
        assert (split.reasoning, split.answer, split.blocks) == ("they may be hurt .", "no .", 1)
    assert chat.split(request.prompt, said(content=None, reasoning="they may")).closed is False


def test_settings_that_cannot_work_are_found_before_the_run(alone, monkeypatch):
    def problems(**settings):
        return " / ".join(client(alone, **settings).problems())

    assert problems() == ""
    assert problems(api_key_env=None) == ""
    for url in ("127.0.0.1:8000", "ftp://x/v1", "http://", "http://x:port/v1"):
        assert f"generator.base_url={url}" in problems(base_url=url)
    secret = problems(base_url=f"https://me:{KEY}@example.org/v1")
    assert "no user, password" in secret
    assert KEY not in secret
    assert "up to /v1" in problems(base_url="http://x/v1/chat/completions")
    assert "that variable is not set" in problems(api_key_env="SURELY_NOT_SET")
    assert "never the key" in problems(api_key_env=KEY)
    assert KEY not in problems(api_key_env=KEY)
    monkeypatch.setenv("TEST_KEY", f"{KEY}\n")
    assert "holds blanks" in problems()
    assert KEY not in problems()
    assert (
        len(client(alone, endpoint="x", concurrency=0, max_attempts=0, timeout=0, local=HF("hf", 0, 1)).problems()) == 6
    )


def test_what_changes_a_reply_changes_the_fingerprint(alone):
    same = client(alone).fingerprint()
    for settings in ({"concurrency": 9}, {"api_key_env": None}, {"timeout": 1}, {"max_attempts": 1}):
        assert client(alone, **settings).fingerprint() == same
    for settings in ({"base_url": "http://x/v1"}, {"model": "m"}, {"endpoint": CHAT}, {"extra_body": {"min_p": 0.1}}):
        assert client(alone, **settings).fingerprint() != same
