"""The baseline: the source's own words, in the target's think format."""

from dataclasses import dataclass

from dgr.refine import RefineContext, Refined
from dgr.sample import Sample


@dataclass(frozen=True)
class Vanilla:
    """No model is asked. The chat lays the texts out in the target's markup when they are trained on."""

    name: str

    def refine(self, samples: list[Sample], context: RefineContext) -> list[Refined]:
        return [Refined(source=sample, sample=sample) for sample in samples]

    def problems(self) -> list[str]:
        return []
