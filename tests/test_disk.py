"""File systems that are full, read-only, or not the user's: what is said, what stays, and when it is found."""

import errno
import multiprocessing
import os
import subprocess
import sys

import pytest

from dgr.command import check, ready
from dgr.disk import DiskError, explained, failure, remove_temporaries
from dgr.files import read_json, write_json
from dgr.preflight import Mistakes
from dgr.status import Status
from dgr.store import Journal


def dgr(outputs, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "dgr.run", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "DGR_OUTPUTS": str(outputs)},
        check=False,
    )


def said(error, folder):
    found = failure(error, folder)
    return str(found) if found else None


def test_what_a_journal_could_not_write_whole_is_cut_off_again(disk):
    journal = Journal(disk.path / "store" / "replies.jsonl")
    journal.append([{"id": "a", "text": "1"}])
    before = journal.path.read_bytes()
    disk.fill(leaving=8192)
    with pytest.raises(OSError, match="No space left"):
        journal.append({"id": str(i), "text": "x" * 1000} for i in range(100))
    assert journal.path.read_bytes() == before
    disk.free()
    journal.append([{"id": "b", "text": "2"}])
    assert list(journal.read()) == ["a", "b"]


def test_a_file_that_did_not_fit_leaves_the_old_one_and_an_error_with_path_and_remedy(disk):
    folder = disk.path / "default" / "run"
    write_json(folder / "value.json", {"old": 1})
    disk.fill()
    with pytest.raises(DiskError) as caught, explained(folder):
        write_json(folder / "value.json", {"new": "x" * 10_000})
    assert f"no space left on the file system of {folder}" in str(caught.value)
    assert "(0.0 GB free): free some or set DGR_OUTPUTS to another place; the same command" in str(caught.value)
    assert read_json(folder / "value.json") == {"old": 1}
    assert [file.name for file in folder.iterdir()] == ["value.json"]


def test_a_status_that_cannot_be_written_does_not_hide_the_first_error(disk, caplog):
    folder = disk.path / "default" / "run"
    status = Status(folder)
    status.begin("refine")
    disk.fill()
    status.fail(ValueError("the first error"))
    assert "still says 'running'" in caplog.text
    assert read_json(folder / "status.json")["state"] == "running"
    disk.free()
    status.fail(ValueError("the first error"))
    assert read_json(folder / "status.json")["error"] == "ValueError: the first error"


def test_errors_of_libraries_that_write_for_us_are_recognised(tmp_path):
    from safetensors import SafetensorError

    folder = tmp_path / "default" / "run"
    folder.mkdir(parents=True)
    rust = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert "no space left" in said(rust, folder)
    assert "quota" in said(OSError(errno.EDQUOT, "Disk quota exceeded", str(folder / "x")), folder)
    assert said(RuntimeError("the loss is no number"), folder) is None, "this disk can be written"
    assert said(FileNotFoundError(errno.ENOENT, "No such file", str(folder / "x")), folder) is None
    own = PermissionError(errno.EACCES, "Permission denied", "/elsewhere/my.jsonl")
    assert said(own, folder) is None, "a dataset that may not be read is not the outputs"
    elsewhere = OSError(errno.ENOSPC, "No space left on device", "/tmp/cache")
    assert "the file system of /tmp/cache" in said(elsewhere, folder)
    assert "DGR_OUTPUTS" not in said(elsewhere, folder)


def test_torch_s_error_on_a_read_only_disk_is_recognised(disk):
    torch = pytest.importorskip("torch")
    folder = disk.path / "default" / "run"
    folder.mkdir(parents=True)
    disk.read_only()
    with pytest.raises(DiskError, match="read-only") as caught, explained(folder):
        torch.save({}, folder / "x.pt")
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize(("state", "words"), [("fill", "no space left"), ("read_only", "is read-only")])
def test_outputs_that_cannot_be_written_are_found_before_the_first_point_starts(state, words, disk):
    getattr(disk, state)()
    done = dgr(disk.path / "outputs", "-m", "n_samples=2,3", "refine=vanilla")
    assert done.returncode == 2, done.stderr
    assert done.stderr.count(words) == 1
    assert "DGR_OUTPUTS" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(disk.path.glob("outputs/default/*/*"))


def test_another_user_s_outputs_and_a_name_that_is_too_long_are_found_too(tmp_path, monkeypatch):
    monkeypatch.setenv("DGR_OUTPUTS", str(tmp_path / "outputs"))
    with pytest.raises(Mistakes, match="the name is too long"):
        ready(check(["n_samples=2", f"sweep={'x' * 300}"]))
    (tmp_path / "theirs").mkdir(mode=0o555)
    monkeypatch.setenv("DGR_OUTPUTS", str(tmp_path / "theirs"))
    points = check(["-m", "n_samples=2,3"])
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe()

    def as_nobody():
        if not os.getuid():
            os.setuid(65534)
        try:
            ready(points)
        except Mistakes as mistakes:
            send.send(str(mistakes))

    process = context.Process(target=as_nobody)
    process.start()
    process.join(60)
    assert receive.poll()
    assert "may not be written" in receive.recv()


def test_temporary_files_of_a_killed_process_are_removed(tmp_path):
    (tmp_path / "evaluation").mkdir()
    for name in (".samples.jsonl.12.ab.tmp", "evaluation/.chain.jsonl.12.ab.tmp", "evaluation/chain.jsonl"):
        (tmp_path / name).write_text("half")
    remove_temporaries(tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["chain.jsonl"]
