import multiprocessing
import time

from dgr.store import Journal, locked


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


def _count_up(path, started):
    started.set()
    with locked(path):
        value = int(path.read_text())
        time.sleep(0.05)
        path.write_text(str(value + 1))


def test_only_one_process_holds_the_lock(tmp_path):
    path = tmp_path / "counter"
    path.write_text("0")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_count_up, args=(path, context.Event())) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert path.read_text() == "4"


def test_a_dead_owner_does_not_keep_the_lock(tmp_path):
    path = tmp_path / "key"
    context = multiprocessing.get_context("fork")
    started = context.Event()

    def hold():
        with locked(path):
            started.set()
            time.sleep(60)

    owner = context.Process(target=hold)
    owner.start()
    assert started.wait(10)
    owner.kill()
    owner.join(10)
    with locked(path):
        pass
