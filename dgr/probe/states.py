"""Hidden states of requests at every layer and at a few positions, read in one forward pass each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dgr.chat import Chat
from dgr.gap.likelihood import BATCH_TOKENS
from dgr.generator.batching import in_batches
from dgr.generator.loaded import context_length, loaded
from dgr.model import TargetModel
from dgr.probe.residual import recording
from dgr.progress import progress

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# the last token of the rendered prompt; the mean over the request's own tokens; the last token of the closing delimiter
PROMPT_END, REQUEST_MEAN, THINKING_END = "prompt_end", "request_mean", "thinking_end"
POSITIONS = (PROMPT_END, REQUEST_MEAN, THINKING_END)


@dataclass(frozen=True)
class Text:
    """A prompt's tokens, perhaps those of a reply up to the end of its think block, and the places to be read."""

    number: int
    ids: tuple[int, ...]
    request: tuple[int, int]
    prompt_end: int

    def rows(self, position: str) -> slice:
        """Which tokens' states are averaged."""
        if position == REQUEST_MEAN:
            return slice(*self.request)
        last = self.prompt_end if position == PROMPT_END else len(self.ids)
        return slice(last - 1, last)


def text(number: int, prompt: str, chat: Chat, reply: str | None = None) -> Text:
    """`reply` is what the model wrote; it is read up to its last closing delimiter."""
    rendered = chat.render_prompt(prompt)
    encoding = chat.tokenizer(rendered, add_special_tokens=False, return_offsets_mapping=True)
    request = chat.neutralise(prompt).strip()
    begin = rendered.rindex(request)
    inside = [
        place
        for place, (start, end) in enumerate(encoding["offset_mapping"])
        if start < begin + len(request) and end > begin and end > start
    ]
    ids = encoding["input_ids"]
    closing = chat.format.closing
    thought = chat.tokenize(reply[: reply.rindex(closing) + len(closing)]) if reply is not None else []
    return Text(number, (*ids, *thought), (inside[0], inside[-1] + 1), len(ids))


def states(
    target: TargetModel, prompts: Sequence[str], positions: Sequence[str], replies: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """By position, float32, shape (prompts, layers + 1, width). Raises ValueError for a prompt beyond the context."""
    model, chat = loaded(target)
    texts = [text(i, prompt, chat, replies[i] if replies else None) for i, prompt in enumerate(prompts)]
    longest, context = max(len(one.ids) for one in texts), context_length(model)
    if context is not None and longest > context:
        raise ValueError(f"a request takes {longest} tokens, the model reads at most {context}; leave it out")
    found: dict[str, np.ndarray] = {}

    def work(batch: list[Text]) -> Iterator[list[tuple[Text, dict[str, np.ndarray]]]]:
        yield list(zip(batch, _read(model, batch, positions), strict=True))

    ordered = sorted(texts, key=lambda one: (-len(one.ids), one.number))
    with progress("requests read", len(texts)) as shown:
        for group in in_batches(ordered, lambda one: BATCH_TOKENS[model.device.type] // len(one.ids), work):
            shown.add(done=len(group), tokens=sum(len(one.ids) for one, _ in group))
            for one, by_position in group:
                for position, value in by_position.items():
                    found.setdefault(position, np.empty((len(texts), *value.shape), np.float32))[one.number] = value
    return found


def _read(model: "PreTrainedModel", batch: list[Text], positions: Sequence[str]) -> list[dict[str, np.ndarray]]:
    import torch

    longest = max(len(one.ids) for one in batch)
    device = model.device
    ids = torch.tensor([[*one.ids, *[0] * (longest - len(one.ids))] for one in batch], device=device)
    columns = torch.arange(longest, device=device)
    mask = (columns < torch.tensor([len(one.ids) for one in batch], device=device)[:, None]).long()
    with torch.inference_mode(), recording(model) as layers:
        model.base_model(
            input_ids=ids, attention_mask=mask, position_ids=columns.expand(len(batch), -1), use_cache=False
        )
        found = []
        for row, one in enumerate(batch):
            places = {position: one.rows(position) for position in positions}
            found.append(
                {
                    position: torch.stack([layer[row, place].double().mean(0) for layer in layers])
                    .float()
                    .cpu()
                    .numpy()
                    for position, place in places.items()
                }
            )
    if not all(np.isfinite(value).all() for one in found for value in one.values()):
        raise ValueError("the target's hidden states are not numbers (NaN); try model.dtype=bfloat16 or float32")
    return found
