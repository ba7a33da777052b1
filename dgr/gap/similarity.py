"""ROUGE-L between a source text and what it became, once per pair of texts."""

import re
from collections.abc import Iterator, Sequence

from dgr.progress import progress
from dgr.sample import Sample, digest
from dgr.store import Store

GROUP = 32  # pairs between two writes to the journal: two long traces take a second
# Scripts that put no spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese. Each character is a word.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\W_])+")


class AnyScript:
    """Words for rouge-score. Its own tokenizer keeps a-z and 0-9 only: two Chinese texts would have no words at all.

    ASCII text is cut as rouge-score cuts it; letters and digits of other scripts are kept.
    """

    def tokenize(self, text: str) -> list[str]:
        return _WORD.findall(text.lower())


def rouge_l(pairs: Sequence[tuple[Sample, Sample]], store: Store) -> list[dict[str, float]]:
    """ROUGE-L F-measure of each (source, refined): "reasoning", "answer", and "both" with the parts joined; 0 to 1.

    No stemmer. Equal texts have 1, also where they hold no word. The rest is kept in the store: the longest common
    subsequence of two long traces takes a second.
    """
    wanted = {_key(pair): pair for pair in pairs}
    journal = store.journal("similarity", digest("rouge_l", _WORD.pattern))
    with journal.locked():
        rows = {key: row for key, row in journal.read().items() if key in wanted}
        rows |= {key: _equal(key) for key, (a, b) in wanted.items() if key not in rows and _texts(a) == _texts(b)}
        missing = [key for key in wanted if key not in rows]
        for group in _score({key: wanted[key] for key in missing}) if missing else ():
            journal.append(group)
            rows.update((row["id"], row) for row in group)
    return [{name: rows[_key(pair)][name] for name in ("both", "reasoning", "answer")} for pair in pairs]


def _score(pairs: dict[str, tuple[Sample, Sample]]) -> Iterator[list[dict]]:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=False, tokenizer=AnyScript())
    keys = list(pairs)
    with progress("texts compared", len(keys)) as shown:
        for begin in range(0, len(keys), GROUP):
            group, words = [], 0
            for key in keys[begin : begin + GROUP]:
                source, refined = (_texts(sample) for sample in pairs[key])
                scores = {
                    name: 1.0 if before == after else scorer.score(before, after)["rougeL"].fmeasure
                    for name, before, after in zip(("both", "reasoning", "answer"), source, refined, strict=True)
                }
                group.append({"id": key, **scores})
                words += len(source[0].split()) + len(refined[0].split())
            shown.add(done=len(group), tokens=words)
            yield group


def _texts(sample: Sample) -> tuple[str, str, str]:
    return f"{sample.reasoning}\n{sample.answer}", sample.reasoning, sample.answer


def _key(pair: tuple[Sample, Sample]) -> str:
    return digest(*(text for sample in pair for text in (sample.reasoning, sample.answer)))


def _equal(key: str) -> dict:
    return {"id": key, "both": 1.0, "reasoning": 1.0, "answer": 1.0}
