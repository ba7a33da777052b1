"""What can be wrong with a rewritten sample. A check takes an attempt and returns the reason why it fails, or None.

A check's name in the yaml is its function's name. `true` switches it on, `false` off; some take bounds for `true`.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from dgr.chat import Split
from dgr.generator import LENGTH
from dgr.sample import COMPLY, REFUSE, Sample

MICRO = "micro"
PARTS = ("reasoning", "answer", "both")
IDEOGRAPHS = "\u3040-\u30ff\u3400-\u9fff"
OWN_SCRIPT = 0.1  # share of its letters from which on a script counts as one that the source is written in
LONG = 12  # words; a shorter phrase in common is chance ("I'm sorry, but I can't help with that")
LOOP_TIMES, LOOP_WORDS, LOOP_PERIOD = 4, 16, 64  # a block of up to 64 words said 4 times on end, 16 words in all

LEAKS = re.compile(
    r"\bre-?writ(?:e|es|ing|ten)\b|\bre-?phras(?:e|es|ed|ing)\b|\bparaphras\w+"
    r"|\b(?:my|your|their|its) own (?:words|voice|wording|response)\b"
    r"|\breference (?:answer|response|reply|reasoning|thinking|text|solution|refusal|decision|material)s?\b"
    r"|\b(?:the|this|that) reference\b"
    r"|\b(?:provided|given|original|example|sample|supplied) (?:answer|response|reply|reasoning|refusal)s?\b"
    r"|\b(?:the other|another|previous) assistant(?:'s)?\b|\bthe (?:thoughts|reply) above\b"
    r"|</?(?:message|thoughts|reply)>|\b(?:reference|reply) :"
)
CANNOT = (
    r"(?:can ?not|can't|won't|will not|must not|shouldn't|should not|am not able to|'m not able to|am unable to"
    r"|'m unable to|am not going to|'m not going to|am not willing to|'m not willing to|don't feel comfortable"
    r"|am not comfortable|'m not comfortable|couldn't|could not)"
)
ACTS = (
    r"(?:help|assist|provide|support|give|share|offer|answer|comply|fulfil|fulfill|do that|do this|engage|participate"
    r"|create|write|generate|discuss|explain|encourage|promote|facilitate|guide|tell|recommend|advise|condone|teach"
    r"|produce|carry out|take part|be part|continue|walk you through|respond)\w*"
)
REFUSALS = re.compile(
    rf"\b(?:i|we)(?: |(?='))(?:really |simply |just )?{CANNOT}(?: \w+){{0,3}}? {ACTS}"
    r"|\b(?:i|we)(?:'m| am| are|'re)(?: very| really| so| truly)? sorry,? (?:but|i)\b|\bsorry, (?:but )?i\b"
    r"|\b(?:i|we)(?: must| have to|'ll have to| need to)?(?: respectfully| politely)? (?:refuse|decline)\b"
    r"|\bnot something (?:that )?i (?:can|could|will|am)\b"
    r"|\bunable to (?:help|assist|provide|comply|support|answer)\b"
    r"|\bcan(?:not|'t) (?:be of assistance|in good conscience)\b"
    r"|^(?:no|absolutely not|no way)[.,!]"
)
OPENING = 200  # characters: where a reply that helps would say that it does not


@dataclass(frozen=True)
class Attempt:
    """One reply to the rewriting prompt, taken apart, beside the sample that it rewrites; `part` of it is kept."""

    source: Sample
    split: Split
    finish_reason: str
    language: str
    part: str = "both"

    @property
    def parts(self) -> dict[str, tuple[str, str]]:
        """Name of each part that is kept: its new text, its source's text."""
        pairs = {
            "reasoning": (self.split.reasoning, self.source.reasoning),
            "answer": (self.split.answer, self.source.answer),
        }
        return {name: pair for name, pair in pairs.items() if self.part in (name, "both")}


def unfinished(attempt: Attempt) -> str | None:
    return "the token limit was reached" if attempt.finish_reason == LENGTH else None


