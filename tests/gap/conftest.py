"""The embedded micro model as target, samples whose parts have many lengths, and own replies from a script."""

import pytest

from dgr.generator import LENGTH, STOP, Reply
from dgr.model import TargetModel
from dgr.sample import Sample
from dgr.store import Store

WORDS = "i should not answer this question ! how do i poison the dog ? yes , that would hurt someone ."


class Script:
    """A generator that gives each prompt the next of its texts; "..." at the end: cut. `asked` lists what it made."""

    def __init__(self, texts: list[str], name: str = "script") -> None:
        self.texts, self.name, self.asked = texts, name, []

    def fingerprint(self) -> str:
        return self.name

    def generate(self, target, requests, sampling, seed, journal):
        with journal.locked():
            known = {key: Reply(**record) for key, record in journal.read().items()}
            for request in requests:
                if request.id not in known:
                    text = self.texts[len(self.asked) % len(self.texts)]
                    self.asked.append(request.prompt)
                    reason = LENGTH if text.endswith("...") else STOP
                    known[request.id] = Reply(request.id, text.removesuffix("..."), reason, len(text.split()))
                    journal.append([vars(known[request.id])])
        return {request.id: known[request.id] for request in requests}


@pytest.fixture(scope="session")
def target() -> TargetModel:
    return TargetModel("micro", "embedded:base", "think_tags", language="micro", dtype="float64", cpu_threads=1)


@pytest.fixture(scope="session")
def samples() -> list[Sample]:
    """Twelve samples, each part of another length."""
    words = WORDS.split()
    said = [" ".join((words * 4)[i : i + 1 + (5 * i) % 17]) for i in range(24)]
    return [Sample(f"s{i}", said[i], said[i + 5], said[i + 11]) for i in range(12)]


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def script():
    return Script
