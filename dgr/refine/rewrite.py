"""The target says each sample in its own words; what fails the checks is tried again, then falls back."""

import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dgr.generator import Request, Sampling
from dgr.refine import RefineContext, Refined
from dgr.refine.checks import Attempt, failures, setting_problems
from dgr.refine.prompt import fill, load_prompt, prompt_problems
from dgr.sample import Sample, digest
from dgr.store import Journal

if TYPE_CHECKING:
    from dgr.chat import Chat

log = logging.getLogger(__name__)

ORIGINAL, DROP = "original", "drop"


@dataclass(frozen=True)
class Rewrite:
    """Data generation by the target itself (DGR).

    The target is shown the question with the source's reasoning and answer (`prompt`: the name of a file in
    dgr/refine/prompts, or a path) and answers in its own words; its think block is the new reasoning. `checks` maps
    names in dgr.refine.checks to true, false or bounds. After `max_attempts` failed attempts the sample is the
    `original`, or is left out (`drop`).
    """

    name: str
    prompt: str
    checks: dict[str, Any]
    max_attempts: int
    fallback: str

    def fingerprint(self) -> str:
        """Digest of the prompt's content: a file that was edited is another strategy."""
        return digest(load_prompt(self.prompt))

    def problems(self) -> list[str]:
        found = prompt_problems(self.prompt) + setting_problems(self.checks)
        if self.max_attempts < 1:
            found.append(f"refine.max_attempts={self.max_attempts}: must be at least 1")
        if self.fallback not in (ORIGINAL, DROP):
            found.append(f"refine.fallback={self.fallback}: choose {ORIGINAL} or {DROP}")
        return found

    def refine(self, samples: list[Sample], context: RefineContext) -> list[Refined]:
        chat, journal = context.target.chat(), self.journal(context)
        rendered = {sample.content: self.render(sample, chat) for sample in samples}
        tries: dict[str, list[_Try]] = defaultdict(list)
        waiting = list(samples)
        for number in range(1, self.max_attempts + 1):
            for sample, attempt in self._attempt(number, waiting, rendered, chat, journal, context):
                tries[sample.content].append(attempt)
            waiting = [sample for sample in waiting if tries[sample.content][-1].failed]
            log.info("attempt %d of %d: %d samples have no valid rewrite", number, self.max_attempts, len(waiting))
        return [self._refined(sample, tries[sample.content]) for sample in samples]

    def render(self, sample: Sample, chat: "Chat") -> str:
        """The whole prompt of the rewriting task, in the target's chat format."""
        texts = {"prompt": sample.prompt, "reasoning": sample.reasoning, "answer": sample.answer}
        return chat.render_prompt(fill(load_prompt(self.prompt), **texts))

    def journal(self, context: RefineContext) -> Journal:
        """Every attempt ever made with this model, prompt, sampling and seed: checks, fallback and the number of
        attempts are no part of the key, so that changing them never generates a reply again."""
        return context.store.journal(
            "attempts",
            digest(
                context.target.fingerprint(),
                load_prompt(self.prompt),
                Sampling(**context.target.sampling),
                context.generator.fingerprint(),
                context.seed,
            ),
        )

    def _attempt(
        self,
        number: int,
        samples: list[Sample],
        rendered: dict[str, str],
        chat: "Chat",
        journal: Journal,
        context: RefineContext,
    ) -> Iterator[tuple[Sample, "_Try"]]:
        """The attempt of that number at each sample, checked."""
        sampling = Sampling(**context.target.sampling)
        requests = [Request(f"{sample.content}#{number}", rendered[sample.content]) for sample in samples]
        replies = context.generator.generate(context.target, requests, sampling, context.seed, journal)
        for sample, request in zip(samples, requests, strict=True):
            reply = replies[request.id]
            split = chat.split(request.prompt, reply.text)
            failed = failures(Attempt(sample, split, reply.finish_reason, context.target.language), self.checks)
            rewrite = replace(sample, reasoning=split.reasoning, answer=split.answer)
            yield sample, _Try(rewrite, list(failed), len(chat.tokenize(request.prompt)), reply.n_tokens)

    def _refined(self, sample: Sample, tries: list["_Try"]) -> Refined:
        accepted = not tries[-1].failed
        kept = tries[-1].rewrite if accepted else sample if self.fallback == ORIGINAL else None
        return Refined(
            source=sample,
            sample=kept,
            accepted=accepted,
            fallback=not accepted and kept is not None,
            attempts=[attempt.failed for attempt in tries],
            tokens_in=sum(attempt.tokens_in for attempt in tries),
            tokens_out=sum(attempt.tokens_out for attempt in tries),
        )


@dataclass(frozen=True)
class _Try:
    """An attempt after its checks."""

    rewrite: Sample
    failed: list[str]
    tokens_in: int
    tokens_out: int
