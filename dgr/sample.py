"""The Sample record, the seeds of the stages and the nested seeded subsets."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

REFUSE, COMPLY = "refuse", "comply"


def digest(*parts: object, length: int = 16) -> str:
    """Hex digest of the parts; a part never runs into its neighbour."""
    text = "\x1f".join(str(part) for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


def seed_for(seed: int, *names: str) -> int:
    """The run's one seed, split by name ("train", "generate", a sample's id, ...); 0 <= result < 2**63."""
    return int(digest(seed, *names), 16) >> 1


@dataclass(frozen=True)
class Sample:
    """One supervised example in the target's terms: no markup, no chat template, no think tags.

    `id` is stable across runs; `stance` is what the answer does ("refuse" or "comply").
    """

    id: str
    prompt: str
    reasoning: str
    answer: str
    category: str = ""
    stance: str = REFUSE

    @property
    def content(self) -> str:
        """Digest of everything in the sample: equal content means equal work done on it."""
        return digest(*asdict(self).values())


def nested_subset(samples: Sequence[Sample], n: int, seed: int) -> list[Sample]:
    """n samples in an order that depends on seed and ids only: the subset of n is a prefix of every larger one."""
    if not 0 <= n <= len(samples):
        raise ValueError(f"n_samples={n} but the dataset has {len(samples)} samples; choose 0 to {len(samples)}")
    return sorted(samples, key=lambda sample: digest(seed, "subset", sample.id, length=64))[:n]
