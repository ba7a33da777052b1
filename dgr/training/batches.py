"""What the loss is computed on: encoded samples, the order in which they come, and the size of a batch."""

import hashlib
import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import TYPE_CHECKING

from dgr.chat import IGNORED
from dgr.sample import Sample, digest

if TYPE_CHECKING:
    import torch

    from dgr.chat import Chat, Encoded

AUTO_TOKENS = 8192  # padded tokens in one forward pass when per_device_batch is auto


@dataclass(frozen=True)
class Plan:
    """What is trained on, settled before the model is loaded.

    `stream` holds one index into the samples for each example of the whole training, `effective_batch` of them for
    each of the `steps`.
    """

    stream: list[int]
    steps: int
    per_device_batch: int
    accumulation: int
    processes: int = 1

    @property
    def effective_batch(self) -> int:
        return self.per_device_batch * self.accumulation * self.processes


def plan_batches(
    samples: Sequence[Sample],
    lengths: Sequence[int],
    seed: int,
    global_batch: int,
    per_device_batch: int | str,
    epochs: float | None,
    max_steps: int | None,
) -> Plan:
    """Cut an endless stream of epochs into batches of exactly `global_batch` examples.

    An epoch holds every sample once, in an order of its own that depends on the seed and the ids. The stream of
    epochs is cut without regard to their ends, so that a batch has `global_batch` examples even when there are
    fewer samples (10 samples at batch 16: all ten and six of the next epoch), nothing is dropped, and equal steps
    mean equal examples whatever n is. `epochs` is rounded up to whole batches.
    """
    if per_device_batch == "auto":
        fitting = (size for size in divisors(global_batch)[::-1] if size * max(lengths) <= AUTO_TOKENS)
        per_device_batch = next(fitting, 1)
    steps = steps_for(len(samples), global_batch, epochs, max_steps)
    ids = [sample.id for sample in samples]
    stream = list(islice(_epochs(ids, seed), steps * global_batch))
    return Plan(stream, steps, per_device_batch, global_batch // per_device_batch)


def steps_for(n: int, global_batch: int, epochs: float | None, max_steps: int | None) -> int:
    return max_steps if max_steps is not None else math.ceil(epochs * n / global_batch)


def divisors(number: int) -> list[int]:
    return [size for size in range(1, number + 1) if number % size == 0]


def _epochs(ids: list[str], seed: int) -> Iterator[int]:
    for epoch in count():
        keys = [digest(seed, "order", epoch, name, length=64) for name in ids]
        yield from sorted(range(len(ids)), key=keys.__getitem__)


def encode(samples: Sequence[Sample], chat: "Chat", max_length: int | None) -> list["Encoded"]:
    """Token ids and labels of every sample; ValueError lists the samples that are too long or masked wrongly."""
    encoded, problems = [], []
    for sample in samples:
        try:
            encoded.append(chat.encode(sample.prompt, sample.reasoning, sample.answer, max_length))
            check_mask(encoded[-1], chat.end_id)
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


def collate(examples: Sequence["Encoded"], pad_id: int) -> dict[str, "torch.Tensor"]:
    """Right-padded tensors [batch, longest]; the mask comes from the lengths, for the pad token may be a real one."""
    import torch

    longest = max(len(example.input_ids) for example in examples)
    ids = torch.full((len(examples), longest), pad_id)
    labels = torch.full((len(examples), longest), IGNORED)
    mask = torch.zeros((len(examples), longest), dtype=torch.long)
    for row, example in enumerate(examples):
        length = len(example.input_ids)
        ids[row, :length] = torch.tensor(example.input_ids)
        labels[row, :length] = torch.tensor(example.labels)
        mask[row, :length] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}
