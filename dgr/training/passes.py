"""How the examples of one global batch are cut into forward passes, and the tensors of a pass.

The loss weighs every supervised token of the global batch alike, so the cut changes speed and memory, not the result:
examples of like length go together, and nothing is ever moved to another global batch.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dgr.chat import IGNORED

if TYPE_CHECKING:
    import torch

    from dgr.chat import Encoded

PASS_TOKENS = 512  # what starting one more pass costs, in tokens: it has to save more padding than this

Cut = list[list[list[int]]]  # [process][pass] -> positions in the global batch; every process has as many passes


def cut(
    lengths: Sequence[int], processes: int, per_device_batch: int | str, tokens_per_pass: int, packing: bool
) -> Cut:
    """Cut a global batch with these lengths; `processes` (times `per_device_batch`, if that is a number) divides it.

    "auto" allows `tokens_per_pass` tokens in a pass of one process, padding included, or a single longer example.
    """
    order = sorted(range(len(lengths)), key=lambda position: (-lengths[position], position))
    if packing and per_device_batch == "auto":
        return _packed(order, lengths, processes, tokens_per_pass)
    if per_device_batch == "auto":
        groups = _padded([lengths[position] for position in order], processes, tokens_per_pass)
    else:
        groups = [processes * per_device_batch] * (len(order) // (processes * per_device_batch))
    shares: Cut = [[] for _ in range(processes)]
    begin = 0
    for size in groups:
        for process in range(processes):  # in turn, so that all have about the same to do
            shares[process].append(order[begin + process : begin + size : processes])
        begin += size
    return shares


def _padded(lengths: Sequence[int], processes: int, tokens_per_pass: int) -> list[int]:
    """Sizes of the cheapest groups, over `lengths` from the longest down; each is one pass of every process.

    A group costs what its fullest process computes, padding included, and PASS_TOKENS.
    """
    best, start = [0.0], [0]
    for end in range(1, len(lengths) + 1):
        cheapest = (float("inf"), 0)
        for begin in range(end - processes, -1, -1):
            rows = -(-(end - begin) // processes)
            tokens = rows * lengths[begin]
            if rows > 1 and tokens > tokens_per_pass:
                break  # a longer group is wider, too
            cheapest = min(cheapest, (best[begin] + tokens + PASS_TOKENS, begin))
        best.append(cheapest[0])
        start.append(cheapest[1])
    sizes, end = [], len(lengths)
    while end:
        sizes.append(end - start[end])
        end = start[end]
    return sizes[::-1]


def _packed(order: Sequence[int], lengths: Sequence[int], processes: int, tokens_per_pass: int) -> Cut:
    """The fewest passes that hold everything: each example, from the longest down, goes to the emptiest pass."""
    for passes in range(1, len(order) // processes + 1):
        bins: list[list[int]] = [[] for _ in range(passes * processes)]
        filled = [0] * len(bins)
        for position in order:
            emptiest = filled.index(min(filled))
            bins[emptiest].append(position)
            filled[emptiest] += lengths[position]
        if max(filled) <= tokens_per_pass:
            break
    bins.sort(key=lambda content: -sum(lengths[position] for position in content))
    return [bins[process::processes] for process in range(processes)]


def computed_tokens(shares: Cut, lengths: Sequence[int], packing: bool) -> int:
    """Tokens that go through the model for one global batch, padding included."""
    passes = [[lengths[position] for position in content] for share in shares for content in share]
    return sum(sum(content) if packing else max(content) * len(content) for content in passes)


def collate(
    examples: Sequence["Encoded"], pad_id: int, packing: bool = False, benign: Sequence[bool] | None = None
) -> dict[str, "torch.Tensor"]:
    """The tensors of one forward pass; with `benign`, the supervised positions of those examples are marked in it."""
    return _row(examples, benign) if packing else _rows(examples, pad_id, benign)


def _rows(examples: Sequence["Encoded"], pad_id: int, benign: Sequence[bool] | None) -> dict[str, "torch.Tensor"]:
    """Right-padded [batch, longest]; the mask comes from the lengths, for the pad token may be a real one."""
    import torch

    shape = (len(examples), max(len(example.input_ids) for example in examples))
    batch = {
        "input_ids": torch.full(shape, pad_id),
        "attention_mask": torch.zeros(shape, dtype=torch.long),
        "labels": torch.full(shape, IGNORED),
    }
    for row, example in enumerate(examples):
        length = len(example.input_ids)
        batch["input_ids"][row, :length] = torch.tensor(example.input_ids)
        batch["labels"][row, :length] = torch.tensor(example.labels)
        batch["attention_mask"][row, :length] = 1
    if benign is not None:
        batch["benign"] = torch.tensor(benign)[:, None] & (batch["labels"] != IGNORED)
    return batch


def _row(examples: Sequence["Encoded"], benign: Sequence[bool] | None) -> dict[str, "torch.Tensor"]:
    """One row [1, tokens] without padding: positions begin at 0 with every example, which is what isolates them.

    The first label of every example has to be IGNORED, for it stands after another example.
    """
    import torch

    batch = {
        "input_ids": torch.tensor([[token for example in examples for token in example.input_ids]]),
        "position_ids": torch.cat([torch.arange(len(example.input_ids)) for example in examples])[None],
        "labels": torch.tensor([[IGNORED if i == 0 else label for e in examples for i, label in enumerate(e.labels)]]),
    }
    if benign is not None:
        marks = [torch.full((len(e.input_ids),), mark) for e, mark in zip(examples, benign, strict=True)]
        batch["benign"] = torch.cat(marks)[None] & (batch["labels"] != IGNORED)
    return batch
