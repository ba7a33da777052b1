"""Replies by transformers in this process: batched by length, left-padded, with a KV cache and a journal."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dgr.generator import Reply, Request, Sampling
from dgr.generator.batching import in_batches
from dgr.generator.loaded import context_length, loaded
from dgr.generator.resume import Keep, resumed
from dgr.generator.rows import Row, Written, stop_tokens, to_reply, to_rows
from dgr.model import TargetModel
from dgr.progress import progress
from dgr.store import Journal

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class HF:
    """Transformers' models with an own decoding loop.

    At most `batch_size` prompts are decoded at once; on a GPU no more than those whose cache, at full length, fits into
    `memory_share` of the memory that is free beside the weights. Neither changes a reply of a float64 model; in
    half precision the batch a prompt is in can change the last bits of its logits, with any engine.
    """

    name: str
    batch_size: int
    memory_share: float
    speed_only: ClassVar[tuple[str, ...]] = ("batch_size", "memory_share")

    def fingerprint(self) -> str:
        """What of this generator can change a reply: that it is this one."""
        return "hf"

    def problems(self) -> list[str]:
        found = []
        if self.batch_size < 1:
            found.append(f"generator.batch_size={self.batch_size}: must be at least 1")
        if not 0 < self.memory_share <= 1:
            found.append(f"generator.memory_share={self.memory_share}: must be above 0 and at most 1")
        return found

    def generate(
        self, target: TargetModel, requests: list[Request], sampling: Sampling, seed: int, journal: Journal
    ) -> dict[str, Reply]:
        """Replies by request id, in the order of the requests; those in the journal are not made again.

        Raises ValueError for two prompts under one id, an empty prompt, or one that fills the model's context.
        """

        def make(missing: list[Request], keep: Keep) -> None:
            for group in self._make(target, missing, sampling, seed):
                keep(group)

        return resumed(requests, journal, make)

    def _make(
        self, target: TargetModel, requests: list[Request], sampling: Sampling, seed: int
    ) -> Iterator[list[Reply]]:
        """Groups of replies as they are finished."""
        from dgr.generator.decoding import Batch, decode

        model, chat = loaded(target)
        stop_ids = stop_tokens(model.generation_config, chat)
        rows = sorted(to_rows(requests, chat, sampling, seed, context_length(model)), key=lambda row: -len(row.ids))

        def work(batch: list[Row]) -> Iterator[list[tuple[Row, Written]]]:
            return decode(Batch(model, batch, sampling, chat.pad_id, stop_ids), lambda tokens: shown.add(tokens=tokens))

        with progress("replies", len(rows)) as shown:
            for group in in_batches(rows, self._rows_for(model), work):
                replies = [to_reply(row, written, chat) for row, written in group]
                shown.add(done=len(replies))
                yield replies

    def _rows_for(self, model: "PreTrainedModel"):
        """How many rows fit into a batch whose longest row is the one given."""
        import torch

        if model.device.type != "cuda":
            return lambda row: self.batch_size
        free, _ = torch.cuda.mem_get_info(model.device)
        left_behind = torch.cuda.memory_reserved(model.device) - torch.cuda.memory_allocated(model.device)
        tokens = int((free + left_behind) * self.memory_share) // cache_bytes_per_token(model)
        return lambda row: min(self.batch_size, tokens // (len(row.ids) + row.limit))


def cache_bytes_per_token(model: "PreTrainedModel") -> int:
    """Bytes of keys and values that one token of one row takes."""
    config = model.config.get_text_config(decoder=True)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return 2 * config.num_hidden_layers * heads * size * model.dtype.itemsize
