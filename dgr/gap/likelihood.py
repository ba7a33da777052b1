"""Teacher-forced passes: nats and ranks of a text's tokens under the untouched target, once per text and target."""

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

BATCH_TOKENS = {"cpu": 1024, "cuda": 16384}  # padded tokens in a forward pass; a CPU is fastest inside its caches
LOGITS = 2**25  # logits in memory at once: label positions x vocabulary
PARTS = ("reasoning", "answer")
BANDS = {"top1": 1, "2_10": 10, "11_100": 100, "beyond100": math.inf}  # name: largest rank inside
RECORD = "nats and ranks"  # what a record of the journal holds; other content needs another name


@dataclass(frozen=True)
class Text:
    """A sample as the target is trained on it; `id` is the digest of its content."""

    id: str
    encoded: Encoded


def sample_nll(samples: Sequence[Sample], target: TargetModel, store: Store) -> dict[str, dict]:
    """By a sample's content, for its reasoning and its answer: sum of nats, number of tokens, tokens in each rank band.

    Keys of a record: `prompt_tokens` and, by part, `reasoning_nll`, `reasoning_tokens`, `reasoning_top1`, ... (BANDS).
    Computed once per text and target. Raises ValueError for a sample that the target's context cannot hold.
    """
    wanted = {sample.content: sample for sample in samples}
    journal = store.journal("nll", digest(RECORD, target.fingerprint()))
    rows = {content: row for content, row in journal.read().items() if content in wanted}
    if len(rows) == len(wanted):  # no need to wait for one who computes others
        return rows
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
        return BATCH_TOKENS[model.device.type] // len(text.encoded.input_ids)

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
        losses, bands = (scores.tolist() for scores in token_scores(model, hidden[row, column - 1], labels))
    rows, begin = [], 0
    for text in batch:
        record = {"id": text.id, "prompt_tokens": text.encoded.n_prompt}
        for part, length in (("reasoning", text.encoded.n_reasoning), ("answer", text.encoded.n_answer)):
            record |= _part(part, losses[begin : begin + length], bands[begin : begin + length])
            begin += length
        rows.append(record)
    return rows


def _part(part: str, losses: list[float], bands: list[int]) -> dict[str, float]:
    nats = math.fsum(losses)
    if math.isnan(nats):
        raise ValueError("the target's logits are not numbers (NaN); try model.dtype=bfloat16 or float32")
    counts = {f"{part}_{name}": bands.count(index) for index, name in enumerate(BANDS)}
    return {f"{part}_nll": nats, f"{part}_tokens": len(losses), **counts}


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


def token_scores(
    model: "PreTrainedModel", hidden: "torch.Tensor", labels: "torch.Tensor"
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Nats of each label, in float32 or better, and the index of the band in BANDS that its rank is in.

    `hidden` has shape (labels, hidden). Losses and ranks come from the same logits, which exist a chunk at a time. The
    rank is 1 + the number of tokens that are strictly likelier, so tied tokens share the best rank.
    """
    import torch

    head = model.get_output_embeddings()
    chunk = max(1, LOGITS // head.weight.shape[0])
    edges = torch.tensor([edge - 1 for edge in BANDS.values() if edge < math.inf], device=labels.device)
    losses, bands = [], []
    for begin in range(0, len(labels), chunk):
        wanted = labels[begin : begin + chunk]
        logits = head(hidden[begin : begin + chunk])
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        losses.append(torch.nn.functional.cross_entropy(logits, wanted, reduction="none"))
        likelier = (logits > logits.gather(1, wanted[:, None])).sum(-1, dtype=torch.int32)  # int32: twice as fast
        bands.append(torch.bucketize(likelier, edges))
    return torch.cat(losses), torch.cat(bands)


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
