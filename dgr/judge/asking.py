"""What every judge that asks a model does: one question a text, the journal, and what is done with what comes back."""

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from dgr.generator import LENGTH, Reply, Sampling
from dgr.judge import GARBLED, UNPARSABLE, Case, JudgeContext, Verdict
from dgr.judge.model import ChatModel, Classifier
from dgr.judge.prompt import filled, load_prompt, prompt_problems
from dgr.judge.served import Served
from dgr.sample import digest

log = logging.getLogger(__name__)

ANSWER, REASONING = "answer", "reasoning"


@dataclass(frozen=True)
class ModelJudge(ABC):
    """Asks `model` about every answer, greedily; with `reasoning` once more about the think block, judged as if it were
    the answer.

    `prompt` names a file in dgr/judge/prompts, or a path. The first `clip` tokens of a text are shown (null: all).
    A reply that cannot be read is the verdict "unparsable" with the reply in `why`; an empty answer is "garbled"
    without being asked about.
    """

    name: str
    prompt: str
    model: Classifier | ChatModel | Served
    max_new_tokens: int
    clip: int | None
    reasoning: bool

    system: ClassVar[str] = ""  # said to a chat model before the prompt
    needed: ClassVar[tuple[str, ...]] = ("prompt", "answer")
    in_fingerprint: ClassVar[tuple[str, ...]] = ("prompt",)

    @abstractmethod
    def read(self, said: str) -> Verdict | None:
        """The verdict that a reply of the model gives; None where it gives none."""

    def fingerprint(self) -> str:
        """Digest of the prompt's text: a file that was edited is another judge."""
        return digest(self.system, load_prompt(self.prompt))

    def problems(self) -> list[str]:
        found = [*prompt_problems(self.prompt, self.needed), *self.model.problems()]
        for key in ("max_new_tokens", "clip"):
            value = getattr(self, key)
            if value is not None and value < 1:
                found.append(f"{key}={value}: must be at least 1")
        if self.clip is not None and isinstance(self.model, Served):
            found.append(f"clip={self.clip}: a served model's tokenizer is not at hand; set clip=null")
        return [f"judge {self.name}: {problem}" for problem in found]

    def hub_ids(self) -> list[tuple[str, str, str | None]]:
        return self.model.hub_ids()

    def verdicts(self, cases: Sequence[Case], context: JudgeContext) -> dict[str, Verdict]:
        """A verdict for every case; replies in the context's journal are not asked for again."""
        found = self._about(ANSWER, {case.id: case.answer for case in cases}, cases, context)
        if self.reasoning:
            thoughts = {case.id: case.reasoning for case in cases if case.reasoning.strip()}
            apart = self._about(REASONING, thoughts, cases, context)
            found = {
                case.id: replace(found[case.id], reasoning_label=apart[case.id].label if case.id in apart else None)
                for case in cases
            }
        unread = sum(verdict.label == UNPARSABLE for verdict in found.values())
        log.info("judge %s: %d verdicts, %d of them unparsable", self.name, len(found), unread)
        return found

    def _about(
        self, part: str, texts: dict[str, str], cases: Sequence[Case], context: JudgeContext
    ) -> dict[str, Verdict]:
        """Verdicts on one part of the cases, by case id."""
        judged = {case.id: case for case in cases if re.search(r"\w", texts.get(case.id, ""))}
        shown = self.model.prepare({name: texts[name] for name in judged}, self.clip)
        asked_of = self.model.prepare({name: case.prompt for name, case in judged.items()}, None)
        asked = {
            name: self.ask(replace(case, prompt=asked_of[name], answer=shown[name]))
            for name, case in judged.items()
            if shown[name] is not None and asked_of[name] is not None
        }
        # The id says what was asked: another reply to the same item is never given this one's verdict.
        ids = {name: f"{name}#{part}#{digest(self.system, text)}" for name, text in asked.items()}
        sampling = Sampling(max_new_tokens=self.max_new_tokens)
        questions = {ids[name]: text for name, text in asked.items()}
        replies = self.model.ask(questions, self.system, sampling, context) if asked else {}
        verdicts = {name: self._verdict(replies[ids[name]]) for name in asked}
        unread = Verdict(UNPARSABLE, f"the {part} cannot be shown to the judge: it is read as control tokens")
        empty = Verdict(GARBLED, f"the {part} holds no words")
        return {name: verdicts.get(name, unread if name in judged else empty) for name in texts}

    def ask(self, case: Case) -> str:
        """The prompt about a case; the text to be judged stands in `answer`, whatever part of the reply it is."""
        return filled(self.prompt, prompt=case.prompt, answer=case.answer, gold=case.gold, category=case.category)

    def _verdict(self, reply: Reply) -> Verdict:
        found = self.read(reply.text)
        if found is not None:
            return found
        cut = ", cut at max_new_tokens" if reply.finish_reason == LENGTH else ""
        return Verdict(UNPARSABLE, f"the judge said{cut}: {reply.text[:200]!r}")
