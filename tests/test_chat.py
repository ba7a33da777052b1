import re
from pathlib import Path

import pytest
from tiny_tokenizers import BOS, EOS, tiny

from dgr.chat import IGNORED, Chat
from dgr.data.parsers import star1
from dgr.data.rows import read_table

STAR1 = Path(__file__).parents[2] / "shared" / "data" / "star1" / "STAR-1.json"
FAMILIES = {"r1": "think_tags", "r1_first": "think_tags", "qwen3": "think_tags", "s1": "s1", "micro": "think_tags"}
SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
PROMPTS = {
    "r1": f"{BOS}<｜User｜>hello<｜Assistant｜><think>\n",
    "r1_first": f"{BOS}<｜User｜>hello<｜Assistant｜>",
    "qwen3": "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n",
    "s1": f"{SYSTEM}<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n",
    "micro": "<bos> <user> hello <assistant> <think>",
}
TARGETS = {
    "r1": "why\nso\n</think>\n\nno",
    "r1_first": "<think>\nwhy\nso\n</think>\n\nno",
    "qwen3": "<think>\nwhy\nso\n</think>\n\nno",
    "s1": "<|im_start|>think\nwhy\nso\n<|im_start|>answer\nno",
    "micro": "\nwhy\nso\n</think>\n\nno",
}


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture
def chat(family):
    if family == "micro":
        from dgr.micro.tokenizer import build_tokenizer

        return Chat(build_tokenizer(), FAMILIES[family])
    return Chat(tiny(family), FAMILIES[family])


def labelled(encoded):
    return [label for label in encoded.labels if label != IGNORED]


def same(family, left, right):
    """Equal text; the micro tokenizer keeps no white space but single spaces."""
    return left.split() == right.split() if family == "micro" else left == right


def test_prompt_and_target_are_the_familys(chat, family):
    rendered = chat.render_prompt("hello")
    assert rendered == PROMPTS[family]
    assert chat.opens(rendered) == (family in ("r1", "micro"))
    assert chat.render_target(rendered, " why\nso ", "\nno\n") == TARGETS[family]


def test_labels_are_exactly_the_target_and_the_end_token(chat, family):
    reasoning, answer = "i should not answer this", "i cannot tell you that"
    encoded = chat.encode("hello", reasoning, answer)
    target = chat.render_target(chat.render_prompt("hello"), reasoning, answer)
    labels = labelled(encoded)
    assert encoded.labels == [IGNORED] * encoded.n_prompt + labels
    assert encoded.input_ids == chat.tokenize(chat.render_prompt("hello")) + labels
    assert labels[-1] == chat.end_id
    assert labels.count(chat.end_id) == 1
    decoded = chat.tokenizer.decode(labels, skip_special_tokens=False)
    assert same(family, decoded, target + (" " if family == "micro" else "") + chat.end_token)


def test_reasoning_tokens_end_with_the_closing_delimiter(chat, family):
    encoded = chat.encode("hello", "i should not answer this", "i cannot tell you that")
    labels = labelled(encoded)
    assert encoded.n_prompt + encoded.n_reasoning + encoded.n_answer == len(encoded.input_ids)
    reasoning = chat.tokenizer.decode(labels[: encoded.n_reasoning], skip_special_tokens=False)
    answer = chat.tokenizer.decode(labels[encoded.n_reasoning :], skip_special_tokens=False)
    assert reasoning.endswith(chat.format.closing)
    assert "i should not answer this" in reasoning
    assert answer.strip().startswith("i cannot tell you that")


def test_exactly_one_bos_where_the_family_has_one(chat, family):
    encoded = chat.encode("hello", "because", "no")
    bos_id = chat.tokenizer.bos_token_id
    assert encoded.input_ids.count(bos_id) == (0 if family in ("qwen3", "s1") else 1)


def test_a_bos_that_only_the_tokenizer_adds_is_there_once_too():
    from copy import deepcopy

    tokenizer = deepcopy(tiny("r1"))
    tokenizer.chat_template = tokenizer.chat_template.replace("{{ bos_token }}", "")
    encoded = Chat(tokenizer, "think_tags").encode("hello", "because", "no")
    assert encoded.input_ids.count(tokenizer.bos_token_id) == 1
    assert encoded.input_ids[0] == tokenizer.bos_token_id


def test_a_template_that_writes_two_bos_is_an_error():
    from copy import deepcopy

    tokenizer = deepcopy(tiny("r1"))
    tokenizer.chat_template = "{{ bos_token }}" + tokenizer.chat_template
    with pytest.raises(ValueError, match="2 BOS"):
        Chat(tokenizer, "think_tags").encode("hello", "because", "no")


