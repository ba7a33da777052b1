"""Tiny tokenizers that behave like the real families', with chat templates written for these tests.

Byte-level like the real ones, so any text round-trips; the vocabulary is the 256 bytes plus control tokens.
"""

from functools import cache

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

BOS, EOS = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"

# R1-Distill: the reasoning of assistant turns is deleted; the second generation opens the think block.
R1_FIRST = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'user' %}{{ '<｜User｜>' + m.content }}"
    "{% elif m.role == 'assistant' %}{{ '<｜Assistant｜>' + m.content.split('</think>')[-1] + eos_token }}"
    "{% else %}{{ m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜>' }}{% endif %}"
)
R1_SECOND = R1_FIRST.replace("{{ '<｜Assistant｜>' }}{% endif %}", "{{ '<｜Assistant｜><think>\\n' }}{% endif %}")
# Qwen3: an assistant turn without a think block is given an empty one.
QWEN3 = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}"
    "{% if m.role == 'assistant' and '</think>' not in m.content %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}"
    "{{ m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    "{% if enable_thinking is defined and not enable_thinking %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}"
    "{% endif %}"
)
# s1: Qwen2.5's template, with a default system text.
S1 = (
    "{% if messages[0].role != 'system' %}"
    "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


@cache
def tiny(family: str) -> PreTrainedTokenizerFast:
    """One of r1, r1_first, qwen3, s1."""
    if family in ("r1", "r1_first"):
        template = R1_SECOND if family == "r1" else R1_FIRST
        return _byte_level(
            template, [BOS, EOS], ["<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"], EOS, EOS, BOS
        )
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_pad|>"]
    if family == "qwen3":
        return _byte_level(QWEN3, special, ["<think>", "</think>", "<tool_call>"], "<|im_end|>", "<|endoftext|>")
    return _byte_level(S1, special, ["<tool_call>"], "<|im_end|>", "<|endoftext|>")


def _byte_level(
    template: str, special: list[str], added: list[str], eos: str, pad: str, bos: str | None = None
) -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={byte: i for i, byte in enumerate(alphabet)}, merges=[]))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in added])
    if bos:  # the real tokenizers have add_bos_token: true
        bos_id = tokenizer.token_to_id(bos)
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, bos_id)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=eos,
        pad_token=pad,
        bos_token=bos,
        chat_template=template,
        clean_up_tokenization_spaces=False,
    )
