"""How far texts are from a model's own distribution: what is trained on, its source, and the model's own replies.

`python -m dgr.gap data=NAME model=NAME` measures a dataset without training.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dgr.gap.estimate import Estimate, lengths, mean, ratio
from dgr.gap.likelihood import BANDS, PARTS, sample_nll
from dgr.gap.own import MALFORMED, UNFINISHED, Own, own_replies
from dgr.gap.similarity import rouge_l
from dgr.generator import Generator
from dgr.model import TargetModel
from dgr.sample import Sample
from dgr.store import Store

__all__ = ["BANDS", "FLOOR", "PARTS", "SOURCE", "TRAINED", "Gap", "measure", "sample_nll"]

log = logging.getLogger(__name__)

TRAINED, SOURCE, FLOOR = "", "source/", "floor/"  # prefixes of keys: the texts trained on have none
DIGITS = 9  # of nats: the last bits depend on which texts were scored together, and files should not
SCOPES = {"": PARTS, **{f"{part}/": (part,) for part in PARTS}}

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Gap:
    """`numbers` is gap.json, `rows` is gap.jsonl, one a sample; docs/gap.md explains the keys of both."""

    numbers: dict[str, float]
    rows: list[dict[str, Any]]


def measure(
    samples: Sequence[Sample],
    source: Sequence[Sample],
    target: TargetModel,
    generator: Generator,
    seed: int,
    store: Store,
) -> Gap:
    """What is trained on, beside the source samples of the same ids and the target's own replies to the same prompts.

    Source samples that are not trained on are left out, so that all numbers are about the same prompts.
    """
    if not samples:
        return Gap({}, [])
    before = {sample.id: sample for sample in source}
    pairs = [(before[sample.id], sample) for sample in samples if sample.id in before]
    if len(pairs) < len(samples):
        log.warning("gap: %d samples have no source sample of their id", len(samples) - len(pairs))
    own = own_replies(samples, target, generator, seed, store)
    kept = [reply.sample for reply in own.values() if reply.sample]
    scored = sample_nll([*samples, *(pair[0] for pair in pairs), *kept], target, store)
    alike = dict(zip((sample.id for _, sample in pairs), rouge_l(pairs, store), strict=True))
    rows = [_row(sample, before.get(sample.id), own[sample.id], scored, alike.get(sample.id)) for sample in samples]
    found = numbers(rows)
    floor = f"{found['floor/nll_per_token']:.3f}" if kept else "unknown"
    log.info(
        "gap: %.3f nats per token over %d samples; floor %s over the %d own replies that are neither cut nor malformed",
        *(found["nll_per_token"], len(rows), floor, len(kept)),
    )
    return Gap(found, rows)


def _row(
    sample: Sample, before: Sample | None, own: Own, scored: Mapping[str, dict], alike: dict[str, float] | None
) -> dict[str, Any]:
    """One line of gap.jsonl: sums of nats and numbers of tokens; what does not exist has no key."""
    row: dict[str, Any] = {"id": sample.id, "prompt/tokens": scored[sample.content]["prompt_tokens"]}
    for side, text in ((TRAINED, sample), (SOURCE, before), (FLOOR, own.sample)):
        for part in PARTS if text else ():
            record = scored[text.content]
            row[f"{side}{part}/nll"] = round(record[f"{part}_nll"], DIGITS)
            row[f"{side}{part}/tokens"] = record[f"{part}_tokens"]
            row |= {f"{side}{part}/rank/{band}": record[f"{part}_{band}"] for band in BANDS}
    row["floor/outcome"] = own.outcome
    for name, value in (alike or {}).items():
        row[f"similarity/{'' if name == 'both' else f'{name}/'}rouge_l"] = value
    return row


def numbers(rows: Sequence[Row]) -> dict[str, float]:
    """gap.json from the rows of gap.jsonl."""
    found = lengths("prompt/tokens", [row["prompt/tokens"] for row in rows])
    for side in (TRAINED, SOURCE, FLOOR):
        for scope, parts in SCOPES.items() if _having(rows, side) else ():
            found |= _of_texts(_having(rows, side), side, scope, parts)
    found |= _against(rows, SOURCE, "similarity/{}nll_difference") | _against(
        rows, FLOOR, "above_floor/{}nll_per_token"
    )
    for scope in SCOPES:
        key = f"similarity/{scope}rouge_l"
        if values := [row[key] for row in rows if key in row]:
            found |= mean(values).named(key)
    for outcome in (UNFINISHED, MALFORMED):
        found |= mean([row["floor/outcome"] == outcome for row in rows]).named(f"floor/{outcome}")
    return found


def _of_texts(rows: Sequence[Row], side: str, scope: str, parts: Sequence[str]) -> dict[str, float]:
    """Likelihood, ranks and lengths of one side's texts, whole or one part of them."""
    key = f"{side}{scope}"
    nats = nll_per_token(rows, side, parts)
    found = nats.named(f"{key}nll_per_token") | {f"{key}perplexity": math.exp(min(nats.value, 700.0))}
    tokens = _sums(rows, side, parts, "tokens")
    for band in BANDS:
        found |= ratio(_sums(rows, side, parts, f"rank/{band}"), tokens).named(f"{key}rank/{band}")
    return found | lengths(f"{key}tokens", tokens)


def _against(rows: Sequence[Row], side: str, key: str) -> dict[str, float]:
    """Nats per token of what is trained on minus those of another side, over the rows that have both."""
    both, found = _having(rows, side), {}
    for scope, parts in SCOPES.items() if both else ():
        difference = nll_per_token(both, TRAINED, parts) - nll_per_token(both, side, parts)
        found |= difference.named(key.format(scope))
    return found


def nll_per_token(rows: Sequence[Row], side: str, parts: Sequence[str]) -> Estimate:
    """sum(nats) / sum(tokens) over rows and parts."""
    return ratio(_sums(rows, side, parts, "nll"), _sums(rows, side, parts, "tokens"))


def _having(rows: Sequence[Row], side: str) -> list[Row]:
    return [row for row in rows if f"{side}{PARTS[0]}/nll" in row]


def _sums(rows: Sequence[Row], side: str, parts: Sequence[str], name: str) -> list[float]:
    return [sum(row[f"{side}{part}/{name}"] for part in parts) for row in rows]