def think_block(attempt: Attempt) -> str | None:
    """Exactly one think block, closed."""
    if not attempt.split.closed:
        return "the think block is never closed"
    return None if attempt.split.blocks == 1 else f"{attempt.split.blocks} think blocks, not one"


def empty(attempt: Attempt) -> str | None:
    for name, (new, _) in attempt.parts.items():
        if not words(new):
            return f"the {name} holds no words"
    return None


def leak(attempt: Attempt) -> str | None:
    """The rewriting task shows, in words that the source itself does not hold."""
    source = plain(f"{attempt.source.prompt}\n{attempt.source.reasoning}\n{attempt.source.answer}")
    for name, (new, _) in attempt.parts.items():
        for found in LEAKS.finditer(plain(new)):
            if found[0] not in source:
                return f"the {name} says {found[0]!r}"
    return None


def repetition(attempt: Attempt) -> str | None:
    """The same words over and over on end."""
    for name, (new, _) in attempt.parts.items():
        looped = loop(words(new))
        if looped:
            return f"the {name} repeats {looped!r}"
    return None


def copy_source(attempt: Attempt) -> str | None:
    """The source's reasoning word for word, or a long part of which one is inside the other."""
    for name, (new, old) in attempt.parts.items():
        ours, theirs = words(new), words(old)
        if ours == theirs and name == "reasoning":
            return "the reasoning is the source's"
        if min(len(ours), len(theirs)) >= LONG and (contains(ours, theirs) or contains(theirs, ours)):
            return f"the {name} is copied from the source"
    return None


def copy_prompt(attempt: Attempt) -> str | None:
    """A part that is nothing but words of the question."""
    asked = words(attempt.source.prompt)
    for name, (new, _) in attempt.parts.items():
        said = words(new)
        if len(said) >= min(LONG, len(asked)) > 0 and contains(asked, said):
            return f"the {name} only repeats the question"
    return None


def stance(attempt: Attempt) -> str | None:
    """A refusal stays one, and help does not become one. The reply's answer tells, also where it is not kept."""
    kept = refuses(attempt.split.answer, attempt.language)
    if attempt.source.stance == REFUSE and not kept:
        return "the source refuses, the answer does not"
    if attempt.source.stance == COMPLY and refuses(attempt.split.answer[:OPENING], attempt.language):
        return "the source helps, the answer refuses"
    return None


def topic(attempt: Attempt) -> str | None:
    """Verb and object of the question are kept. Only the micro language has a rule for it."""
    if attempt.language != MICRO:
        return None
    from dgr.micro.scoring import keeps_topic

    for name, (new, _) in attempt.parts.items():
        if not keeps_topic(attempt.source.prompt, new):
            return f"the {name} is not about what was asked"
    return None


def script(attempt: Attempt, bounds: list[float]) -> str | None:
    """Share of letters in scripts that the source is not written in, within bounds: the model changed its language."""
    source = _letters(f"{attempt.source.prompt}\n{attempt.source.reasoning}\n{attempt.source.answer}")
    own = {name for name, count in source.items() if count >= OWN_SCRIPT * source.total()}
    for name, (new, _) in attempt.parts.items():
        letters = _letters(new)
        other = letters - Counter({script: letters[script] for script in own})
        if letters and not bounds[0] <= other.total() / letters.total() <= bounds[1]:
            what, _ = other.most_common(1)[0] if other else ("none", 0)
            share = other.total() / letters.total()
            return f"{share:.0%} of the letters of the {name} are not in the source's script (most: {what.lower()})"
    return None


def reasoning_length(attempt: Attempt, bounds: list[float]) -> str | None:
    """Characters of the new reasoning over those of the source's, within bounds."""
    return _length_ratio(attempt, "reasoning", bounds)


def answer_length(attempt: Attempt, bounds: list[float]) -> str | None:
    """Characters of the new answer over those of the source's, within bounds."""
    return _length_ratio(attempt, "answer", bounds)


SWITCHES = (unfinished, think_block, empty, leak, repetition, copy_source, copy_prompt, stance, topic)
BOUNDED = (script, reasoning_length, answer_length)
CHECKS = {check.__name__: check for check in (*SWITCHES, *BOUNDED)}


