"""Tokens a second of the gap against a plain forward pass over the same texts, side by side in this run.

Plain: `model(input_ids, attention_mask).logits` and the cross-entropy of the labels, texts already tokenised, sorted by
length and cut into batches of equal size; of the sizes below the fastest one counts. It writes nothing and ranks
nothing. The gap's time is that of `sample_nll` as the stage calls it: rendering and tokenising the texts, scoring and
ranking them, and the journal on disk; only the model is in memory before. Both work on one thread of the CPU, and the
CPU's seconds are counted, so that other processes on the machine disturb neither.
"""

import statistics
import time

import pytest
import torch

from dgr.data.micro import MicroDirectRefusal, MicroR1Act
from dgr.gap import sample_nll
from dgr.gap.likelihood import encode
from dgr.generator.loaded import loaded
from dgr.model import TargetModel
from dgr.store import Store

SIZES = (8, 16, 32, 64)
ROUNDS = 3
EACH = 256  # texts of each dataset


def plain(model, encoded, size):
    """Sum of nats over all labels."""
    total = 0.0
    for begin in range(0, len(encoded), size):
        batch = encoded[begin : begin + size]
        width = max(len(row.input_ids) for row in batch)
        ids = torch.tensor([[*row.input_ids, *[0] * (width - len(row.input_ids))] for row in batch])
        mask = torch.tensor([[1] * len(row.input_ids) + [0] * (width - len(row.input_ids)) for row in batch])
        labels = torch.tensor([[*row.labels, *[-100] * (width - len(row.labels))] for row in batch])
        with torch.inference_mode():
            logits = model(input_ids=ids, attention_mask=mask).logits
            losses = torch.nn.functional.cross_entropy(
                logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100, reduction="sum"
            )
        total += losses.item()
    return total


def seconds(work):
    began = time.process_time()
    work()
    return time.process_time() - began


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_gap_is_about_as_fast_as_a_plain_forward_pass(tmp_path, dtype):
    target = TargetModel("micro", "embedded:base", "think_tags", language="micro", dtype=dtype, cpu_threads=1)
    sources = [cls(name=cls.__name__, language="micro", skip_bad=False) for cls in (MicroDirectRefusal, MicroR1Act)]
    samples = [sample for source in sources for sample in source.load()[:EACH]]
    model, chat = loaded(target)
    encoded = sorted((encode(sample, chat, None).encoded for sample in samples), key=lambda row: -len(row.input_ids))
    tokens = sum(len(row.input_ids) for row in encoded)

    rows = sample_nll(samples, target, Store(tmp_path / "first"))
    ours_nats = sum(row["reasoning_nll"] + row["answer_nll"] for row in rows.values())
    assert ours_nats == pytest.approx(plain(model, encoded, 32), rel=1e-5), "both must compute the same thing"

    times = {size: [] for size in SIZES}
    mine = []
    for number in range(ROUNDS):  # in turn, so that a busy machine slows both
        mine.append(seconds(lambda number=number: sample_nll(samples, target, Store(tmp_path / str(number)))))
        for size in SIZES:
            times[size].append(seconds(lambda size=size: plain(model, encoded, size)))
    ours = statistics.median(mine)
    best = min(SIZES, key=lambda size: statistics.median(times[size]))
    theirs = statistics.median(times[best])
    print(
        f"\n{dtype}, {len(samples)} texts, {tokens:,} tokens: gap {tokens / ours:,.0f} tokens a CPU second, "
        f"plain forward in batches of {best} {tokens / theirs:,.0f}, ratio {theirs / ours:.2f}"
    )
    assert theirs / ours > 0.8
