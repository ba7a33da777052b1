"""The final answer in the text after the think block: boxed, else an "Answer:" line, else the last number or letter."""

import re
from collections.abc import Callable
from dataclasses import dataclass

BOXED, LINE, LAST, NOTHING = "boxed", "answer line", "last", "nothing"

_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_LINE = re.compile(r"\banswer\W{0,3}(?:\s*is\b|:)[\s*:]*(\S[^\n]*)", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:/\d+)?%?|(?<![\w.])-?\.\d+")
_COMMAND = re.compile(r"\\[a-zA-Z]+|[{}$]")
_FIRST_LETTER = re.compile(r"[\W_]*(?:(?i:option|choice)[\W_]*)?([A-Z])(?![A-Za-z'])")


@dataclass(frozen=True)
class Found:
    """An answer and the step that found it; `text` is empty where there is none."""

    step: str
    text: str


def final_number(text: str) -> Found:
    """The answer to a problem, as it is written."""
    return _first_step(text, read=lambda found: found, last=_last_number)


def final_letter(text: str, letters: str) -> Found:
    """The letter of the option that was chosen, one of `letters`."""

    def read(found: str) -> str:
        match = _FIRST_LETTER.match(_COMMAND.sub("", found))
        return match[1] if match and match[1] in letters else ""

    return _first_step(text, read, last=lambda text: _last_letter(text, letters))


def _first_step(text: str, read: Callable[[str], str], last: Callable[[str], str]) -> Found:
    for step, found in ((BOXED, boxed(text)), (LINE, _answer_line(text))):
        if read(found):
            return Found(step, read(found))
    found = last(text)
    return Found(LAST if found else NOTHING, found)


def boxed(text: str) -> str:
    """What the last complete box holds, or ""."""
    for match in reversed(list(_BOX.finditer(text))):
        depth = 1
        for position in range(match.end(), len(text)):
            escaped = text[position - 1] == "\\"
            depth += 0 if escaped else {"{": 1, "}": -1}.get(text[position], 0)
            if not depth:
                return text[match.end() : position].strip()
    return ""


def _answer_line(text: str) -> str:
    """The rest of the last line that announces the answer, or ""."""
    found = _LINE.findall(text)
    return found[-1].rstrip(".* ") if found else ""


def _last_number(text: str) -> str:
    found = _NUMBER.findall(text)
    return found[-1] if found else ""


def _last_letter(text: str, letters: str) -> str:
    """An option's letter that stands alone; an "A" before a word is an article."""
    found = re.findall(rf"(?<![A-Za-z'\\])([{letters}])(?![A-Za-z'])(?!(?<=A) [a-z])", text)
    return found[-1] if found else ""
