import pytest
from rouge_score import rouge_scorer

from dgr.gap.similarity import AnyScript, rouge_l
from dgr.sample import Sample


def pair(source, refined):
    return Sample("a", "p", *source), Sample("a", "p", *refined)


def test_rouge_l_of_an_example_worked_out_by_hand(store):
    source = ("the police killed the gunman", "no")
    refined = ("the gunman killed police", "no , no , never")
    (found,) = rouge_l([pair(source, refined)], store)
    # reasoning: longest common subsequence "the killed" or "the police" or "the gunman" = 2 of 5 and of 4 words
    assert found["reasoning"] == pytest.approx(2 * (2 / 5) * (2 / 4) / (2 / 5 + 2 / 4))
    # answer: 1 of 1 and 1 of 3 words
    assert found["answer"] == pytest.approx(0.5)
    # both, joined: 3 of 6 and of 7
    assert found["both"] == pytest.approx(2 * (3 / 6) * (3 / 7) / (3 / 6 + 3 / 7))


def test_equal_texts_have_one_and_different_ones_zero(store):
    equal, wordless, different = rouge_l(
        [pair(("a b", "c"), ("a b", "c")), pair(("!", "?"), ("!", "?")), pair(("a b", "c"), ("d", "e f"))], store
    )
    assert equal == wordless == {"both": 1, "reasoning": 1, "answer": 1}
    assert different == {"both": 0, "reasoning": 0, "answer": 0}


@pytest.mark.parametrize(
    "text",
    ["I can't help_with that -- sorry!", 'x=3.14; y="2" (see [1])', "", "Tabs\tand\nlines", "<think> a </think>"],
)
def test_ascii_text_is_cut_as_rouge_score_cuts_it(text):
    stock = rouge_scorer.tokenizers.DefaultTokenizer(use_stemmer=False)
    assert AnyScript().tokenize(text) == stock.tokenize(text)


def test_other_scripts_count(store):
    assert AnyScript().tokenize("Ça coûte 3 €") == ["ça", "coûte", "3"]
    assert AnyScript().tokenize("我不能帮你 ok") == ["我", "不", "能", "帮", "你", "ok"]
    assert AnyScript().tokenize("я не могу") == ["я", "не", "могу"]
    (chinese,) = rouge_l([pair(("我不能帮你", "不行"), ("我不会帮你", "好"))], store)
    assert chinese["reasoning"] == pytest.approx(4 / 5)
    assert chinese["answer"] == 0


def test_a_pair_is_compared_once(store, monkeypatch):
    pairs = [pair((f"one two {i}", "x y"), ("two one", f"y x {i}")) for i in range(40)]
    first = rouge_l(pairs[:20], store)
    compared = []
    score = rouge_scorer.RougeScorer.score
    monkeypatch.setattr(
        rouge_scorer.RougeScorer, "score", lambda self, a, b: compared.append((a, b)) or score(self, a, b)
    )
    again = rouge_l(pairs, store)
    assert again[:20] == first
    assert len(compared) == 3 * 20
