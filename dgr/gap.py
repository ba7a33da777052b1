"""How far texts are from a model's own distribution: their negative log-likelihood under the untouched target."""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgr.chat import Chat, Encoded
from dgr.generator.batching import in_batches
from dgr.generator.loaded import context_length, loaded
from dgr.model import TargetModel
from dgr.progress import progress
from dgr.sample import Sample, digest
from dgr.store import Store

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

BATCH_TOKENS = 8192  # padded tokens in a forward pass
LOGITS = 2**25  # logits in memory at once: label positions x vocabulary
PARTS = ("reasoning", "answer")


@dataclass(frozen=True)
class Text:
    """A sample as the target is trained on it; `id` is the digest of its content."""

    id: str
    encoded: Encoded


def measure(samples: Sequence[Sample], target: TargetModel, store: Store) -> dict[str, float]:
    """gap.json: nats per token of the training targets under the target, of all, of reasoning and answer, and lengths.

    `nll_per_token` is a ratio of sums over samples, sum(nats) / sum(tokens), so long samples weigh more; its standard
    error is the linearised one of a ratio estimator with the sample as the unit (tokens of one sample are not
    independent). `perplexity` is its exponential.
    """
    scored = sample_nll(samples, target, store)
    rows = [scored[sample.content] for sample in samples]
    found: dict[str, float] = {}
    for prefix, parts in (("", PARTS), *((f"{part}/", (part,)) for part in PARTS)):
        nats = [sum(row[f"{part}_nll"] for part in parts) for row in rows]
        tokens = [sum(row[f"{part}_tokens"] for part in parts) for row in rows]
        found |= {f"{prefix}{key}": value for key, value in per_token(nats, tokens).items()}
    found["prompt/tokens"] = sum(row["prompt_tokens"] for row in rows) / len(rows)
    log.info("gap: %.3f nats per token over %d samples", found["nll_per_token"], len(rows))
    return found


def per_token(nats: Sequence[float], tokens: Sequence[int]) -> dict[str, float]:
    """Nats per token with n and standard error, perplexity, and mean tokens of a sample."""
    n, mean = len(nats), sum(tokens) / len(tokens)
    ratio = sum(nats) / sum(tokens)
    squares = sum((nat - ratio * count) ** 2 for nat, count in zip(nats, tokens, strict=True))
    return {
        "nll_per_token": ratio,
        "nll_per_token/n": n,
        "nll_per_token/stderr": math.sqrt(squares / (n * (n - 1))) / mean if n > 1 else math.nan,
        "perplexity": math.exp(min(ratio, 700.0)),
        "tokens": mean,
    }


def sample_nll(samples: Sequence[Sample], target: TargetModel, store: Store) -> dict[str, dict]:
    """By a sample's content: sums of nats and numbers of tokens of its reasoning and its answer.

    Computed once per text and target. Raises ValueError for a sample that the target's context cannot hold.
    """
    wanted = {sample.content: sample for sample in samples}
    journal = store.journal("nll", digest(target.fingerprint()))
    with journal.locked():
        rows = {content: row for content, row in journal.read().items() if content in wanted}
        missing = [sample for content, sample in wanted.items() if content not in rows]
        if missing:
            for group in _score(missing, target):
                journal.append(group)
                rows.update((row["id"], row) for row in group)
    return rows


def _score(samples: Sequence[Sample], target: TargetModel) -> Iterator[list[dict]]:
    """Rows of the journal in groups as they are computed."""
    model, chat = loaded(target)
    texts = [encode(sample, chat, context_length(model)) for sample in samples]
    texts.sort(key=lambda text: -len(text.encoded.input_ids))
    check_head(model, texts[-1].encoded)

    def work(batch: list[Text]) -> Iterator[list[tuple[Text, dict]]]:
        yield list(zip(batch, nll_rows(model, batch), strict=True))

    def rows_for(text: Text) -> int:
        return BATCH_TOKENS // len(text.encoded.input_ids)

    with progress("texts scored", len(texts)) as shown:
        for group in in_batches(texts, rows_for, work):
            shown.add(done=len(group), tokens=sum(len(text.encoded.input_ids) for text, _ in group))
            yield [row for _, row in group]


