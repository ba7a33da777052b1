"""The target refuses in its own words, without a reference, because it is told to (ThinkSafe, 2601.23143)."""

import logging
import math
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

from dgr.refine import RefineContext, Refined
from dgr.refine.rewrite import Rewrite
from dgr.sample import REFUSE, Sample

log = logging.getLogger(__name__)

LOWEST_RATE = 0.1  # so that a target which hardly ever refuses is not asked for all of a large source at once


@dataclass(frozen=True)
class SelfRefusal(Rewrite):
    """The prompt file puts one sentence before a harmful request; a benign one is asked as it is.

    For every sample that is dropped the next one of the source is drawn, until as many are kept as were asked for or
    the source is exhausted. A larger subset therefore begins with a smaller one's samples, as everywhere.
    """

    shows: ClassVar[tuple[str, ...]] = ("prompt",)

    def ask(self, sample: Sample) -> str:
        return super().ask(sample) if sample.stance == REFUSE else sample.prompt

    def refine(self, samples: list[Sample], context: RefineContext) -> list[Refined]:
        refined, reserve = super().refine(samples, context), None
        while (kept := sum(not entry.dropped for entry in refined)) < len(samples):
            reserve = list(context.reserve()) if reserve is None else reserve
            if not reserve:
                break
            draw = math.ceil((len(samples) - kept) / max(kept / len(refined), LOWEST_RATE))
            refined += super().refine(reserve[:draw], context)
            reserve = reserve[draw:]
        # What was drawn beyond the last sample needed is left out: the result must not depend on how many are drawn.
        reached = list(accumulate(not entry.dropped for entry in refined))
        if len(samples) in reached:
            refined = refined[: reached.index(len(samples)) + 1]
        log.info("%d of %d samples kept, %d drawn from the source", min(kept, len(samples)), len(samples), len(refined))
        return refined