@pytest.mark.parametrize("reasoning", ["one line", "two\n\nlines", "1) a ; 2) b", "ends with </ think", "日本 é 🙂"])
def test_split_gives_back_what_was_rendered(chat, family, reasoning):
    rendered = chat.render_prompt("hello")
    split = chat.split(rendered, chat.render_target(rendered, reasoning, "the answer\n\nin two parts"))
    assert (split.reasoning, split.answer) == (reasoning, "the answer\n\nin two parts")
    assert (split.closed, split.blocks) == (True, 1)


def test_split_of_decoded_labels_loses_nothing(chat, family):
    reasoning, answer = "i should not answer this", "i cannot tell you that"
    text = chat.tokenizer.decode(labelled(chat.encode("hello", reasoning, answer))[:-1], skip_special_tokens=False)
    split = chat.split(chat.render_prompt("hello"), text)
    assert (split.reasoning, split.answer, split.blocks) == (reasoning, answer, 1)


def test_split_of_a_reply_that_was_cut_has_no_answer(chat, family):
    rendered = chat.render_prompt("hello")
    reply = chat.render_target(rendered, "thinking on and on", "x").split(chat.format.closing)[0]
    split = chat.split(rendered, reply)
    assert (split.reasoning, split.answer, split.closed, split.blocks) == ("thinking on and on", "", False, 1)


def test_a_thought_that_is_ended_from_outside_looks_like_one_that_ended_itself(chat, family):
    rendered = chat.render_prompt("hello")
    whole = chat.render_target(rendered, "thinking on and on", "so no")
    cut = whole[: whole.index(" on and on")] + " "
    ended = chat.end_thinking(cut) + "so no"
    assert ended == whole.replace(" on and on", "")
    split = chat.split(rendered, ended)
    assert (split.reasoning, split.answer, split.closed, split.blocks) == ("thinking", "so no", True, 1)


def test_split_sees_a_second_block(chat, family):
    opening, closing = chat.format.opening, chat.format.closing
    rendered = chat.render_prompt("hello")
    first = chat.render_target(rendered, "one", "between")
    split = chat.split(rendered, f"{first}\n{opening}\ntwo\n{closing}\nlast")
    assert (split.blocks, split.closed, split.answer) == (2, True, "last")
    assert "one" in split.reasoning
    assert "two" in split.reasoning
    cut = chat.split(rendered, f"{first}\n{opening}\ntwo")
    assert (cut.blocks, cut.closed, cut.answer) == (2, False, "")


def test_split_counts_a_repeated_opening_tag():
    chat = Chat(tiny("r1"), "think_tags")
    split = chat.split(chat.render_prompt("hello"), "<think>\nagain\n</think>\n\nno")
    assert (split.blocks, split.closed, split.answer) == (2, True, "no")


@pytest.mark.parametrize("name", ["r1_first", "qwen3", "s1"])
def test_split_of_a_reply_without_thinking_is_all_answer(name):
    chat = Chat(tiny(name), FAMILIES[name])
    split = chat.split(chat.render_prompt("hello"), "just no")
    assert (split.reasoning, split.answer, split.closed, split.blocks) == ("", "just no", True, 0)


def test_split_takes_a_reply_that_skips_the_opening_tag():
    chat = Chat(tiny("r1_first"), "think_tags")
    split = chat.split(chat.render_prompt("hello"), "because\n</think>\n\nno")
    assert (split.reasoning, split.answer, split.closed, split.blocks) == ("because", "no", True, 1)


def test_a_forced_start_belongs_to_the_reply(chat, family):
    forced = "Okay" if family in ("r1", "micro") else f"{chat.format.opening}\nOkay"
    rendered = chat.render_prompt("hello", prefix=forced)
    assert rendered == PROMPTS[family] + forced
    assert chat.opens(rendered)
    split = chat.split(rendered, f", so{chat.format.closing}no")
    assert (split.reasoning, split.answer, split.blocks) == ("Okay, so", "no", 1)
    with pytest.raises(ValueError, match="without a prefix"):
        chat.render_target(rendered, "a", "b")


def test_a_block_that_the_prompt_has_closed_is_not_open(chat, family):
    form = chat.format
    closed = ("" if family in ("r1", "micro") else form.opening) + "\n" + form.closing + "\n"
    rendered = chat.render_prompt("hello", prefix=closed)
    assert not chat.opens(rendered)
    split = chat.split(rendered, "no")
    assert (split.reasoning, split.answer, split.closed) == ("", "no", True)


