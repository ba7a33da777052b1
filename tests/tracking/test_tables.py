"""Cells of the tables a tracker shows."""

from dgr.files import write_json
from dgr.tracking.secrets import without_secrets
from dgr.tracking.tables import CELL, clean, evaluation_rows, sample_rows


def test_broken_unicode_long_texts_and_missing_fields_make_valid_cells(tmp_path):
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "b.replies.jsonl").write_text("a journal, not a benchmark")
    reply = "x" * (CELL + 10)
    (tmp_path / "evaluation" / "b.jsonl").write_text(
        '{"id": "1", "prompt": "\\ud800", "reply": "' + reply + '", "verdict": "correct", "n_tokens": 3}\n'
    )
    assert evaluation_rows(tmp_path, 5) == ([], 0), "not evaluated to the end"
    write_json(tmp_path / "base.json", {})
    ((benchmark, _, prompt, shown, verdict, why, *_, tokens, _),), total = evaluation_rows(tmp_path, 5)
    assert (benchmark, prompt, verdict, why, tokens, total) == ("b", "\\ud800", "correct", None, 3.0, 1)
    assert shown == "x" * CELL + " [... 10 characters more]"


def test_a_point_that_failed_before_it_had_samples_has_no_rows(tmp_path):
    (tmp_path / "samples.jsonl").write_text('{"id": "1"}\n')
    assert sample_rows(tmp_path, 5) == ([], 0)


def test_clean_reaches_keys_and_lists():
    assert clean({"\ud800": ["\udfff", 1, None]}) == {"\\ud800": ["\\udfff", 1, None]}


def test_secrets_are_blotted_out_wherever_they_stand(monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "tok-1234567")
    monkeypatch.setenv("LONGER_TOKEN", "tok-1234567-890")
    monkeypatch.setenv("DEBUG_KEY", "true")
    given = {"a": ["see tok-1234567-890", 3], "b": {"true": "true"}}
    assert without_secrets(given) == {"a": ["see ***", 3], "b": {"true": "true"}}