def failures(attempt: Attempt, settings: Mapping[str, Any]) -> dict[str, str]:
    """Reason by name for every check that is on and fails; `settings` must have passed `setting_problems`."""
    found = {}
    for name, setting in settings.items():
        check = CHECKS[name]
        if setting is False:
            continue
        reason = check(attempt, list(setting)) if check in BOUNDED else check(attempt)
        if reason:
            found[name] = reason
    return found


def setting_problems(settings: Mapping[str, Any]) -> list[str]:
    """What is wrong with the yaml's `checks`."""
    found = []
    for name, setting in settings.items():
        if name not in CHECKS:
            found.append(f"refine.checks.{name} is no check; choose from {', '.join(CHECKS)}")
        elif CHECKS[name] in BOUNDED:
            if setting is not False and not _are_bounds(setting):
                found.append(f"refine.checks.{name}={setting}: give [low, high] with 0 <= low < high, or false")
        elif not isinstance(setting, bool):
            found.append(f"refine.checks.{name}={setting}: give true or false")
    if settings.get("empty") is not True:
        found.append("refine.checks.empty has to be true: a sample with an empty part cannot be trained on")
    return found


def refuses(answer: str, language: str) -> bool:
    """Does the answer refuse? For natural language by its phrases, a rule of thumb for drafts, not a judge."""
    if language == MICRO:
        from dgr.micro import scoring

        return scoring.refuses(answer)
    return bool(REFUSALS.search(plain(answer).strip()))


def plain(text: str) -> str:
    """Lower case, straight quotes, white space as single spaces."""
    return " ".join(text.lower().replace("’", "'").replace("‘", "'").split())


def words(text: str) -> list[str]:
    """Words; of Chinese and Japanese, which put no space between them, the characters."""
    return re.findall(rf"[{IDEOGRAPHS}]|[^\W{IDEOGRAPHS}]+", plain(text))


def contains(whole: list[str], piece: list[str]) -> bool:
    """Do the words of `piece` stand in `whole` one after the other?"""
    return f" {' '.join(piece)} " in f" {' '.join(whole)} "


def loop(said: list[str]) -> str:
    """The block of words that is repeated on end, or an empty string."""
    import numpy as np

    ids = np.unique(np.array(said, dtype=object), return_inverse=True)[1] if said else np.empty(0, int)
    for period in range(1, min(LOOP_PERIOD, len(ids) // LOOP_TIMES) + 1):
        breaks = np.flatnonzero(ids[period:] != ids[:-period])
        edges = np.concatenate([[-1], breaks, [len(ids) - period]])
        runs = np.diff(edges) - 1  # how long the text goes on equal to itself, `period` words earlier
        start = int(runs.argmax())
        if runs[start] >= (LOOP_TIMES - 1) * period and runs[start] + period >= LOOP_WORDS:
            begin = int(edges[start]) + 1
            return " ".join(said[begin : begin + period])
    return ""


def _letters(text: str) -> Counter[str]:
    """Number of letters by script."""
    found: Counter[str] = Counter()
    for letter, count in Counter(unicodedata.normalize("NFKC", text)).items():
        if letter.isalpha():
            found[_script_of(letter)] += count
    return found


@cache
def _script_of(letter: str) -> str:
    """The first word of the letter's Unicode name: LATIN, CYRILLIC, CJK, ...; Japanese mixes two kinds of KANA."""
    name = re.split(r"\W", unicodedata.name(letter, "UNNAMED"))[0]
    return "KANA" if name in ("HIRAGANA", "KATAKANA") else name


def _length_ratio(attempt: Attempt, name: str, bounds: list[float]) -> str | None:
    if name not in attempt.parts:
        return None
    new, old = attempt.parts[name]
    ratio = len(new) / max(1, len(old))
    if bounds[0] <= ratio <= bounds[1]:
        return None
    return f"the {name} is {ratio:.3g} times as long as the source's, allowed is {bounds[0]:g} to {bounds[1]:g}"


def _are_bounds(setting: Any) -> bool:
    try:
        low, high = setting
        return 0 <= low < high
    except (TypeError, ValueError):
        return False
