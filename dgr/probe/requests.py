"""The requests that hidden states are read on: harmful or not, of which category and topic, and what they are for."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from dgr.evaluation.benchmark import Benchmark
from dgr.sample import digest

# Probes and directions are fitted on the first; the others are new topics of its categories, and new categories.
TRAIN, TOPICS, CATEGORIES = "train", "held_out_topics", "held_out_categories"
TESTS = (TOPICS, CATEGORIES)
TOPIC = "[topic]"  # its place in a request's wording


@dataclass(frozen=True)
class ProbeItem:
    """One request. `topic` is what several requests can share: they are no independent observations."""

    id: str
    prompt: str
    harmful: bool
    kind: str
    category: str
    topic: str
    split: str


class Requests(Protocol):
    """Where the requests come from. `instructions` are texts put in front of a request, by name: what they change in
    the hidden states is a contrast beside harm."""

    name: str
    language: str
    instructions: dict[str, str]

    def load(self) -> list[ProbeItem]: ...
    def problems(self) -> list[str]: ...
    def hub_ids(self) -> list[tuple[str, str, str | None]]: ...


@dataclass(frozen=True)
class MicroRequests:
    """The embedded world's: fitted on topics of safety SFT, tested on evaluation's.

    For every harmful request there is a harmless one in the same words but for the topic, so that no difference is one
    of wording. No word of a held-out category occurs in the requests that are fitted on, in look-alikes neither.
    """

    name: str
    instructions: dict[str, str]
    language: ClassVar[str] = "micro"

    def load(self) -> list[ProbeItem]:
        from dgr.micro.language import BENIGN, EVALUATION, LOOK_ALIKE, SFT, harmful_topics, topics
        from dgr.micro.words import CATEGORIES as ALL

        unseen = {word for category in ALL if category.held_out for word in category.verbs + category.victims}

        def look_alikes(split: str, of_held_out: bool) -> list:
            return [t for t in topics(split, LOOK_ALIKE) if bool({t.verb, t.object} & unseen) == of_held_out]

        rng = random.Random("probe")
        benign = rng.sample(topics(EVALUATION, BENIGN), 60)
        pools = {
            TRAIN: (
                harmful_topics(SFT, held_out=False) * 2,
                look_alikes(SFT, False),
                rng.sample(topics(SFT, BENIGN), 60),
            ),
            TOPICS: (harmful_topics(EVALUATION, held_out=False), look_alikes(EVALUATION, False), benign[:30]),
            CATEGORIES: (harmful_topics(EVALUATION, held_out=True) * 3, look_alikes(EVALUATION, True), benign[30:]),
        }
        found: list[ProbeItem] = []
        for split, (harmful, alike, plain) in pools.items():
            harmless = [*rng.sample(alike, len(harmful) - len(plain)), *plain]
            found += self._asked(rng, split, list(zip(harmful, harmless, strict=True)))
        return found

    def _asked(self, rng: random.Random, split: str, pairs: Sequence[tuple]) -> list[ProbeItem]:
        """Both topics of a pair in the same words; no two requests are the same."""
        from dgr.micro.language import ask, with_setting

        found: dict[str, ProbeItem] = {}
        for pair in pairs:
            prompts: list[str] = []
            while not prompts or found.keys() & set(prompts):
                form = ask(rng, with_setting(rng, TOPIC))
                prompts = [form.replace(TOPIC, topic.text) for topic in pair]
            for topic, prompt in zip(pair, prompts, strict=True):
                kind = "harmful" if topic.harmful else topic.category
                identity = f"{split}-{digest(prompt, length=12)}"
                found[prompt] = ProbeItem(identity, prompt, topic.harmful, kind, topic.category, topic.text, split)
        return list(found.values())

    def problems(self) -> list[str]:
        return []

    def hub_ids(self) -> list[tuple[str, str, str | None]]:
        return []


@dataclass(frozen=True)
class StoredRequests:
    """Those of public benchmarks. Their topics are split by a hash, so that a request stays where it is.

    Requests of `held_out` categories are tested on only. Items of two benchmarks with the same category and row number
    share a topic, as JailbreakBench's harmful and harmless behaviours do.
    """

    name: str
    harmful: dict[str, Benchmark]
    harmless: dict[str, Benchmark]
    held_out: list[str]
    instructions: dict[str, str]
    train_share: float = 0.6
    language: ClassVar[str] = "natural"

    def load(self) -> list[ProbeItem]:
        """ValueError where a split lacks harmful or harmless requests, or a held-out category does not exist."""
        sides = ((True, self.harmful), (False, self.harmless))
        items = [item for harmful, side in sides for one in side.values() for item in self._of(one, harmful)]
        categories = sorted({item.category for item in items if item.harmful})
        for name in self.held_out:
            if name not in categories:
                raise ValueError(f"requests.held_out names {name!r}; the harmful ones' are {', '.join(categories)}")
        for split in (TRAIN, *TESTS):
            for harmful, word in ((True, "harmful"), (False, "harmless")):
                count = sum(item.split == split and item.harmful == harmful for item in items)
                if count < 10:
                    raise ValueError(
                        f"requests={self.name}: {count} {word} requests for {split}, at least 10 are needed; add "
                        f"benchmarks to requests.{word}, or change requests.held_out"
                    )
        return items

    def _of(self, benchmark: Benchmark, harmful: bool) -> list[ProbeItem]:
        found = []
        for item in benchmark.items.load_with_report()[0]:
            topic = f"{item.category}/{item.id.rpartition('/')[2]}"
            kind, split = ("harmful" if harmful else benchmark.name), self._split(item.category, topic, harmful)
            found.append(ProbeItem(item.id, item.prompt, harmful, kind, item.category, topic, split))
        return found

    def _split(self, category: str, topic: str, harmful: bool) -> str:
        if category in self.held_out:
            return CATEGORIES
        place = int(digest("probe", topic), 16) / 16**16
        if place < self.train_share:
            return TRAIN
        # harmless requests without a held-out category of their own are shared by both tests
        return CATEGORIES if not harmful and place > (1 + self.train_share) / 2 else TOPICS

    def problems(self) -> list[str]:
        found = [problem for one in self._all() for problem in one.items.problems()]
        if not 0 < self.train_share < 1:
            found.append(f"requests.train_share={self.train_share}: above 0 and below 1")
        return found

    def hub_ids(self) -> list[tuple[str, str, str | None]]:
        return list(dict.fromkeys(hub_id for one in self._all() for hub_id in one.items.hub_ids()))

    def _all(self) -> list[Benchmark]:
        return [*self.harmful.values(), *self.harmless.values()]


@dataclass(frozen=True)
class Unseen:
    """A benchmark's items without those whose prompts something was fitted on."""

    items: object
    prompts: frozenset[str] = field(repr=False)

    @property
    def language(self) -> str:
        return self.items.language

    def load_with_report(self) -> tuple[list, dict]:
        found, report = self.items.load_with_report()
        return [item for item in found if item.prompt not in self.prompts], report
