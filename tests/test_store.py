from dgr.store import Journal


def test_the_record_in_flight_is_all_that_a_killed_writer_loses(tmp_path):
    journal = Journal(tmp_path / "replies.jsonl")
    journal.append([{"id": "a", "text": "1"}, {"id": "b", "text": "2"}])
    whole = journal.path.read_bytes()
    for cut in range(1, 12):
        journal.path.write_bytes(whole[:-cut])
        assert journal.read() == {"a": {"id": "a", "text": "1"}}


def test_records_written_after_a_torn_line_are_whole(tmp_path):
    journal = Journal(tmp_path / "replies.jsonl")
    journal.append([{"id": "a"}])
    with journal.path.open("ab") as file:
        file.write(b'{"id": "torn", "te')
    journal.append([{"id": "b"}])
    assert list(journal.read()) == ["a", "b"]


def test_lines_that_are_no_records_are_skipped(tmp_path):
    journal = Journal(tmp_path / "replies.jsonl")
    journal.path.write_bytes(b'\n[1]\n{"no": "id"}\n\xff\xfe\n{"id": "good"}\n')
    assert list(journal.read()) == ["good"]


def test_the_first_record_of_an_id_counts(tmp_path):
    journal = Journal(tmp_path / "replies.jsonl")
    journal.append([{"id": "a", "text": "first"}])
    journal.append([{"id": "a", "text": "second"}])
    assert journal.read()["a"]["text"] == "first"


def test_a_torn_last_line_is_no_damage_but_one_in_the_middle_is_said(tmp_path, caplog):
    journal = Journal(tmp_path / "replies.jsonl")
    journal.path.write_bytes(b'{"id": "a"}\n{"id": "b')
    assert list(journal.read()) == ["a"]
    assert not caplog.text, "another process may just be writing it"
    journal.append([{"id": "c"}])
    assert list(journal.read()) == ["a", "c"]
    assert "line 2 is damaged" in caplog.text
