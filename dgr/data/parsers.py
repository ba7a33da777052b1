"""One pure function a dataset: a row in, a Sample out. The Sample's id is empty where the row has none.

Every function raises BadRow for a row of another shape, saying what was expected and what came.
"""

from collections.abc import Mapping
from typing import Any

from dgr.sample import COMPLY, REFUSE, Sample

Row = Mapping[str, Any]
OPENING, CLOSING = "<think>", "</think>"


class BadRow(ValueError):
    """A row that does not have the dataset's shape."""


def direct_refusal(row: Row, reasoning: str) -> Sample:
    """`refusal` is "Question: Q\\nAnswer: A"; the trace is the constant sentence `reasoning`.

    The column `text` holds the same row rendered in another model's template and is never read.
    """
    text = _text(row, "refusal")
    if not text.startswith("Question: "):
        raise BadRow(f"expected column 'refusal' to begin with 'Question: ', it begins with {shown(text)}")
    question, separator, answer = text.removeprefix("Question: ").partition("\nAnswer:")
    if not separator:
        raise BadRow(f"expected '\\nAnswer:' in column 'refusal', there is none in {shown(text)}")
    prompt, answer = filled(question, "the question in column 'refusal'"), filled(answer, "the answer in 'refusal'")
    return Sample(_id(row), prompt, reasoning, answer, _category(row.get("category")), REFUSE)


def r1_act(row: Row) -> Sample:
    """`instruction`; `response` is "trace</think>answer"."""
    reasoning, answer = think_parts(_text(row, "response"), "response")
    return Sample(_id(row), _text(row, "instruction"), reasoning, answer, _category(row.get("category")), REFUSE)


def safechain(row: Row) -> Sample:
    """As `r1_act`, with a `label`: {vanilla,adversarial}_{harmful,benign}; it is the category and sets the stance."""
    reasoning, answer = think_parts(_text(row, "response"), "response")
    stances = {f"{kind}_{harm}": stance for kind in ("vanilla", "adversarial") for harm, stance in _HARM.items()}
    label = _text(row, "label")
    if label not in stances:
        raise BadRow(f"expected column 'label' to be one of {', '.join(stances)}, got {shown(label)}")
    return Sample(_id(row), _text(row, "instruction"), reasoning, answer, label, stances[label])


def star1(row: Row) -> Sample:
    """`id`, `question`, `category` (a list); `response` is "<think>trace</think>answer"."""
    reasoning, answer = think_parts(_text(row, "response"), "response")
    return Sample(_id(row), _text(row, "question"), reasoning, answer, _category(row.get("category")), REFUSE)


def mapped(row: Row, columns: Mapping[str, str | None], reasoning: str | None, stance: str) -> Sample:
    """A row of any shape: `columns` names the row's column for each field of a Sample.

    The reasoning is, in this order: its own column; what stands before "</think>" in the answer's column; the constant
    `reasoning`. A row with none of them is bad. `stance` holds where the row does not say.
    """
    answer = _text(row, columns["answer"])
    trace = _optional(row, columns.get("reasoning"))
    if not trace and CLOSING in answer:
        trace, answer = think_parts(answer, columns["answer"])
    if not (trace or reasoning):
        raise BadRow(
            f"expected reasoning in column {columns.get('reasoning')!r} or before '{CLOSING}' in column "
            f"{columns['answer']!r}, there is neither; data.reasoning='...' gives all such rows one sentence"
        )
    said = _optional(row, columns.get("stance")) or stance
    if said not in (REFUSE, COMPLY):
        raise BadRow(f"expected column {columns.get('stance')!r} to be {REFUSE!r} or {COMPLY!r}, got {shown(said)}")
    category = _category(row.get(columns.get("category")))
    return Sample(
        _id(row, columns.get("id")), _text(row, columns["prompt"]), trace or reasoning, answer, category, said
    )


def think_parts(text: str, column: str) -> tuple[str, str]:
    """(reasoning, answer) of "trace</think>answer", with or without "<think>" in front."""
    if text.count(CLOSING) != 1 or text.count(OPENING) > text.startswith(OPENING):
        raise BadRow(
            f"expected one think block, 'trace{CLOSING}answer', in column {column!r}, got {text.count(CLOSING)} x "
            f"{CLOSING!r} and {text.count(OPENING)} x {OPENING!r} in {shown(text)}"
        )
    reasoning, _, answer = text.removeprefix(OPENING).partition(CLOSING)
    where = f"in column {column!r}"
    return filled(reasoning, f"the trace before '{CLOSING}' {where}"), filled(answer, f"the answer {where}")


def shown(value: Any) -> str:
    """A value for an error message, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


_HARM = {"harmful": REFUSE, "benign": COMPLY}


def _text(row: Row, column: str) -> str:
    if column not in row:
        raise BadRow(f"expected a column {column!r}, the row has {', '.join(map(str, row)) or 'no columns'}")
    value = row[column]
    if not isinstance(value, str):
        raise BadRow(f"expected text in column {column!r}, got {shown(value)}")
    return filled(value, f"column {column!r}")


def _optional(row: Row, column: str | None) -> str:
    """The column's text, or "" where there is no such column or nothing in it."""
    return _text(row, column) if column is not None and row.get(column) not in (None, "") else ""


def filled(text: str, what: str) -> str:
    """The text without outer white space; BadRow if nothing is left, or if it cannot be written as UTF-8."""
    text = text.strip()
    if not text:
        raise BadRow(f"expected text in {what}, it is empty")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadRow(f"expected valid Unicode in {what}, character {error.start} is half a surrogate pair") from None
    return text


def _id(row: Row, column: str | None = "id") -> str:
    value = row.get(column)
    if value is None or value == "":
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRow(f"expected text or a whole number as id in column {column!r}, got {shown(value)}")
    return str(value)


def _category(value: Any) -> str:
    """One string of a category given as text, as a list of names, or as BeaverTails' {name: bool}."""
    if isinstance(value, Mapping):
        value = [name for name, holds in value.items() if holds]
    if isinstance(value, list | tuple):
        return "; ".join(map(str, value))
    return "" if value is None else str(value)
