"""Requests as token ids and what was written after them as replies: for the generators that run the model here."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgr.chat import Chat
from dgr.generator import STOP, Reply, Request, Sampling
from dgr.sample import seed_for

if TYPE_CHECKING:
    from transformers import GenerationConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """A prompt's tokens, how many may be written after them, and the seed of the row's noise."""

    id: str
    ids: tuple[int, ...]
    limit: int
    seed: int


@dataclass(frozen=True)
class Written:
    """The tokens after the prompt, the stop token included, and why there are no more ("stop" or "length")."""

    ids: list[int]
    finish_reason: str


def to_rows(requests: list[Request], chat: Chat, sampling: Sampling, seed: int, context: int | None) -> list[Row]:
    """Requests as tokens. A reply may not be longer than what the context leaves beside its prompt."""
    rows, cut = [], 0
    for request in requests:
        ids = chat.tokenize(request.prompt)
        room = sampling.max_new_tokens if context is None else min(sampling.max_new_tokens, context - len(ids))
        if not ids or room < 1:
            raise ValueError(
                f"request {request.id!r}: its prompt has {len(ids)} tokens, the model reads at most {context} and "
                "needs room for a reply; shorten the prompt or leave the sample out"
            )
        cut += room < sampling.max_new_tokens
        rows.append(Row(request.id, tuple(ids), room, seed_for(seed, "generate", request.id)))
    if cut:
        log.warning(
            "%d of %d prompts leave less than max_new_tokens=%d of the context (%d tokens): their replies end there",
            *(cut, len(requests), sampling.max_new_tokens, context),
        )
    return rows


def to_reply(row: Row, written: Written, chat: Chat) -> Reply:
    """Text with special tokens kept; the stop token is taken off as a token, not as text."""
    ids = written.ids[:-1] if written.finish_reason == STOP else written.ids
    text = chat.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return Reply(row.id, text, written.finish_reason, len(written.ids))


def stop_tokens(settings: "GenerationConfig", chat: Chat) -> list[int]:
    """The chat's end token, and what the checkpoint's own generation settings end a text with."""
    declared = settings.eos_token_id
    declared = [declared] if isinstance(declared, int) else declared or []
    return sorted({chat.end_id, *declared})
