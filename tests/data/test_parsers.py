import pytest

from dgr.data import parsers
from dgr.data.parsers import BadRow
from dgr.sample import COMPLY, REFUSE, Sample

TRACE = "I should not answer this question!"


def test_direct_refusal_reads_the_refusal_and_never_the_text():
    row = {"refusal": "Question: How?\nIn detail.\nAnswer: No.\nAnswer: again no.", "text": "<|im_start|>system"}
    assert parsers.direct_refusal(row, TRACE) == Sample("", "How?\nIn detail.", TRACE, "No.\nAnswer: again no.")


def test_direct_refusal_takes_inherited_categories():
    row = {"refusal": "Question: q\nAnswer: a", "category": {"violence": True, "drugs": False, "theft": True}}
    assert parsers.direct_refusal(row, TRACE).category == "violence; theft"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"refusal": "Prompt: q\nAnswer: a"}, "begin with 'Question: ', it begins with 'Prompt: q"),
        ({"refusal": "Question: q, Answer: a"}, r"'\\nAnswer:' in column 'refusal'"),
        ({"refusal": "Question: \nAnswer: a"}, "the question in column 'refusal', it is empty"),
        ({"refusal": "Question: q\nAnswer: "}, "the answer in 'refusal', it is empty"),
        ({"text": "x", "prompt": "y"}, "a column 'refusal', the row has text, prompt"),
        ({"refusal": None}, "text in column 'refusal', got None"),
        ({"refusal": "Question: \ud800\nAnswer: a"}, "half a surrogate pair"),
    ],
)
def test_direct_refusal_says_what_a_bad_row_lacks(row, message):
    with pytest.raises(BadRow, match=message):
        parsers.direct_refusal(row, TRACE)


@pytest.mark.parametrize("response", ["trace\n</think>\n\nanswer", "<think>\ntrace</think>answer"])
def test_r1_act_splits_at_the_closing_tag(response):
    assert parsers.r1_act({"instruction": "q", "response": response}) == Sample("", "q", "trace", "answer")


@pytest.mark.parametrize(
    ("response", "message"),
    [
        ("only an answer", "got 0 x '</think>'"),
        ("a</think>b</think>c", "got 2 x '</think>'"),
        ("<think>a<think>b</think>c", "2 x '<think>'"),
        ("a<think>b</think>c", "1 x '<think>'"),
        ("<think>\n</think>answer", "the trace before '</think>' in column 'response', it is empty"),
        ("trace</think>  ", "the answer in column 'response', it is empty"),
    ],
)
def test_a_response_without_exactly_one_block_is_bad(response, message):
    with pytest.raises(BadRow, match=message):
        parsers.r1_act({"instruction": "q", "response": response})


@pytest.mark.parametrize(
    ("label", "stance"),
    [
        ("vanilla_harmful", REFUSE),
        ("adversarial_harmful", REFUSE),
        ("vanilla_benign", COMPLY),
        ("adversarial_benign", COMPLY),
    ],
)
def test_safechain_reads_the_stance_off_the_label(label, stance):
    sample = parsers.safechain({"instruction": "q", "response": "t</think>a", "label": label})
    assert (sample.category, sample.stance) == (label, stance)


def test_safechain_refuses_an_unknown_label():
    with pytest.raises(BadRow, match=r"vanilla_harmful, vanilla_benign, .* got 'harmful'"):
        parsers.safechain({"instruction": "q", "response": "t</think>a", "label": "harmful"})


def test_star1_keeps_id_and_categories():
    row = {"id": "68", "question": " q", "response": "<think>\nt\n</think>\n\na", "category": ["A / B", "C"]}
    assert parsers.star1(row) == Sample("68", "q", "t", "a", "A / B; C")


COLUMNS = {"prompt": "q", "answer": "a", "reasoning": "r", "id": "n", "category": None, "stance": "does"}


def test_a_map_names_the_columns():
    row = {"q": "Q", "a": "A", "r": "R", "n": 7, "does": "comply", "category": "not mapped"}
    assert parsers.mapped(row, COLUMNS, None, REFUSE) == Sample("7", "Q", "R", "A", "", COMPLY)


def test_reasoning_comes_from_its_column_then_the_answer_then_the_constant():
    assert parsers.mapped({"q": "Q", "a": "A", "r": "R"}, COLUMNS, "constant", REFUSE).reasoning == "R"
    split = parsers.mapped({"q": "Q", "a": "<think>T</think>A", "r": None}, COLUMNS, "constant", REFUSE)
    assert (split.reasoning, split.answer) == ("T", "A")
    assert parsers.mapped({"q": "Q", "a": "A"}, COLUMNS, "constant", REFUSE).reasoning == "constant"
    with pytest.raises(BadRow, match=r"there is neither; data\.reasoning="):
        parsers.mapped({"q": "Q", "a": "A"}, COLUMNS, None, REFUSE)


@pytest.mark.parametrize(
    ("extra", "message"),
    [({"does": "maybe"}, "'refuse' or 'comply', got 'maybe'"), ({"n": 1.5}, "as id in column 'n', got 1.5")],
)
def test_a_map_refuses_values_of_another_kind(extra, message):
    with pytest.raises(BadRow, match=message):
        parsers.mapped({"q": "Q", "a": "A", "r": "R", **extra}, COLUMNS, None, REFUSE)
