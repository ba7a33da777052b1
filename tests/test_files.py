import pytest

from dgr.files import read_json, read_jsonl, replacing, write_json, write_jsonl


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(tmp_path):
    path = tmp_path / "value.json"
    write_json(path, {"old": 1})
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text(f"half of the new {1 / 0}")
    assert read_json(path) == {"old": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["value.json"]


def test_jsonl_keeps_every_character_of_untrusted_text(tmp_path):
    rows = [{"id": "1", "text": 'tab\t newline\n \u2028 \x00 é "quoted" 汉'}, {"id": "2", "text": "\ud800 alone"}]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    assert read_jsonl(tmp_path / "rows.jsonl") == rows


def test_damage_is_named_with_file_and_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": 1}\n{"id": 2')
    with pytest.raises(ValueError, match=r"rows\.jsonl, line 2"):
        read_jsonl(path)
