"""Replies that somebody has made already are read at once, whoever works on others."""

import multiprocessing
import time

from dgr.generator import Reply, Request
from dgr.generator.resume import resumed
from dgr.store import Journal

FORK = multiprocessing.get_context("fork")


def test_known_replies_are_read_while_another_process_makes_others(tmp_path):
    journal, holds = Journal(tmp_path / "replies.jsonl"), FORK.Event()
    journal.append([{"id": name, "text": "hello", "finish_reason": "stop", "n_tokens": 2} for name in "ab"])

    def make_others():
        with journal.locked():
            holds.set()
            time.sleep(600)

    other = FORK.Process(target=make_others)
    other.start()
    try:
        assert holds.wait(30)
        found = resumed([Request("b", "?"), Request("a", "?")], journal, make=None)
    finally:
        other.kill()
        other.join()
    assert list(found) == ["b", "a"]
    assert found["a"] == Reply("a", "hello", "stop", 2)