def test_a_system_text_that_talks_about_think_tags_opens_nothing():
    from copy import deepcopy

    tokenizer = deepcopy(tiny("qwen3"))
    tokenizer.chat_template = "{{ 'Reason between <think> tags.\\n' }}" + tokenizer.chat_template
    chat = Chat(tokenizer, "think_tags")
    rendered = chat.render_prompt("hello")
    assert rendered.startswith("Reason between <think> tags.")
    assert not chat.opens(rendered)
    assert chat.render_target(rendered, "because", "no") == "<think>\nbecause\n</think>\n\nno"


def test_control_tokens_in_user_text_are_inert(chat, family):
    tokens = [*chat.tokenizer.get_added_vocab(), chat.format.opening, chat.format.closing]
    prompt = " ".join(tokens) + "".join(tokens) + "<" + tokens[0] + ">"
    encoded = chat.encode(prompt, "because " + prompt, "no " + prompt)
    clean = chat.encode("hello", "because", "no")
    controls = set(chat.tokenizer.get_added_vocab().values()) - {chat.tokenizer.unk_token_id}
    assert [i for i in encoded.input_ids if i in controls] == [i for i in clean.input_ids if i in controls]
    split = chat.split(
        chat.render_prompt(prompt), chat.render_target(chat.render_prompt(prompt), "a" + prompt, "b" + prompt)
    )
    assert split.blocks == 1
    assert split.reasoning.startswith("a")
    assert split.answer.startswith("b")


def test_neutralised_text_differs_by_one_space_and_ordinary_text_by_nothing():
    chat = Chat(tiny("r1"), "think_tags")
    assert chat.neutralise("what does <think> do? </think>") == "what does < think> do? < /think>"
    assert chat.neutralise("a < b, <b>bold</b>, <|x|> \n\t 5>3") == "a < b, <b>bold</b>, <|x|> \n\t 5>3"
    assert "< ｜User｜>" in chat.render_prompt("hi<｜User｜>me")


def test_text_that_turns_into_a_control_token_is_an_error():
    # U+037E becomes ";" under NFC, so the pattern, which reads the raw text, cannot see the token.
    from copy import deepcopy

    from tokenizers import AddedToken

    tokenizer = deepcopy(tiny("qwen3"))
    tokenizer.add_tokens([AddedToken("<;role>", normalized=True)])
    with pytest.raises(ValueError, match=re.escape("'<;role>'")):
        Chat(tokenizer, "think_tags").render_prompt("hello <\u037erole>")


def test_too_long_is_an_error_with_both_numbers_and_nothing_is_cut(chat, family):
    whole = chat.encode("hello", "because", "no")
    length = len(whole.input_ids)
    assert chat.encode("hello", "because", "no", max_length=length) == whole
    with pytest.raises(ValueError, match=rf"{length} tokens .* max_length is {length - 1}"):
        chat.encode("hello", "because", "no", max_length=length - 1)


@pytest.mark.parametrize(("reasoning", "answer"), [("", "no"), ("  \n", "no"), ("because", "")])
def test_an_empty_part_is_an_error(chat, reasoning, answer):
    with pytest.raises(ValueError, match="must both hold text"):
        chat.encode("hello", reasoning, answer)


def test_an_unknown_family_lists_the_valid_ones():
    with pytest.raises(ValueError, match="'r2' is unknown; choose one of: think_tags, s1"):
        Chat(tiny("r1"), "r2")


def test_a_family_that_does_not_fit_the_tokenizer_is_an_error():
    with pytest.raises(ValueError, match=re.escape("'<|im_end|>' is not in the vocabulary")):
        Chat(tiny("r1"), "s1")


def test_pad_and_end_are_the_tokenizers():
    r1, qwen3 = Chat(tiny("r1"), "think_tags"), Chat(tiny("qwen3"), "think_tags")
    assert r1.end_token == EOS
    assert r1.pad_id == r1.end_id
    assert qwen3.end_token == "<|im_end|>"
    assert qwen3.pad_id == qwen3.tokenizer.convert_tokens_to_ids("<|endoftext|>")


@pytest.mark.skipif(not STAR1.exists(), reason="the real STAR-1 file is not here")
@pytest.mark.parametrize(("start", "name"), enumerate(["r1", "r1_first", "qwen3", "s1"]))
def test_real_traces_come_back_whole(start, name):
    chat = Chat(tiny(name), FAMILIES[name])
    for _, row in read_table(STAR1).rows[start::4]:  # every row goes through one family
        sample = star1(row)
        encoded = chat.encode(sample.prompt, sample.reasoning, sample.answer)
        reply = chat.tokenizer.decode(labelled(encoded)[:-1], skip_special_tokens=False)
        split = chat.split(chat.render_prompt(sample.prompt), reply)
        assert (split.reasoning, split.answer, split.blocks) == (sample.reasoning, sample.answer, 1)
