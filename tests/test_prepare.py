"""What is prepared for a sweep is not computed again by its jobs, and changes nothing."""

import pytest
from commands import POINT, Command, warm_up

from dgr.files import read_json, read_jsonl

GRID = ("-m", "n_samples=2,4", *POINT[1:])


@pytest.fixture(scope="module", autouse=True)
def warm():
    warm_up()


def dgr(program, outputs, *arguments):
    command = Command(outputs, arguments, program=program)
    return command.status(), command.text


def store(outputs):
    """Content of what is shared, by name."""
    return {str(file.relative_to(outputs)): file.read_bytes() for file in sorted(outputs.glob("store/*/**/*.jsonl"))}


def results(outputs):
    patterns = ("*.jsonl", "gap.json", "refine.json", "model/model.safetensors", "evaluation/*.jsonl")
    files = [file for pattern in patterns for file in outputs.glob(f"default/*/{pattern}")]
    return {str(file.relative_to(outputs)): file.read_bytes() for file in files}


@pytest.mark.slow
def test_after_preparing_a_grid_its_points_only_train_and_evaluate_to_the_same_files(tmp_path):
    status, text = dgr("prepare", tmp_path / "prepared", *GRID)
    assert status == 0, text
    lines = [line for line in text.splitlines() if line.startswith("point ")]
    assert [line.split("-n")[1][0] for line in lines] == ["4", "2"], "largest first"
    assert all("prepared in" in line for line in lines)
    folders = sorted((tmp_path / "prepared" / "default").iterdir())
    assert {read_json(folder / "status.json")["state"] for folder in folders} == {"prepared"}
    assert not list(tmp_path.glob("prepared/default/*/train.json"))
    before = store(tmp_path / "prepared")
    (attempts,) = (tmp_path / "prepared" / "store" / "attempts").glob("*.jsonl")
    assert sum(row["id"].endswith("#1") for row in read_jsonl(attempts)) == 4
    status, text = dgr("prepare", tmp_path / "prepared", *GRID)
    assert (status, text.count("prepared before, skipped")) == (0, 2)

    status, text = dgr("run", tmp_path / "prepared", *GRID)
    assert status == 0, text
    assert store(tmp_path / "prepared") == before, "something shared was computed again"
    assert not any(line.startswith(("attempt ", "texts scored")) for line in text.splitlines())
    assert "evaluate embedded:base" not in text
    status, text = dgr("run", tmp_path / "unprepared", *GRID)
    assert status == 0, text
    assert results(tmp_path / "prepared") == results(tmp_path / "unprepared")
    assert {name.split("/")[1] for name in results(tmp_path / "prepared")} == {folder.name for folder in folders}
    status, text = dgr("prepare", tmp_path / "prepared", *GRID)
    assert (status, text.count("skipped")) == (0, 2), "a finished point is left alone"


def test_a_point_that_cannot_be_prepared_is_listed_and_the_others_are_prepared(tmp_path):
    arguments = ["-m", "refine=vanilla", "n_samples=2,3", "evaluation=none"]
    assert dgr("prepare", tmp_path, *arguments, "refine=nope")[0] == 2
    status, text = dgr("prepare", tmp_path, *arguments)
    assert status == 0, text
    folder = next(tmp_path.glob("default/*-n3-*"))
    (folder / "gap.json").unlink()
    (folder / "samples.jsonl").write_text('{"id": 1\n')
    status, text = dgr("prepare", tmp_path, *arguments)
    assert status == 1
    assert f"{folder.name}: failed: ValueError: {folder / 'samples.jsonl'}, line 1" in text
    assert text.rstrip().endswith("1 of 2 points are prepared")
    assert read_json(folder / "status.json")["state"] == "failed"
