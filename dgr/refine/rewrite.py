"""The target says each sample in its own words; what fails the checks is tried again, then falls back.

`Rewrite` is also what other strategies are made of: each overrides one of its small pieces (`writer`, `ask`, `more`,
`choose`) or what is done around them (`refine`).
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from dgr.generator import Reply, Request, Sampling
from dgr.judge import REFUSAL, Case, Judge, context_for
from dgr.model import TargetModel
from dgr.refine import RefineContext, Refined, Tried
from dgr.refine.checks import PARTS, Attempt, failures, setting_problems
from dgr.refine.prompt import PLACEHOLDERS, fill, load_prompt, prompt_problems
from dgr.sample import REFUSE, Sample, digest
from dgr.store import Journal

if TYPE_CHECKING:
    from dgr.chat import Chat

log = logging.getLogger(__name__)

ORIGINAL, DROP = "original", "drop"

Tries = dict[str, list[Tried]]  # every attempt at a sample, by the sample's content


@dataclass(frozen=True)
class Rewrite:
    """Data generation by the target itself (DGR).

    The target is shown the question with the source's reasoning and answer (`prompt`: the name of a file in
    dgr/refine/prompts, or a path) and answers in its own words; its think block is the new reasoning. `part` says what
    is taken from the reply: the reasoning, the answer or both. `checks` maps names in dgr.refine.checks to true, false
    or bounds. After `max_attempts` failed attempts the sample is the `original`, or is left out (`drop`).

    `judge`, if there is one, is the last check of rewrites of refusals: one that it does not call a refusal fails.
    """

    name: str
    prompt: str
    part: str
    checks: dict[str, Any]
    max_attempts: int
    fallback: str
    judge: Judge | None = field(default=None, kw_only=True)

    shows: ClassVar[tuple[str, ...]] = PLACEHOLDERS  # what of a sample the prompt file must show
    in_fingerprint: ClassVar[tuple[str, ...]] = ("prompt",)

    def fingerprint(self) -> str:
        """Digest of the prompt's content: a file that was edited is another strategy."""
        return digest(load_prompt(self.prompt))

    def problems(self) -> list[str]:
        found = prompt_problems(self.prompt, self.shows) + setting_problems(self.checks)
        if self.part not in PARTS:
            found.append(f"refine.part={self.part}: choose {', '.join(PARTS)}")
        if self.max_attempts < 1:
            found.append(f"refine.max_attempts={self.max_attempts}: must be at least 1")
        if self.fallback not in (ORIGINAL, DROP):
            found.append(f"refine.fallback={self.fallback}: choose {ORIGINAL} or {DROP}")
        return found + ([f"refine.judge: {text}" for text in self.judge.problems()] if self.judge else [])

    def hub_ids(self) -> list[tuple[str, str, str | None]]:
        return self.judge.hub_ids() if self.judge else []

    def refine(self, samples: list[Sample], context: RefineContext) -> list[Refined]:
        tries = self.attempts(samples, context)
        chosen = self.choose(tries, context)
        return [self._refined(sample, tries[sample.content], chosen.get(sample.content)) for sample in samples]

    def writer(self, context: RefineContext) -> TargetModel:
        """The model that is asked; its chat renders the prompt and takes the reply apart."""
        return context.target

    def ask(self, sample: Sample) -> str:
        """What the writer is told, before its chat format."""
        texts = {"prompt": sample.prompt, "reasoning": sample.reasoning, "answer": sample.answer}
        return fill(load_prompt(self.prompt), **{name: texts[name] for name in self.shows})

    def more(self, tries: Sequence[Tried]) -> bool:
        """Is another attempt to be made after these?"""
        return not tries or bool(tries[-1].failed)

    def choose(self, tries: Tries, context: RefineContext) -> dict[str, Tried]:
        """The attempt that is trained on, by the sample's content; a sample without a valid one is not in it."""
        valid = {content: [tried for tried in made if not tried.failed] for content, made in tries.items()}
        return {content: made[0] for content, made in valid.items() if made}

    def attempts(self, samples: Sequence[Sample], context: RefineContext) -> Tries:
        """Ask until no sample wants more attempts or all have had `max_attempts`."""
        writer, journal = self.writer(context), self.journal(context)
        chat, sampling = writer.chat(), Sampling(**writer.sampling)
        asked = {sample.content: chat.neutralise(self.ask(sample)) for sample in samples}
        rendered = {content: chat.render_prompt(text) for content, text in asked.items()}
        tries: Tries = {sample.content: [] for sample in samples}
        for number in range(1, self.max_attempts + 1):
            waiting = [sample for sample in samples if self.more(tries[sample.content])]
            if not waiting:
                break
            contents = [sample.content for sample in waiting]
            requests = [Request(f"{content}#{number}", rendered[content], asked[content]) for content in contents]
            replies = context.generator.generate(writer, requests, sampling, context.seed, journal)
            checked = list(self._checked(number, waiting, requests, replies, chat, context))
            for sample, tried in self._judged(checked, context):
                tries[sample.content].append(tried)
            valid = sum(any(not tried.failed for tried in made) for made in tries.values())
            log.info("attempt %d of %d: %d of %d samples are valid", number, self.max_attempts, valid, len(tries))
        return tries

    def journal(self, context: RefineContext) -> Journal:
        """Every attempt ever made with this model, prompt, sampling and seed: checks, part, fallback and the number of
        attempts are no part of the key, so that changing them never generates a reply again."""
        writer = self.writer(context)
        return context.store.journal(
            "attempts",
            digest(
                writer.fingerprint(),
                load_prompt(self.prompt),
                Sampling(**writer.sampling),
                context.generator.fingerprint(),
                context.seed,
            ),
        )

    def _checked(
        self,
        number: int,
        samples: Sequence[Sample],
        requests: Sequence[Request],
        replies: dict[str, Reply],
        chat: "Chat",
        context: RefineContext,
    ) -> Iterator[tuple[Sample, Tried]]:
        """The replies to the attempt of that number, taken apart and checked."""
        prompt_id = digest(load_prompt(self.prompt))
        for sample, request in zip(samples, requests, strict=True):
            reply = replies[request.id]
            split = chat.split(request.prompt, reply.text)
            attempt = Attempt(sample, split, reply.finish_reason, context.target.language, self.part)
            new = {name: text for name, (text, _) in attempt.parts.items()}
            failed = failures(attempt, self.checks)
            n_tokens = len(chat.tokenize(request.prompt))
            yield sample, Tried(number, prompt_id, reply, replace(sample, **new), failed, n_tokens)

    def _judged(self, checked: list[tuple[Sample, Tried]], context: RefineContext) -> Iterator[tuple[Sample, Tried]]:
        """The attempts, with the failure "judge" added to those that passed the checks and are no refusal to it."""
        passed = {tried.reply.id: tried for sample, tried in checked if sample.stance == REFUSE and not tried.failed}
        verdicts = {}
        if self.judge and passed:
            rewrites = {name: tried.rewrite for name, tried in passed.items()}
            cases = [Case(name, new.prompt, new.reasoning, new.answer) for name, new in rewrites.items()]
            judging = context_for(self.judge, context.generator, context.seed, context.store)
            verdicts = self.judge.verdicts(cases, judging)
        for sample, tried in checked:
            verdict = verdicts.get(tried.reply.id)
            if verdict and verdict.label != REFUSAL:
                tried = replace(tried, failed={**tried.failed, "judge": f"{verdict.label}: {verdict.why}"})
            yield sample, tried

    def _refined(self, sample: Sample, tries: list[Tried], chosen: Tried | None) -> Refined:
        kept = chosen.rewrite if chosen else sample if self.fallback == ORIGINAL else None
        return Refined(sample, kept, accepted=bool(chosen), fallback=kept is not None and not chosen, tries=tries)
