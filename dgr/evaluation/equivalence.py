"""Whether two mathematical answers are the same, by math-verify in a process that can be stopped.

Its own time limit is a signal: that works in a process's first thread only, and not while a long multiplication runs.
"""

import logging
import multiprocessing
import re
from collections.abc import Sequence

log = logging.getLogger(__name__)

Pair = tuple[str, str]

_DELIMITED = re.compile(r"\$.*\$|\\\(|\\\[|\\boxed|\\begin", re.DOTALL)
_PLAIN_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:[ ,]\d{3})+|\d+)(?:\.\d+)?")
_WORD = re.compile(r"(?<![\\a-zA-Z])[A-Za-z]{3,}")
_WRAPPING = re.compile(r"\\(?:text|textbf|mathrm|mbox)\s*\{([^{}]*)\}|\$|(?<!\d)\s+|\s+(?!\d)")


def equivalent(pairs: Sequence[Pair], seconds: float) -> dict[Pair, bool | None]:
    """Whether the candidate equals the gold answer, for each (gold, candidate); None where it took too long."""
    found: dict[Pair, bool | None] = {pair: True for pair in pairs if _plain(pair[0]) == _plain(pair[1])}
    left = [pair for pair in dict.fromkeys(pairs) if pair not in found]
    return found | (_compared(left, seconds) if left else {})


def _compared(pairs: list[Pair], seconds: float) -> dict[Pair, bool | None]:
    spawn = multiprocessing.get_context("spawn")
    found: dict[Pair, bool | None] = {}
    pool = None
    try:
        for gold, candidate in pairs:
            if pool is None:
                pool = spawn.Pool(1, _quiet)
                pool.apply(same, ("1", "2"))  # the import counts for nobody
            try:
                found[gold, candidate] = pool.apply_async(same, (as_latex(gold), as_latex(candidate))).get(seconds)
            except multiprocessing.TimeoutError:
                log.warning("comparing %r with %r took more than %.0f s", candidate[:80], gold[:80], seconds)
                found[gold, candidate] = None
                pool.terminate()
                pool = None
    finally:
        if pool is not None:
            pool.terminate()
    return found


def same(
    gold: str, candidate: str, precision: int = 6, strict: bool = True, allow_set_relation_comp: bool = False
) -> bool:
    """math-verify's finding about two texts; takes the process's alarm signal while it runs."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    kinds = (LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig())
    return verify(
        parse(gold, kinds),
        parse(candidate, kinds),
        float_rounding=precision,
        strict=strict,
        allow_set_relation_comp=allow_set_relation_comp,
    )


def as_latex(answer: str) -> str:
    """An answer as math-verify wants it: a formula between dollars, a number or a sentence as it is."""
    if _DELIMITED.search(answer):
        return answer
    text = answer.replace("\\$", "").replace("$", "").strip()  # a currency
    if _PLAIN_NUMBER.fullmatch(text) or _WORD.search(text):
        return text
    return f"${text}$"


def _plain(answer: str) -> str:
    """An answer without the marks that change nothing about it."""
    return _WRAPPING.sub(lambda match: match[1] or "", answer).lower().rstrip(".")


def _quiet() -> None:
    logging.disable(logging.WARNING)  # math-verify's warnings: what it cannot read is simply not equal
