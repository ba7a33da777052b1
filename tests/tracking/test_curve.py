"""A loss curve that another process writes."""

import json

from dgr.files import write_json
from dgr.tracking.curve import Curve


def line(step, **more):
    return json.dumps({"step": step, "loss": step + 0.5, "epoch": 1, **more}) + "\n"


def test_rows_are_given_once_and_only_when_their_line_is_whole(tmp_path):
    curve, file = Curve(tmp_path), tmp_path / "curve.jsonl"
    assert list(curve.new()) == []
    file.write_text(line(1, grad_norm=0.25) + line(2)[:9])
    assert list(curve.new()) == [(1, {"train/loss": 1.5, "train/grad_norm": 0.25})]
    assert list(curve.new()) == []
    with file.open("a") as more:
        more.write(line(2)[9:])
    assert list(curve.new()) == [(2, {"train/loss": 2.5})]


def test_what_a_resumed_training_repeats_and_what_a_kill_has_torn_is_left_out(tmp_path):
    (tmp_path / "curve.jsonl").write_text(line(1) + line(2) + line(3)[:8] + "\n" + line(2) + line(3) + line(4))
    assert [step for step, _ in Curve(tmp_path).new()] == [1, 2, 3, 4]


def test_the_finished_training_s_record_comes_after_what_was_seen_live(tmp_path):
    curve = Curve(tmp_path)
    (tmp_path / "curve.jsonl").write_text(line(1) + line(2))
    assert [step for step, _ in curve.new()] == [1, 2]
    (tmp_path / "curve.jsonl").unlink()
    write_json(tmp_path / "train.json", {"loss": [[1, 1.5, 1e-4, 2.0], [2, 2.5, 1e-4, 2.0], [3, 3.5, 0.0, 1.0]]})
    curve.complete()
    last = {"train/loss": 3.5, "train/learning_rate": 0.0, "train/grad_norm": 1.0}
    assert list(curve.new()) == [(3, last)]
    assert list(curve.new()) == []


def test_a_run_that_is_continued_has_the_first_steps_already(tmp_path):
    curve = Curve(tmp_path)
    curve.after(1)
    (tmp_path / "curve.jsonl").write_text(line(1) + line(2))
    assert [step for step, _ in curve.new()] == [2]