def encode(sample: Sample, chat: Chat, context: int | None) -> Text:
    """The sample as it is trained on; ValueError with its id where it is longer than the context or not renderable."""
    try:
        return Text(sample.content, chat.encode(sample.prompt, sample.reasoning, sample.answer, context))
    except ValueError as error:
        raise ValueError(f"sample {sample.id!r} cannot be scored: {error}") from error


def nll_rows(model: "PreTrainedModel", batch: Sequence[Text]) -> list[dict]:
    """One forward pass, right-padded; logits are made at the label positions only."""
    import torch

    with torch.inference_mode():
        hidden = hidden_states(model, [text.encoded.input_ids for text in batch])
        row, column = _label_positions(batch, model.device)
        labels = torch.tensor(
            [token for text in batch for token in text.encoded.input_ids[text.encoded.n_prompt :]], device=model.device
        )
        losses = token_losses(model, hidden[row, column - 1], labels).tolist()
    rows, begin = [], 0
    for text in batch:
        middle = begin + text.encoded.n_reasoning
        end = middle + text.encoded.n_answer
        rows.append(
            {
                "id": text.id,
                "reasoning_nll": math.fsum(losses[begin:middle]),
                "answer_nll": math.fsum(losses[middle:end]),
                "prompt_tokens": text.encoded.n_prompt,
                "reasoning_tokens": text.encoded.n_reasoning,
                "answer_tokens": text.encoded.n_answer,
            }
        )
        begin = end
    return rows


def hidden_states(model: "PreTrainedModel", sequences: Sequence[Sequence[int]]) -> "torch.Tensor":
    """Last hidden states, shape (rows, longest, hidden). The padding's token does not matter: it is masked and last."""
    import torch

    longest = max(map(len, sequences))
    ids = torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in sequences], device=model.device)
    columns = torch.arange(longest, device=model.device)
    lengths = torch.tensor([len(ids) for ids in sequences], device=model.device)
    mask = (columns < lengths[:, None]).long()
    positions = columns.expand(len(sequences), -1)
    return model.base_model(
        input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False
    ).last_hidden_state


def token_losses(model: "PreTrainedModel", hidden: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
    """Nats of each label, in float32 or better; `hidden` has shape (labels, hidden). Logits exist a chunk at a time."""
    import torch

    head = model.get_output_embeddings()
    chunk = max(1, LOGITS // head.weight.shape[0])
    losses = []
    for begin in range(0, len(labels), chunk):
        logits = head(hidden[begin : begin + chunk])
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        losses.append(torch.nn.functional.cross_entropy(logits, labels[begin : begin + chunk], reduction="none"))
    return torch.cat(losses)


def check_head(model: "PreTrainedModel", encoded: Encoded) -> None:
    """ValueError for an architecture that changes its logits after the output layer: they would be computed wrong."""
    import torch

    ids = torch.tensor([encoded.input_ids], device=model.device)
    with torch.inference_mode():
        theirs = model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[0, -1].double()
        ours = model.get_output_embeddings()(hidden_states(model, [encoded.input_ids])[0, -1]).double()
    if not torch.allclose(ours, theirs, rtol=0.02, atol=0.02 * float(theirs.abs().max())):
        raise ValueError(
            f"{type(model).__name__} changes its logits after the output layer (soft-capping or scaling), which "
            "the gap does not know how to do; use a Llama- or Qwen-like target"
        )


def _label_positions(batch: Sequence[Text], device: "torch.device") -> "tuple[torch.Tensor, torch.Tensor]":
    """Row and column of every label token, sample by sample."""
    import torch

    pairs = [
        (row, column)
        for row, text in enumerate(batch)
        for column in range(text.encoded.n_prompt, len(text.encoded.input_ids))
    ]
    return tuple(torch.tensor(pairs, device=device).unbind(1))
