"""launch/local_queue.sh: a grid over the devices of one machine."""

import os
import subprocess
import sys

import pytest

from dgr.naming import PROJECT

GRID = ["refine=vanilla", "n_samples=0", "seed=0,1,2,3", "evaluation=none"]  # points that have nothing to do


@pytest.fixture
def queue(tmp_path):
    """Run it with a python that notes the begin and the end of every point, and on which device."""
    notes, python = tmp_path / "notes", tmp_path / "python"
    notes.touch()
    python.write_text(
        "#!/bin/sh\n"
        'note() { [ "$2" = dgr.command ] || echo "$1 ${CUDA_VISIBLE_DEVICES-none}" >>' + f"'{notes}'; }}\n"
        f'note begin "$2"; "{sys.executable}" "$@"; status=$?; note end "$2"; exit $status\n'
    )
    python.chmod(0o755)

    def run(*arguments, **environment):
        given = {"PYTHON": str(python), "OMP_NUM_THREADS": "1", "DGR_OUTPUTS": str(tmp_path / "outputs"), **environment}
        kept = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
        command = [PROJECT / "launch" / "local_queue.sh", *arguments]
        done = subprocess.run(command, env=kept | given, capture_output=True, text=True, check=False)
        return done, [line.split() for line in notes.read_text().splitlines()]

    return run


def test_no_two_points_have_the_same_device_at_the_same_time_and_none_runs_twice(queue):
    done, notes = queue("--", *GRID, CUDA_VISIBLE_DEVICES="5,GPU-7a")
    assert done.returncode == 0, done.stderr
    busy, most = set(), 0
    for moment, device in notes:
        if moment == "begin":
            assert device not in busy
            busy.add(device)
        else:
            busy.remove(device)
        most = max(most, len(busy))
    assert {device for _, device in notes} == {"5", "GPU-7a"}
    assert len(notes) == 8
    assert most == 2, "both devices are used"
    assert "dgr-n0" not in done.stdout
    assert done.stdout.count("vanilla-n0-s") == 4, "the table of the grid"

    again, notes = queue("-w", "2", "--", *GRID)
    assert again.returncode == 0
    assert len(notes) == 8, "a finished point was started again"


def test_mistakes_are_found_before_the_first_point(queue):
    done, notes = queue("-w", "1", "--", "refine=nope", "n_samples=1,2")
    assert done.returncode == 2
    assert "choose one of" in done.stderr
    assert not notes
    assert queue("-w", "none", "--", "n_samples=1,2")[0].returncode == 2
    assert queue("--")[0].returncode == 2


def test_a_point_that_fails_is_in_the_exit_status(queue):
    too_fast = ["refine=vanilla", "n_samples=1", "trainer.max_steps=9", "trainer.learning_rate=1e38"]
    done, notes = queue("-w", "1", "--", *too_fast)
    assert notes == [["begin", "none"], ["end", "none"]]
    assert done.returncode == 1
    assert "failed:" in done.stdout
