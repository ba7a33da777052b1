"""Models that judge: a classifier that reads its own plain prompt, or any chat model that follows a rubric."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from dgr.chat import Chat, ThinkFormat
from dgr.generator import LENGTH, Reply, Request, Sampling
from dgr.judge import JudgeContext
from dgr.model import TargetModel

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# What sets the parts of judges' prompts apart without being a token of the vocabulary.
MARKERS = ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<|user|>", "<|assistant|>", "<BEGIN CONVERSATION>")
MARKERS += ("<END CONVERSATION>", "<s>", "</s>")


class PlainChat(Chat):
    """A tokenizer without a think format or a chat template: prompts are written out whole by who asks."""

    def __init__(self, tokenizer: "PreTrainedTokenizerFast") -> None:
        self.format = ThinkFormat("", "", "", "", "")
        self.tokenizer = tokenizer
        self.end_token = tokenizer.eos_token
        self.end_id = tokenizer.eos_token_id
        self.pad_id = self.end_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id

    @cached_property
    def _control_pattern(self) -> re.Pattern[str]:
        longest_first = sorted({*self._control_tokens, *MARKERS}, key=lambda token: (-len(token), token))
        return re.compile("|".join(map(re.escape, longest_first)))


@dataclass(frozen=True)
class Classifier(TargetModel):
    """A checkpoint that was trained to judge, asked with the prompt of its card, which is tokenised as it stands."""

    think_format: str = "none"

    def chat(self) -> PlainChat:
        return PlainChat(self.load_tokenizer())

    def prepare(self, texts: dict[str, str], clip: int | None) -> dict[str, str | None]:
        """What is put into a prompt: the first `clip` tokens, control tokens and markers of the prompt broken up.

        None for a text that cannot be told from control tokens.
        """
        chat = self.chat()
        return {name: _prepared(chat, text, clip) for name, text in texts.items()}

    def ask(self, asked: dict[str, str], system: str, sampling: Sampling, context: JudgeContext) -> dict[str, Reply]:
        """Replies by id to whole prompts; all that such a model is told stands in its prompt, so `system` is empty."""
        requests = [Request(name, text) for name, text in asked.items()]
        return context.generator.generate(self, requests, sampling, context.seed, context.journal)


@dataclass(frozen=True)
class ChatModel(TargetModel):
    """A chat model, thinking or not, that is given a rubric as a user's message."""

    def prepare(self, texts: dict[str, str], clip: int | None) -> dict[str, str | None]:
        chat = self.chat()
        return {name: _prepared(chat, text, clip) for name, text in texts.items()}

    def ask(self, asked: dict[str, str], system: str, sampling: Sampling, context: JudgeContext) -> dict[str, Reply]:
        """What is said after the think block, by id; a reply without an end says nothing.

        Not every family has a system role: `system` begins the user's message.
        """
        chat = self.chat()
        whole = {name: f"{system}\n\n{text}" if system else text for name, text in asked.items()}
        requests = [Request(name, chat.render_prompt(text), text) for name, text in whole.items()]
        replies = context.generator.generate(self, requests, sampling, context.seed, context.journal)
        said = {request.id: chat.split(request.prompt, replies[request.id].text) for request in requests}
        return {
            name: Reply(name, said[name].answer, reply.finish_reason if said[name].closed else LENGTH, reply.n_tokens)
            for name, reply in replies.items()
        }


def _prepared(chat: Chat, text: str, clip: int | None) -> str | None:
    ids = chat.tokenize(text) if clip is not None else []
    if clip is not None and len(ids) > clip:
        text = chat.tokenizer.decode(ids[:clip], clean_up_tokenization_spaces=False)
    try:
        return chat.neutralise(text)
    except ValueError:
        return None
