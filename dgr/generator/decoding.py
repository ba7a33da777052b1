"""One batch of prompts decoded with a KV cache; rows that are finished leave the batch while the others go on."""

from collections.abc import Callable, Iterator

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from dgr.generator import LENGTH, STOP, Sampling
from dgr.generator.choice import choose
from dgr.generator.rows import Row, Written

DROP_SHARE = 1 / 8  # dropping copies the cache: wait until this share of the rows is finished


class GrowingLayer(DynamicLayer):
    """DynamicLayer with room to grow: a new token is written in place; the parent copies all of the cache for it."""

    def update(self, key_states, value_states, *args, **kwargs):
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._room = [key_states[:, :, :0], value_states[:, :, :0]]
        begin = self.get_seq_length()
        end = begin + key_states.shape[2]
        for index, states in enumerate((key_states, value_states)):
            if end > self._room[index].shape[2]:
                rows, heads, _, size = states.shape
                room = states.new_empty(rows, heads, end + max(32, end // 4), size)
                room[:, :, :begin] = self._room[index][:, :, :begin]
                self._room[index] = room
            self._room[index][:, :, begin:end] = states
        self.keys, self.values = (room[:, :, :end] for room in self._room)
        return self.keys, self.values

    def batch_select_indices(self, indices):
        length = self.get_seq_length()
        self._room = [room[indices] for room in self._room]
        self.keys, self.values = (room[:, :, :length] for room in self._room)


def growing_cache(config) -> DynamicCache:
    """The model's own kind of cache; its plain attention layers grow without copying."""
    cache = DynamicCache(config=config)
    cache.layers = [GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


class Batch:
    """Rows that are decoded together, left-padded; `step` tokens have been written to each."""

    def __init__(
        self, model: PreTrainedModel, rows: list[Row], sampling: Sampling, pad_id: int, stop_ids: list[int]
    ) -> None:
        self.model, self.rows, self.sampling = model, rows, sampling
        device, width = model.device, max(len(row.ids) for row in rows)
        self.inputs = torch.tensor([[pad_id] * (width - len(row.ids)) + list(row.ids) for row in rows], device=device)
        lengths = torch.tensor([len(row.ids) for row in rows], device=device)
        self.limits = torch.tensor([row.limit for row in rows], device=device)
        self.seeds = torch.tensor([row.seed for row in rows], device=device)
        self.stop_ids = torch.tensor(stop_ids, device=device)
        room = max(row.limit for row in rows)
        columns = torch.arange(width + room, device=device)
        self.mask = (columns >= width - lengths[:, None]).long()
        self.positions = (columns[:width] - (width - lengths[:, None])).clamp(min=0)
        self.written = torch.empty(len(rows), room, dtype=torch.long, device=device)
        self.ends = torch.zeros_like(lengths)  # number of tokens written by a finished row, 0 before that
        self.cache = growing_cache(model.config)
        self.width, self.step = width, 0

    @torch.inference_mode()
    def advance(self) -> int:
        """Write one token to each row; returns how many rows are finished. A finished row writes on, unread."""
        logits = self.model(
            input_ids=self.inputs,
            attention_mask=self.mask[:, : self.width + self.step],
            position_ids=self.positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        tokens = choose(logits, self.sampling, self.seeds, self.step)
        self.written[:, self.step] = tokens
        self.step += 1
        over = torch.isin(tokens, self.stop_ids) | (self.limits <= self.step)
        self.ends = torch.where((self.ends == 0) & over, self.step, self.ends)
        self.inputs, self.positions = tokens[:, None], self.positions[:, -1:] + 1
        return int(self.ends.count_nonzero())

    @torch.inference_mode()
    def drop(self) -> list[tuple[Row, Written]]:
        """Take the finished rows out of the batch and return what they wrote."""
        finished = [self._written(index, end) for index, end in enumerate(self.ends.tolist()) if end]
        keep = (self.ends == 0).nonzero()[:, 0]
        self.rows = [self.rows[index] for index in keep.tolist()]
        if self.rows:
            for name in ("inputs", "limits", "seeds", "mask", "positions", "written", "ends"):
                setattr(self, name, getattr(self, name)[keep])
            self.cache.batch_select_indices(keep)
        return finished

    def _written(self, index: int, end: int) -> tuple[Row, Written]:
        ids = self.written[index, :end].tolist()
        return self.rows[index], Written(ids, STOP if ids[-1] in self.stop_ids.tolist() else LENGTH)


def decode(batch: Batch, on_tokens: Callable[[int], None]) -> Iterator[list[tuple[Row, Written]]]:
    """Write every row to its end; yields rows in groups as they finish, and reports tokens as they are written."""
    done = 0
    while batch.rows:
        on_tokens(len(batch.rows) - done)
        done = batch.advance()
        if done >= DROP_SHARE * len(batch.rows):
            yield batch.drop()
            done = 0
