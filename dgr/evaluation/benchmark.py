"""A benchmark: items, how replies to them are sampled, and the judge that gives each reply a verdict."""

from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from dgr.chat import Chat, Split
from dgr.generator import LENGTH, Generator, Reply, Request, Sampling
from dgr.model import TargetModel
from dgr.sample import digest
from dgr.store import Journal

REASONING, SAFETY, OVER_REFUSAL = "reasoning", "safety", "over_refusal"
KINDS = (REASONING, SAFETY, OVER_REFUSAL)


@dataclass(frozen=True)
class Item:
    """One benchmark item; `gold` is the right answer of a reasoning item."""

    id: str
    prompt: str
    gold: str = ""
    category: str = ""


@dataclass(frozen=True)
class Verdict:
    """A judge's finding: a label ("correct", "wrong", "refusal", "compliance", "garbled"), the reason, and for
    reasoning whether the chain of thought reaches the right result, whatever became of the answer after it."""

    label: str
    why: str
    thought_correct: bool | None = None


class Items(Protocol):
    """Where a benchmark's items come from; `language` says which models can read them."""

    language: str

    def load(self) -> list[Item]: ...
    def problems(self) -> list[str]: ...
    def hub_ids(self) -> list[tuple[str, str, str | None]]: ...


class Judge(Protocol):
    """Gives a reply its verdict; `truncated` replies never reach it."""

    def verdict(self, item: Item, split: Split) -> Verdict: ...


@dataclass(frozen=True)
class Benchmark:
    """One benchmark of one kind ("reasoning", "safety" or "over_refusal")."""

    name: str
    kind: str
    items: Items
    judge: Judge
    sampling: dict[str, Any] = field(default_factory=dict)

    def problems(self) -> list[str]:
        found = [f"{self.name}: {problem}" for problem in self.items.problems()]
        if self.kind not in KINDS:
            found.append(f"benchmark {self.name}: kind={self.kind} is unknown; choose one of {', '.join(KINDS)}")
        return found

    def run(
        self, target: TargetModel, generator: Generator, seed: int, journal: Journal, limit: int | None = None
    ) -> list[dict]:
        """One row an item, in the order of ids: id, prompt, reply, verdict, why, truncated, n_tokens, ...

        `limit` takes that many items, chosen by a hash of their ids: a smaller limit's are among a larger one's.
        """
        chat = target.chat()
        items = sorted(self.items.load(), key=lambda item: digest("limit", item.id))[:limit]
        items.sort(key=lambda item: item.id)
        rendered = {item.id: chat.render_prompt(item.prompt) for item in items}
        requests = [Request(item.id, rendered[item.id], item.prompt) for item in items]
        replies = generator.generate(target, requests, Sampling(**self.sampling), seed, journal)
        return [self._row(item, rendered[item.id], replies[item.id], chat) for item in items]

    def _row(self, item: Item, prompt: str, reply: Reply, chat: Chat) -> dict:
        split = chat.split(prompt, reply.text)
        truncated = reply.finish_reason == LENGTH or not split.closed
        verdict = self._truncated(reply) if truncated else self.judge.verdict(item, split)
        return {
            **asdict(item),
            "reply": reply.text,
            "verdict": verdict.label,
            "why": verdict.why,
            "thought_correct": verdict.thought_correct,
            "truncated": truncated,
            "n_tokens": reply.n_tokens,
        }

    def _truncated(self, reply: Reply) -> Verdict:
        """A reply without an end, or whose think block never closes, holds no answer: wrong, or neither stance."""
        why = "the token limit was reached" if reply.finish_reason == LENGTH else "the think block is never closed"
        return Verdict("wrong", why, False) if self.kind == REASONING else Verdict("garbled", why)
