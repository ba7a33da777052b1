"""A benchmark: items, how replies to them are sampled, and the judge that gives each reply a verdict."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

from dgr.chat import Chat, Split
from dgr.evaluation.budget import sampled
from dgr.generator import LENGTH, Generator, Reply, Request, Sampling
from dgr.judge import Case, Judge, JudgeContext, Verdict
from dgr.model import TargetModel
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


class Items(Protocol):
    """Where a benchmark's items come from; `language` says which models can read them."""

    language: str

    def load_with_report(self) -> tuple[list[Item], dict]:
        """The items, and where they came from; an empty report where nothing is to be said."""
        ...

    def problems(self) -> list[str]: ...
    def hub_ids(self) -> list[tuple[str, str, str | None]]: ...


@dataclass(frozen=True)
class Asked:
    """One reply to an item, the `number`-th of its samples from 1; `forced`: its think block was closed for it."""

    item: Item
    number: int
    reply: Reply
    split: Split
    thinking_tokens: int
    forced: bool

    @property
    def id(self) -> str:
        return sample_id(self.item, self.number)

    @property
    def truncated(self) -> bool:
        """A reply without an end, or whose think block never closes, holds no answer."""
        return self.reply.finish_reason == LENGTH or not self.split.closed

    def case(self) -> Case:
        split, item = self.split, self.item
        return Case(self.id, item.prompt, split.reasoning, split.answer, item.gold, item.category)


def sample_id(item: Item, number: int) -> str:
    return f"{item.id}#{number}"


@dataclass(frozen=True)
class Benchmark:
    """One benchmark of one kind ("reasoning", "safety" or "over_refusal"); each item is asked `samples` times."""

    name: str
    kind: str
    items: Items
    judge: Judge
    samples: int
    sampling: dict[str, Any]

    def problems(self) -> list[str]:
        found = [*self.items.problems(), *self._sampling_problems()]
        if self.kind not in KINDS:
            found.append(f"kind={self.kind} is unknown; choose one of {', '.join(KINDS)}")
        if self.kind == OVER_REFUSAL and not getattr(self.judge, "tells_refusals", True):
            found.append(
                f"judge {self.judge.name} tells harm, not refusals: every harmless answer would count as refused; "
                "choose refusal_rules, wildguard_refusal or a rubric"
            )
        return [f"benchmark {self.name}: {problem}" for problem in found]

    def _sampling_problems(self) -> Iterator[str]:
        known = [field.name for field in fields(Sampling)]
        for key in self.sampling:
            if key not in known:
                yield f"sampling.{key} is unknown; choose one of {', '.join(known)}"
        if self.samples < 1:
            yield f"samples={self.samples}: at least 1 is needed"
        if self.samples > 1 and not self.sampling.get("temperature"):
            yield f"samples={self.samples} at temperature 0 would all be the same; set samples=1 or a temperature"

    def ask(
        self,
        items: Sequence[Item],
        target: TargetModel,
        generator: Generator,
        seed: int,
        journal: Journal,
        budget: int | None = None,
    ) -> list[Asked]:
        """The target's replies, in the order of the items' ids. `budget`: tokens after which thinking is ended."""
        chat = target.chat()
        ordered = sorted(items, key=lambda item: item.id)
        rendered = {item.id: chat.render_prompt(item.prompt) for item in ordered}
        wanted = [(item, number) for item in ordered for number in range(1, self.samples + 1)]
        requests = [Request(sample_id(item, n), rendered[item.id], item.prompt) for item, n in wanted]

        def ask(requests: list[Request], sampling: Sampling) -> dict[str, Reply]:
            return generator.generate(target, requests, sampling, seed, journal)

        replies = sampled(ask, requests, Sampling(**self.sampling), chat, budget)
        return [_asked(item, n, rendered[item.id], *replies[sample_id(item, n)], chat) for item, n in wanted]

    def rows(self, asked: Sequence[Asked], context: JudgeContext) -> list[dict]:
        """One row a reply, with its verdict; truncated replies never reach the judge."""
        verdicts = self.judge.verdicts([one.case() for one in asked if not one.truncated], context)
        return [self._row(one, self._truncated(one) if one.truncated else verdicts[one.id]) for one in asked]

    def _row(self, asked: Asked, verdict: Verdict) -> dict:
        return {
            "id": asked.id,
            "item": asked.item.id,
            "sample": asked.number,
            "prompt": asked.item.prompt,
            "gold": asked.item.gold,
            "category": asked.item.category,
            "reply": asked.reply.text,
            "verdict": verdict.label,
            "why": verdict.why,
            "thought_correct": verdict.thought_correct,
            "reasoning_verdict": verdict.reasoning_label,
            "score": verdict.score,
            "truncated": asked.truncated,
            "forced": asked.forced,
            "n_tokens": asked.reply.n_tokens,
            "thinking_tokens": asked.thinking_tokens,
        }

    def _truncated(self, asked: Asked) -> Verdict:
        """Wrong, or neither stance."""
        limit = asked.reply.finish_reason == LENGTH
        why = "the token limit was reached" if limit else "the think block is never closed"
        return Verdict("wrong", why, False) if self.kind == REASONING else Verdict("garbled", why)


def _asked(item: Item, number: int, rendered: str, reply: Reply, forced: bool, chat: Chat) -> Asked:
    split = chat.split(rendered, reply.text)
    return Asked(item, number, reply, split, len(chat.tokenize(split.reasoning)), forced)
