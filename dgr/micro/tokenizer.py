"""The micro language's tokenizer: one token a word, split at white space, as an ordinary Hugging Face tokenizer."""

from functools import cache
from typing import TYPE_CHECKING

from dgr.micro import foreign, language, problems, rewriting, sources, style, words

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, BOS, EOS, UNKNOWN, USER, ASSISTANT = "<pad>", "<bos>", "<eos>", "<unk>", "<user>", "<assistant>"
THINK, END_THINK = "<think>", "</think>"
SPECIAL = (PAD, BOS, EOS, UNKNOWN, USER, ASSISTANT, THINK, END_THINK)

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %} <user> {{ message['content'] }}"
    "{% elif message['role'] == 'assistant' %} <assistant> {{ message['content'] }} {{ eos_token }}"
    "{% else %}{{ raise_exception('the micro model knows the roles user and assistant only') }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %} <assistant> <think>{% endif %}"
)


@cache
def vocabulary() -> tuple[str, ...]:
    """Control tokens first, then every word of the language in alphabetical order."""
    return (*SPECIAL, *sorted(_all_words() - set(SPECIAL)))


def token_ids() -> dict[str, int]:
    return {word: number for number, word in enumerate(vocabulary())}


def build_tokenizer() -> "PreTrainedTokenizerFast":
    """The tokenizer with its chat template; the generation prompt opens the think block."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel(token_ids(), unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(list(SPECIAL[:-2]))
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in (THINK, END_THINK)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNKNOWN,
        additional_special_tokens=[USER, ASSISTANT],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=512,
        padding_side="right",
    )


def _all_words() -> set[str]:
    """Every word that a text of this world can hold, templates included."""
    texts: list[str] = [*words.FILLERS, *words.SETTINGS, *words.KIND_VERBS, *words.HARMLESS_OBJECTS]
    for category in words.CATEGORIES:
        texts += [category.name, *category.verbs, *category.victims]
    for group in (
        words.COUNTED,
        words.ADDING,
        words.REMOVING,
        words.ORDINALS,
        words.LETTERS,
        words.COLOURS,
        words.DIGITS,
    ):
        texts += group
    for module in (language, style, foreign, sources, problems, rewriting):
        texts += _templates(vars(module))
    for own in style.STYLES.values():
        texts += [text for wordings in vars(own).values() if isinstance(wordings, tuple) for text in wordings]
    texts += [
        "the answer is . ; : = start add up keep last digit and i first have : the ball is under swap where ? how many"
    ]
    texts += ["of these would hurt someone are harmful ? i have count yes no repeat"]
    return {word for text in texts for word in text.split() if "{" not in word}


def _templates(names: dict) -> list[str]:
    """The strings and tuples of strings among a module's constants."""
    found = []
    for name, value in names.items():
        if name.isupper() and isinstance(value, str):
            found.append(value)
        elif name.isupper() and isinstance(value, tuple):
            found += [text for text in value if isinstance(text, str)]
    return found
