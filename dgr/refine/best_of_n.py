"""Of n rewrites, the one that is nearest to the target's own distribution."""

from dataclasses import dataclass

from dgr.gap import sample_nll
from dgr.refine import RefineContext, Tried, nats_per_token
from dgr.refine.rewrite import Rewrite, Tries


@dataclass(frozen=True)
class BestOfN(Rewrite):
    """DGR's attempts, but `n` valid ones are looked for in at most `max_attempts`, and the one with the fewest nats per
    token under the target is kept. With `max_attempts` equal to n, exactly n attempts are made at every sample."""

    n: int

    def problems(self) -> list[str]:
        found = super().problems()
        if not 1 <= self.n <= self.max_attempts:
            found.append(f"refine.n={self.n}: must be at least 1 and at most refine.max_attempts={self.max_attempts}")
        return found

    def more(self, tries: list[Tried]) -> bool:
        return sum(not tried.failed for tried in tries) < self.n

    def choose(self, tries: Tries, context: RefineContext) -> dict[str, Tried]:
        valid = {content: [tried for tried in made if not tried.failed] for content, made in tries.items()}
        candidates = [tried.rewrite for made in valid.values() for tried in made]
        nll = sample_nll(candidates, context.target, context.store)

        def distance(tried: Tried) -> float:
            return nats_per_token(nll[tried.rewrite.content])

        return {content: min(made, key=distance) for content, made in valid.items() if made}
