import json
from dataclasses import replace

import pytest
import torch

from dgr.generator import LENGTH, STOP, Request, Sampling
from dgr.generator import hf as module
from dgr.generator.hf import HF, to_reply
from dgr.store import Journal

SAMPLED = Sampling(temperature=1.0, top_p=0.95, max_new_tokens=24)
GREEDY = Sampling(max_new_tokens=24)


@pytest.fixture
def journal(tmp_path) -> Journal:
    return Journal(tmp_path / "replies.jsonl")


@pytest.fixture
def ask(target, tmp_path):
    """Replies of a fresh journal."""
    count = iter(range(99))

    def ask(requests, sampling=SAMPLED, seed=0, batch_size=4):
        generator = HF("hf", batch_size, 0.8)
        return generator.generate(target, requests, sampling, seed, Journal(tmp_path / f"{next(count)}.jsonl"))

    return ask


@pytest.mark.parametrize("sampling", [SAMPLED, GREEDY], ids=["sampled", "greedy"])
def test_a_reply_is_the_same_in_every_batch_order_and_subset(ask, requests, sampling):
    whole = ask(requests, sampling, batch_size=64)
    assert ask(requests, sampling, batch_size=1) == whole
    assert ask(requests[::-1], sampling, batch_size=5) == whole
    assert ask(requests[3:5], sampling) == {request.id: whole[request.id] for request in requests[3:5]}
    assert list(whole) == [request.id for request in requests]


def test_another_seed_or_id_gives_another_sample_but_greedy_ignores_both(ask, requests):
    assert ask(requests, seed=1) != ask(requests, seed=0)
    twins = [Request(f"twin{i}", requests[0].prompt) for i in range(6)]
    assert len({reply.text for reply in ask(twins).values()}) > 1
    assert len({reply.text for reply in ask(twins, GREEDY, seed=3).values()}) == 1


def test_greedy_equals_the_libraries_greedy(ask, requests, target):
    model, chat = target.load_model(), target.chat()
    for request in requests:
        ids = torch.tensor([chat.tokenize(request.prompt)])
        whole = model.generate(ids, do_sample=False, max_new_tokens=24, top_p=None, temperature=None)[0, ids.shape[1] :]
        reply = ask([request], GREEDY)[request.id]
        stopped = int(whole[-1]) == chat.end_id
        assert reply.text == chat.tokenizer.decode(whole[:-1] if stopped else whole)
        assert (reply.finish_reason, reply.n_tokens) == (STOP if stopped else LENGTH, len(whole))


@pytest.fixture
def early(ask, requests) -> int:
    """Tokens after which some replies are finished and others are not."""
    lengths = sorted(reply.n_tokens for reply in ask(requests, replace(SAMPLED, max_new_tokens=200)).values())
    return lengths[3]


def test_a_reply_that_reaches_the_limit_is_the_beginning_of_the_whole_one(ask, requests, early):
    whole = ask(requests, replace(SAMPLED, max_new_tokens=200))
    short = ask(requests, replace(SAMPLED, max_new_tokens=early - 1))
    assert {reply.finish_reason for reply in short.values()} == {STOP, LENGTH}
    for key, reply in short.items():
        assert whole[key].text.startswith(reply.text)
        assert reply.finish_reason == STOP or reply.n_tokens == early - 1


def test_the_stop_token_is_taken_off_and_other_special_tokens_stay(target):
    from dgr.generator.decoding import Row, Written

    chat = target.chat()
    ids = chat.tokenize("so <user> </think> no")
    row = Row("x", (1,), 9, 0)
    reply = to_reply(row, Written([*ids, chat.end_id], STOP), chat)
    assert (reply.text, reply.n_tokens) == ("so <user> </think> no", len(ids) + 1)
    assert to_reply(row, Written(ids, LENGTH), chat).text == "so <user> </think> no"


def test_a_killed_run_makes_only_what_is_missing_and_ends_like_an_undisturbed_one(
    target, requests, generator, journal, monkeypatch
):
    undisturbed = generator.generate(target, requests, SAMPLED, 0, journal)
    lines = journal.path.read_bytes().splitlines(keepends=True)
    assert len(lines) == len(requests)
    journal.path.write_bytes(b"".join(lines[:5]) + lines[5][:20])  # killed while it wrote the sixth
    made = []
    rows = module.to_rows
    monkeypatch.setattr(module, "to_rows", lambda asked, *rest: made.extend(asked) or rows(asked, *rest))
    assert generator.generate(target, requests, SAMPLED, 0, journal) == undisturbed
    kept = {json.loads(line)["id"] for line in lines[:5]}
    assert {request.id for request in made} == {request.id for request in requests} - kept


def test_what_is_in_the_journal_needs_no_model(target, requests, generator, journal, monkeypatch):
    replies = generator.generate(target, requests, SAMPLED, 0, journal)
    monkeypatch.setattr(module, "loaded", lambda target: pytest.fail("the model was loaded"))
    assert generator.generate(target, requests[2:4], SAMPLED, 0, journal) == {
        request.id: replies[request.id] for request in requests[2:4]
    }
    assert generator.generate(target, [], SAMPLED, 0, journal) == {}


def test_finished_replies_are_written_while_their_batch_goes_on(target, requests, journal, early, monkeypatch):
    """A run killed in the middle of a batch keeps the replies that had ended."""
    from dgr.generator import decoding

    advance = decoding.Batch.advance

    def killed(batch):
        if batch.step == early:
            raise KeyboardInterrupt
        return advance(batch)

    monkeypatch.setattr(decoding.Batch, "advance", killed)
    with pytest.raises(KeyboardInterrupt):
        HF("hf", 64, 0.8).generate(target, requests, replace(SAMPLED, max_new_tokens=200), 0, journal)
    assert 0 < len(journal.read()) < len(requests)


def test_out_of_memory_changes_no_reply(target, requests, ask, journal, monkeypatch):
    from dgr.generator import decoding

    expected = ask(requests)
    advance = decoding.Batch.advance

    def small_device(batch):
        if len(batch.rows) > 3 and batch.step == 5:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return advance(batch)

    monkeypatch.setattr(decoding.Batch, "advance", small_device)
    assert HF("hf", 64, 0.8).generate(target, requests, SAMPLED, 0, journal) == expected


def test_a_prompt_that_fills_the_context_is_an_error_with_both_lengths(ask, target):
    context = target.load_model().config.max_position_embeddings
    long = Request("too-long", target.chat().render_prompt("dog " * context))
    with pytest.raises(ValueError, match=rf"'too-long'.*{len(target.chat().tokenize(long.prompt))} tokens.*{context}"):
        ask([long])


def test_a_reply_ends_where_the_context_does(ask, target, caplog):
    model, chat = target.load_model(), target.chat()
    context = model.config.max_position_embeddings
    empty = len(chat.tokenize(chat.render_prompt("")))
    reply = ask([Request("long", chat.render_prompt("dog " * (context - empty - 2)))])["long"]
    assert reply.n_tokens <= 2
    assert "1 of 1 prompts leave less than max_new_tokens=24" in caplog.text


def test_one_id_for_two_prompts_is_an_error(ask, requests):
    with pytest.raises(ValueError, match="two different prompts"):
        ask([requests[0], Request(requests[0].id, "another")])
    assert len(ask([requests[0], requests[0]])) == 1


def test_settings_that_cannot_work_are_found_before_the_run():
    assert HF("hf", 8, 0.8).problems() == []
    assert len(HF("hf", 0, 1.5).problems()) == 2
