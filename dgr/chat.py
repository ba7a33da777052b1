"""The only file that knows think formats: render a prompt, render a target, split a reply.

One rule for every family: the chat template renders the *prompt* only; the *target* is written here; both are
tokenised without special tokens and joined as ids; only the target carries labels. Templates rewrite assistant turns
(R1-Distill's deletes the reasoning, Qwen3's adds an empty think block), so no assistant turn ever passes through one.
Who opens the think block is read off the rendered prompt, not off the model's name.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

IGNORED = -100


@dataclass(frozen=True)
class ThinkFormat:
    """How a family marks reasoning: the two delimiters and the white space that its models write around them.

    `end` is the token that ends a reply; None takes the tokenizer's end-of-sequence token.
    """

    opening: str
    after_opening: str
    before_closing: str
    closing: str
    after_closing: str
    end: str | None = None


FORMATS = {
    # R1-Distill of both template generations, Qwen3, and the embedded micro models (their tokenizer drops white space).
    "think_tags": ThinkFormat("<think>", "\n", "\n", "</think>", "\n\n"),
    # s1 and s1.1. `<|im_start|>` stands inside the reply, so the reply ends at `<|im_end|>` and nowhere before.
    "s1": ThinkFormat("<|im_start|>think", "\n", "\n", "<|im_start|>answer", "\n", end="<|im_end|>"),
}


def think_format(name: str) -> ThinkFormat:
    """The family of that name; ValueError lists the valid ones."""
    if name not in FORMATS:
        raise ValueError(f"think_format={name!r} is unknown; choose one of: {', '.join(FORMATS)}")
    return FORMATS[name]


@dataclass(frozen=True)
class Encoded:
    """One training example: `labels` repeats `input_ids` on the target and is -100 on the prompt.

    `n_prompt + n_reasoning + n_answer == len(input_ids)`; the closing delimiter counts as reasoning, the end token and
    the white space after the delimiter as answer.
    """

    input_ids: list[int]
    labels: list[int]
    n_prompt: int
    n_reasoning: int
    n_answer: int


@dataclass(frozen=True)
class Split:
    """A reply taken apart, delimiters and outer white space removed.

    `blocks` counts think blocks, the one that the prompt opened included; 0 means that the model did not think and all
    of the reply is the answer. `closed` is False when a block is left open: the reply was cut, and `answer` is empty.
    With several blocks `reasoning` runs up to the last closing delimiter, all but the first opening one included.
    """

    reasoning: str
    answer: str
    closed: bool
    blocks: int


class Chat:
    """A tokenizer together with its family's think format.

    Raises ValueError for an unknown family, and for a tokenizer without a chat template or an end token.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerFast", family: str) -> None:
        self.format = think_format(family)
        self.tokenizer = tokenizer
        if not tokenizer.chat_template:
            raise ValueError(f"{tokenizer.name_or_path!r} has no chat template; use an instruction-tuned checkpoint")
        self.end_token: str = self.format.end or tokenizer.eos_token
        vocabulary = tokenizer.get_vocab()
        if self.end_token not in vocabulary:
            raise ValueError(
                f"end token {self.end_token!r} is not in the vocabulary of {tokenizer.name_or_path!r}; "
                f"think_format={family} does not fit this model"
            )
        self.end_id: int = vocabulary[self.end_token]
        self.pad_id: int = self.end_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id

    def render_prompt(self, prompt: str, prefix: str = "") -> str:
        """The prompt as the model sees it, up to where its reply begins.

        Control tokens in `prompt` are neutralised. `prefix` is text of ours that the reply has to start with; it goes
        in as it is, after the generation prompt.
        """
        return self._render(self.neutralise(prompt)) + prefix

    def opens(self, rendered: str) -> bool:
        """Whether the rendered prompt has opened a think block that the reply is inside of."""
        supplied = self._supplied(rendered)
        return self.format.opening in supplied and self.format.closing not in supplied

    def render_target(self, rendered: str, reasoning: str, answer: str) -> str:
        """The reply that continues `rendered`, without the end token; control tokens in both texts are neutralised.

        Raises ValueError for an empty reasoning or answer (an empty think block teaches not to think) and for a prompt
        that supplies more of the reply than an opening delimiter.
        """
        form = self.format
        reasoning, answer = self.neutralise(reasoning).strip(), self.neutralise(answer).strip()
        if not reasoning or not answer:
            raise ValueError(
                f"reasoning and answer must both hold text, got {reasoning[:60]!r} and {answer[:60]!r}; "
                "drop the sample or give it a constant reasoning sentence"
            )
        supplied, start = self._supplied(rendered), form.opening + form.after_opening
        if start.startswith(supplied):
            start = start[len(supplied) :]
        elif supplied.strip() == form.opening:
            start = ""
        else:
            raise ValueError(f"the prompt already holds {supplied[:60]!r} of the reply; render it without a prefix")
        return start + reasoning + form.before_closing + form.closing + form.after_closing + answer

    def encode(self, prompt: str, reasoning: str, answer: str, max_length: int | None = None) -> Encoded:
        """Token ids and labels of one example. Nothing is ever cut: more than `max_length` tokens is a ValueError."""
        rendered = self.render_prompt(prompt)
        target = self.render_target(rendered, reasoning, answer)
        prompt_ids = self.tokenize(rendered)
        encoding = self.tokenizer(target + self.end_token, add_special_tokens=False, return_offsets_mapping=True)
        target_ids = encoding["input_ids"]
        self._check(rendered, prompt_ids, target_ids)
        length = len(prompt_ids) + len(target_ids)
        if max_length is not None and length > max_length:
            raise ValueError(
                f"the sample has {length} tokens ({len(prompt_ids)} in the prompt), max_length is {max_length}; "
                "raise max_length or leave the sample out"
            )
        # The reasoning holds no delimiter (it was neutralised), so the first closing one is the one written above.
        cut = target.index(self.format.closing) + len(self.format.closing)
        n_reasoning = sum(end <= cut for _, end in encoding["offset_mapping"])
        return Encoded(
            input_ids=prompt_ids + target_ids,
            labels=[IGNORED] * len(prompt_ids) + target_ids,
            n_prompt=len(prompt_ids),
            n_reasoning=n_reasoning,
            n_answer=len(target_ids) - n_reasoning,
        )

    def tokenize(self, text: str) -> list[int]:
        """Token ids of rendered text; nothing is added, so a BOS that the template wrote stays the only one."""
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def split(self, rendered: str, reply: str) -> Split:
        """Take a reply to `rendered` apart; see Split for replies that are cut, doubled or without a block."""
        opening, closing = self.format.opening, self.format.closing
        whole = (self._supplied(rendered) + reply).removesuffix(self.end_token).strip()
        blocks = max(whole.count(opening), whole.count(closing))
        if not blocks:
            return Split(reasoning="", answer=whole, closed=True, blocks=0)
        closed = whole.rfind(closing) > whole.rfind(opening)
        reasoning, _, answer = whole.rpartition(closing) if closed else (whole, "", "")
        return Split(reasoning.replace(opening, "", 1).strip(), answer.strip(), closed, blocks)

    def end_thinking(self, reply: str) -> str:
        """A reply that was cut while it thought, with what ends the think block and begins the answer."""
        return reply.rstrip() + self.format.before_closing + self.format.closing + self.format.after_closing

    def neutralise(self, text: str) -> str:
        """Put a space after the first character of every control token, `<think>` becomes `< think>`.

        Control tokens are the family's delimiters and every token that was added to the vocabulary: role markers, end
        tokens, think tags. The text stays readable and the model reads it as ordinary characters. Raises ValueError if
        one is still read as a control token.
        """
        neutral = self._control_pattern.sub(lambda match: match[0][0] + " " + match[0][1:], text)
        left = self._control_ids.intersection(self.tokenize(neutral))
        if left:
            names = ", ".join(map(repr, self.tokenizer.convert_ids_to_tokens(sorted(left))))
            raise ValueError(f"the text {text[:60]!r} is read as control tokens {names}; leave the sample out")
        return neutral

    @cached_property
    def _control_tokens(self) -> dict[str, int]:
        """Added tokens by text, white space and single characters apart: those change nothing about roles."""
        return {
            token: index
            for token, index in self.tokenizer.get_added_vocab().items()
            if len(token.strip()) > 1 and token != self.tokenizer.unk_token
        }

    @cached_property
    def _control_ids(self) -> frozenset[int]:
        return frozenset(self._control_tokens.values())

    @cached_property
    def _control_pattern(self) -> re.Pattern[str]:
        unknown = [self.tokenizer.unk_token] if self.tokenizer.unk_token else []
        delimiters = [self.format.opening, self.format.closing, self.end_token]
        longest_first = sorted({*self._control_tokens, *delimiters, *unknown}, key=lambda token: (-len(token), token))
        return re.compile("|".join(map(re.escape, longest_first)))

    @cached_property
    def _generation_prompt(self) -> str:
        """What the template adds to a conversation to start the reply."""
        before, after = self._render("x", reply=False), self._render("x")
        if not after.startswith(before) or after == before:
            raise ValueError(
                f"the chat template of {self.tokenizer.name_or_path!r} does not end its prompts with a generation "
                "prompt; it has to honour add_generation_prompt"
            )
        return after[len(before) :]

    def _render(self, content: str, reply: bool = True) -> str:
        """The template's text for one user turn, with the BOS that the tokenizer expects if the template omits it."""
        text = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=reply, tokenize=False
        )
        return text if text.startswith(self._added_bos) else self._added_bos + text

    @cached_property
    def _added_bos(self) -> str:
        """The BOS that the tokenizer puts in front of every text by itself, or nothing."""
        bos_id = self.tokenizer.bos_token_id
        return self.tokenizer.bos_token if bos_id is not None and self.tokenizer("").input_ids[:1] == [bos_id] else ""

    def _supplied(self, rendered: str) -> str:
        """How much of the reply the prompt holds already, from the opening delimiter on: often nothing, or `<think>`.

        Only the text from the last generation prompt on is searched: a template's system text may talk about tags.
        """
        start = rendered.rfind(self._generation_prompt)
        if start < 0:
            raise ValueError(f"the prompt was not rendered by this chat: {rendered[-80:]!r}")
        opened = rendered.find(self.format.opening, start)
        return rendered[opened if opened >= 0 else start + len(self._generation_prompt) :]

    def _check(self, rendered: str, prompt_ids: list[int], target_ids: list[int]) -> None:
        """Raise ValueError for ids that would train the wrong thing: a second BOS, a reply that never ends."""
        bos_id = self.tokenizer.bos_token_id
        if bos_id is not None and prompt_ids.count(bos_id) > 1 and bos_id != self.end_id:
            raise ValueError(f"the prompt holds {prompt_ids.count(bos_id)} BOS tokens, not one: {rendered[:80]!r}")
        if target_ids[-1:] != [self.end_id]:
            raise ValueError(
                f"the last label is token {target_ids[-1:]}, not the end token {self.end_token!r} ({self.end_id}); "
                "the model would never learn to stop"
            )
