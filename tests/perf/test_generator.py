"""Tokens a second of our generator, of plain `generate`, and of a batch-of-one loop, side by side in one run.

512 prompts of the micro model: half of them ask it to rewrite a reference (long), half are benchmark items (short to
middling), mixed as files mix them. Same model, number format, sampling and batch size. CPU time of one thread, so that
a busy machine blurs little; the rounds take turns, the median ratio counts.
"""

import random
import statistics
import time
from dataclasses import dataclass

import torch

from dgr.generator import Request, Sampling
from dgr.generator.hf import HF
from dgr.micro.benchmarks import items
from dgr.micro.problems import FAMILIES
from dgr.micro.rewriting import rewriting_prompt
from dgr.micro.sources import r1_act_rows
from dgr.model import TargetModel
from dgr.store import Journal

BATCH, ROUNDS = 128, 3
SAMPLING = Sampling(temperature=1.0, top_p=0.95, max_new_tokens=160)
ALONE = 24  # prompts of the batch-of-one loop, evenly spread: all 512 would take many minutes
TARGET = TargetModel("micro", "embedded:base", "think_tags", language="micro", dtype="float64", cpu_threads=1)


def prompts() -> list[Request]:
    chat = TARGET.chat()
    rewrites = []
    for row in r1_act_rows()[:256]:
        reasoning, _, answer = row["response"].partition("</think>")
        rewrites.append(rewriting_prompt(row["instruction"], reasoning.strip(), answer.strip()))
    asked = [item["prompt"] for name in FAMILIES for item in items(name)][:256]
    mixed = random.Random(0).sample(rewrites + asked, 512)
    return [Request(f"p{i}", chat.render_prompt(text)) for i, text in enumerate(mixed)]


@dataclass
class Rate:
    """Tokens written, end tokens included, over seconds of CPU time."""

    tokens: int
    seconds: float

    def __truediv__(self, other: "Rate") -> float:
        return self.per_second / other.per_second

    @property
    def per_second(self) -> float:
        return self.tokens / self.seconds


def ours(requests, folder) -> Rate:
    journal = Journal(folder / f"{time.monotonic_ns()}.jsonl")
    began = time.process_time()
    replies = HF("hf", BATCH, 0.8).generate(TARGET, requests, SAMPLING, 0, journal)
    return Rate(sum(reply.n_tokens for reply in replies.values()), time.process_time() - began)


def plain(requests, model, chat, size) -> Rate:
    """`generate` on batches of that size, padded on the left, in file order."""
    chat.tokenizer.padding_side = "left"
    tokens, began = 0, time.process_time()
    for start in range(0, len(requests), size):
        texts = [request.prompt for request in requests[start : start + size]]
        batch = chat.tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        written = model.generate(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            do_sample=True,
            temperature=SAMPLING.temperature,
            top_p=SAMPLING.top_p,
            top_k=0,
            max_new_tokens=SAMPLING.max_new_tokens,
            pad_token_id=chat.pad_id,
            eos_token_id=chat.end_id,
        )[:, batch.input_ids.shape[1] :]
        chat.tokenizer.batch_decode(written)
        ends = (written == chat.end_id).int()
        tokens += int(((ends.cumsum(1) - ends) == 0).sum())  # up to and with the end token
    return Rate(tokens, time.process_time() - began)


def test_our_generator_writes_faster_than_plain_generate_and_than_a_loop_of_single_prompts(tmp_path):
    requests = prompts()
    model, chat = TARGET.load_model(), TARGET.chat()
    torch.manual_seed(0)
    ours(requests[:8], tmp_path), plain(requests[:8], model, chat, 8)  # both load what they load once
    single = plain(requests[:: len(requests) // ALONE][:ALONE], model, chat, 1)
    rounds = [(ours(requests, tmp_path), plain(requests, model, chat, BATCH)) for _ in range(ROUNDS)]
    mine, theirs = (
        sorted(column, key=lambda rate: rate.per_second)[ROUNDS // 2] for column in zip(*rounds, strict=True)
    )
    over_plain = statistics.median(a / b for a, b in rounds)
    over_single = statistics.median(a / single for a, _ in rounds)
    print(
        f"tokens/s: ours {mine.per_second:,.0f}, plain generate in batches of {BATCH} {theirs.per_second:,.0f}, "
        f"batch of one {single.per_second:,.0f}; ours over plain {over_plain:.2f}, over batch of one {over_single:.1f} "
        f"({mine.tokens:,} tokens in {mine.seconds:.1f} s of CPU time)"
    )
    assert over_plain >= 1.3
    assert over_single >= 8
