"""What the loss is computed on: encoded samples, the order in which they come, and the size of a batch."""

import hashlib
import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import TYPE_CHECKING

from dgr.chat import IGNORED
from dgr.sample import Sample, digest
from dgr.training.passes import Cut

if TYPE_CHECKING:
    from dgr.chat import Chat, Encoded


@dataclass(frozen=True)
class Plan:
    """What is trained on, settled before the model is loaded.

    `stream` holds one index into the samples for each example of the whole training, `effective_batch` of them for
    each step; `cuts` says for each step which process takes which of them into which forward pass.
    """

    stream: list[int]
    cuts: list[Cut]
    effective_batch: int

    @property
    def steps(self) -> int:
        return len(self.cuts)

    @property
    def processes(self) -> int:
        return len(self.cuts[0])

    @property
    def per_device_batch(self) -> int:
        """Examples in the fullest forward pass."""
        return max(len(content) for shares in self.cuts for share in shares for content in share)

    @property
    def accumulation(self) -> int:
        """Forward passes of one process for one step, at most."""
        return max(len(shares[0]) for shares in self.cuts)

    def batch(self, step: int) -> list[int]:
        """Indices of the samples in a step's global batch."""
        return self.stream[step * self.effective_batch : (step + 1) * self.effective_batch]

    def passes(self, step: int, process: int) -> list[list[int]]:
        """Indices of the samples in each forward pass of a process."""
        batch = self.batch(step)
        return [[batch[position] for position in content] for content in self.cuts[step][process]]


def plan_batches(
    samples: Sequence[Sample],
    lengths: Sequence[int],
    seed: int,
    global_batch: int,
    epochs: float | None,
    max_steps: int | None,
    cut: Callable[[list[int]], Cut],
) -> Plan:
    """Cut an endless stream of epochs into batches of exactly `global_batch` examples, and those into forward passes.

    An epoch holds every sample once, in an order of its own that depends on the seed and the ids. The stream of
    epochs is cut without regard to their ends, so that a batch has `global_batch` examples even when there are
    fewer samples (10 samples at batch 16: all ten and six of the next epoch), nothing is dropped, and equal steps
    mean equal examples whatever n is. `epochs` is rounded up to whole batches. `cut` is given the lengths of a batch.
    """
    steps = steps_for(len(samples), global_batch, epochs, max_steps)
    ids = [sample.id for sample in samples]
    stream = list(islice(_epochs(ids, seed), steps * global_batch))
    ends = range(global_batch, len(stream) + 1, global_batch)
    return Plan(
        stream, [cut([lengths[index] for index in stream[end - global_batch : end]]) for end in ends], global_batch
    )


def steps_for(n: int, global_batch: int, epochs: float | None, max_steps: int | None) -> int:
    return max_steps if max_steps is not None else math.ceil(epochs * n / global_batch)


def _epochs(ids: list[str], seed: int) -> Iterator[int]:
    for epoch in count():
        keys = [digest(seed, "order", epoch, name, length=64) for name in ids]
        yield from sorted(range(len(ids)), key=keys.__getitem__)


def encode(
    samples: Sequence[Sample], chat: "Chat", max_length: int | None, train_on_prompt: bool = False
) -> list["Encoded"]:
    """Token ids and labels of every sample; ValueError lists the samples that are too long or masked wrongly.

    With `train_on_prompt` the prompt's tokens are supervised too, but for the first, which nothing predicts.
    """
    encoded, problems = [], []
    for sample in samples:
        try:
            example = chat.encode(sample.prompt, sample.reasoning, sample.answer, max_length)
            if train_on_prompt:
                example = replace(example, labels=[IGNORED, *example.input_ids[1:]])
            check_mask(example, chat.end_id)
            encoded.append(example)
        except ValueError as error:
            problems.append(f"sample {sample.id}: {error}")
    if problems:
        more = f"\n(and {len(problems) - 10} more)" if len(problems) > 10 else ""
        raise ValueError(
            f"{len(problems)} of {len(samples)} samples cannot be trained on:\n" + "\n".join(problems[:10]) + more
        )
    return encoded


def check_mask(encoded: "Encoded", end_id: int) -> None:
    """Raise ValueError unless the labels are the input ids from the first supervised token to the final end token."""
    labels, ids = encoded.labels, encoded.input_ids
    supervised = sum(label != IGNORED for label in labels)
    if len(labels) != len(ids):
        raise ValueError(f"{len(labels)} labels for {len(ids)} tokens; there must be one a token")
    if supervised == 0:
        raise ValueError("no token is supervised (every label is masked); reasoning and answer are empty")
    if labels[-1] != end_id:
        raise ValueError(
            f"the last label is token {labels[-1]}, not the end token {end_id}; the model would never stop"
        )
    if supervised == len(labels) or labels[-supervised:] != ids[-supervised:]:
        raise ValueError("the labels are not the tokens after the prompt; the loss mask is wrong")


def fingerprint(encoded: Sequence["Encoded"], stream: Sequence[int], *settings: object) -> str:
    """Digest of everything that training depends on: a checkpoint of another training is not continued."""
    content = hashlib.sha256(array("q", stream).tobytes())
    for example in encoded:
        content.update(array("q", [len(example.input_ids), *example.input_ids, *example.labels]).tobytes())
    return digest(content.hexdigest(), *settings)
