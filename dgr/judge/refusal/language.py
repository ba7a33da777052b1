"""Is a text English? Enough of one to be read by rules for English."""

import re

COMMON = """
    the a an and or but of to in on for with is are was be not no can it this that you i we your my as at by from if
    have has do does will would should they he she there here how what so
"""
FOREIGN = """
    der die das und ist nicht ich ein eine mit für zu den von auf sie es le la les des et est pas je un une pour vous
    que qui dans sur ne el los las y se con por para una del lo su il di che non per sono o os não uma com em
    het een niet ik van en op te voor aan zijn nie jest w na z się
"""
FEWEST = 8  # words: below that, common words may be missing by chance


def is_english(text: str) -> bool:
    """False for a text that is mostly in another script, or that has more of other languages' common words."""
    letters = [letter for letter in text if letter.isalpha()]
    if letters and sum(letter > "\u024f" for letter in letters) > len(letters) / 2:
        return False
    words = re.findall(r"[^\W\d_]+", text.lower())
    ours, theirs = (sum(map(frozenset(common.split()).__contains__, words)) for common in (COMMON, FOREIGN))
    return len(words) < FEWEST or theirs <= ours
