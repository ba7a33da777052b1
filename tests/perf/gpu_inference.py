"""The rows of generation and of the gap in gpu.py, each with the plain way beside it."""

import random
from pathlib import Path
from typing import Any

from gpu_model import SIZES, operations, point, timed, weights_of

from dgr.component import build


def prompts(spec: dict[str, Any], cfg: Any, chat: Any) -> list[Any]:
    """Requests of two kinds, mixed as files mix them: half are to answer, half to rewrite a sample in own words."""
    from dgr.generator import Request
    from dgr.refine.prompt import fill, load_prompt

    samples, template = build(cfg.data).load()[: SIZES[spec["shape"]]["prompts"]], load_prompt("natural")
    asked = [
        fill(template, prompt=s.prompt, reasoning=s.reasoning, answer=s.answer) if i % 2 else s.prompt
        for i, s in enumerate(samples)
    ]
    random.Random(0).shuffle(asked)
    return [Request(f"p{i}", chat.render_prompt(text)) for i, text in enumerate(asked)]


def generate(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Tokens a second of generator=hf and of plain `generate` in file order, same model, batch size and sampling."""
    from dgr.generator import Sampling
    from dgr.generator.hf import HF
    from dgr.generator.loaded import loaded
    from dgr.store import Journal

    cfg = point(spec)
    target, generator = build(cfg.model), build(cfg.generator)
    model, chat = loaded(target)
    asked = prompts(spec, cfg, chat)
    greedy = "greedy" in spec["name"]
    sampling = Sampling(0.0 if greedy else 0.6, 0.95, 0, SIZES[spec["shape"]]["new"])
    few = Sampling(sampling.temperature, 0.95, 0, 8)
    HF("hf", 8, 0.8).generate(target, asked[:8], few, 0, Journal(folder / "warm.jsonl"))
    plain(model, chat, asked[:8], few, 8)
    replies, ours, memory = timed(lambda: generator.generate(target, asked, sampling, 0, Journal(folder / "r.jsonl")))
    tokens = sum(reply.n_tokens for reply in replies.values())
    theirs_tokens, theirs, plain_memory = timed(lambda: plain(model, chat, asked, sampling, generator.batch_size))
    sizes = weights_of(spec["model"])
    return {
        "prompts": len(asked),
        "tokens": tokens,
        "tokens_per_second": tokens / ours,
        "operations_per_second": 2 * (sizes["layers"] + sizes["head"]) * tokens / ours,
        "peak_memory": memory,
        "plain_tokens": theirs_tokens,
        "plain_tokens_per_second": theirs_tokens / theirs,
        "plain_peak_memory": plain_memory,
        "ratio": (tokens / ours) / (theirs_tokens / theirs),
        "prompt_tokens": sum(len(chat.tokenize(request.prompt)) for request in asked),
    }


def plain(model: Any, chat: Any, asked: list[Any], sampling: Any, size: int) -> int:
    """Tokens that `generate` writes, end tokens included, in left-padded batches in file order."""
    import torch

    chat.tokenizer.padding_side, tokens = "left", 0
    ends = torch.tensor(model.generation_config.eos_token_id, device=model.device)
    how = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    if sampling.temperature:
        how = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
    for start in range(0, len(asked), size):
        texts = [request.prompt for request in asked[start : start + size]]
        batch = chat.tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False).to(model.device)
        written = model.generate(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            max_new_tokens=sampling.max_new_tokens,
            pad_token_id=chat.pad_id,
            **how,
        )[:, batch.input_ids.shape[1] :]
        chat.tokenizer.batch_decode(written)
        over = torch.isin(written, ends).int()
        tokens += int(((over.cumsum(1) - over) == 0).sum())  # up to and with the first end token
    return tokens


def score(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Tokens a second of the gap (nats, ranks, journal) and of plain forward passes in the best batch size."""
    from dgr.gap import sample_nll
    from dgr.gap.likelihood import encode
    from dgr.generator.loaded import loaded
    from dgr.store import Store

    cfg = point(spec)
    target = build(cfg.model)
    samples = build(cfg.data).load()[: SIZES[spec["shape"]]["texts"]]
    model, chat = loaded(target)
    encoded = sorted((encode(sample, chat, None).encoded for sample in samples), key=lambda row: -len(row.input_ids))
    lengths = [len(row.input_ids) for row in encoded]
    predicted = sum(row.n_reasoning + row.n_answer for row in encoded)
    sample_nll(samples[:32], target, Store(folder / "warm"))
    forward(model, encoded[:8], 8)
    rows, ours, memory = timed(lambda: sample_nll(samples, target, Store(folder / "store")))
    nats = sum(row["reasoning_nll"] + row["answer_nll"] for row in rows.values())
    best = None
    for size in (8, 16, 32):
        total, seconds, peak = timed(lambda size=size: forward(model, encoded, size))
        if best is None or seconds < best[0]:
            best = (seconds, size, peak, total)
    return {
        "texts": len(samples),
        "tokens_per_second": sum(lengths) / ours,
        "operations_per_second": operations(spec["model"], lengths, predicted, 2) / ours,
        "peak_memory": memory,
        "plain_batch": best[1],
        "plain_tokens_per_second": sum(lengths) / best[0],
        "plain_peak_memory": best[2],
        "ratio": best[0] / ours,
        "nats_off": abs(nats - best[3]) / best[3],
    }


def forward(model: Any, encoded: list[Any], size: int) -> float:
    """Sum of nats over all labels, all logits at once."""
    import torch

    total = 0.0
    for begin in range(0, len(encoded), size):
        batch = encoded[begin : begin + size]
        width = max(len(row.input_ids) for row in batch)
        full = {"input_ids": 0, "labels": -100}
        ids, labels = (
            torch.tensor([[*getattr(row, name), *[fill] * (width - len(row.input_ids))] for row in batch]).to(
                model.device
            )
            for name, fill in full.items()
        )
        mask = torch.tensor([[1] * len(row.input_ids) + [0] * (width - len(row.input_ids)) for row in batch])
        with torch.inference_mode():
            logits = model(input_ids=ids, attention_mask=mask.to(model.device), use_cache=False).logits
            losses = torch.nn.functional.cross_entropy(
                logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100, reduction="none"
            )
        total += losses.double().sum().item()
    return total
