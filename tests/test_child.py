"""Real processes: what they find around them, how they end, and what is said when they fail."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from dgr import child, stopping

# A parent that starts a child through torchrun, two ranks that never end; each leaves its pid in the folder.
RANK = """
import os, sys, time
from pathlib import Path
from dgr.child import work
def forever():
    Path(sys.argv[1], f"rank-{os.environ['RANK']}").write_text(str(os.getpid()))
    time.sleep(600)
work(Path(sys.argv[1], "errors"), int(os.environ["RANK"]), forever)
"""
PARENT = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a script starts in the background is deaf to Ctrl-C
from dgr.stopping import stoppable
from dgr.training.launch import run
folder = Path(sys.argv[1])
with stoppable():
    run(2, 4, [str(folder / "rank.py"), str(folder)], folder / "errors", "training")
"""


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 1), (signal.SIGTERM, 143), (signal.SIGKILL, -9)], ids=["INT", "TERM", "KILL"]
)
def test_the_whole_tree_ends_with_the_command(tmp_path, number, status):
    (tmp_path / "rank.py").write_text(RANK)
    environment = {**os.environ, "PYTHONPATH": str(Path(child.__file__).parents[1])}
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], env=environment, stderr=subprocess.PIPE)
    until(lambda: len(list(tmp_path.glob("rank-*"))) == 2 and all(p.stat().st_size for p in tmp_path.glob("rank-*")))
    tree = psutil.Process(parent.pid).children(recursive=True)
    ranks = {int(path.read_text()) for path in tmp_path.glob("rank-*")}
    assert ranks <= {process.pid for process in tree}
    parent.send_signal(number)
    _, stderr = parent.communicate(timeout=30)
    assert parent.returncode == (-number if number == signal.SIGINT else status)
    _, alive = psutil.wait_procs(tree, timeout=15)
    assert not alive, "something is left running"
    assert b"torch" not in stderr, "the launcher keeps quiet about an end that was asked for"


def run_python(code, tmp_path, **environment):
    child.run([sys.executable, "-c", code], child.clean({**os.environ, **environment}), tmp_path / "errors", "stage x")


def test_a_child_sees_no_other_launcher_s_ranks(tmp_path):
    strange = {"RANK": "3", "WORLD_SIZE": "8", "MASTER_PORT": "29500", "SLURM_PROCID": "3", "OMPI_COMM_WORLD_RANK": "3"}
    code = (
        f"import os, sys; sys.exit(any(name in os.environ for name in {list(strange)}) or 'WANTED' not in os.environ)"
    )
    run_python(code, tmp_path, WANTED="1", **strange)
    with pytest.raises(RuntimeError, match="exit status 1"):
        run_python(code, tmp_path, **strange)


def test_ranks_of_another_launcher_are_hidden_from_what_runs_here_and_come_back(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "8")
    with child.alone():
        assert "WORLD_SIZE" not in os.environ
    assert os.environ["WORLD_SIZE"] == "8"


def test_the_error_that_came_first_is_the_one_that_is_told(tmp_path):
    code = (
        "from pathlib import Path; from dgr.child import leave_error; import sys\n"
        f"errors = Path({str(tmp_path / 'errors')!r})\n"
        "leave_error(errors, 0, {'error': 'rank 0 lost its peer', 'traceback': 'late'}, moment=2.0)\n"
        "leave_error(errors, 1, {'error': 'ValueError: the cause', 'traceback': 'where it was'}, moment=1.0)\n"
        "sys.exit(1)"
    )
    with pytest.raises(RuntimeError, match="the cause") as caught:
        run_python(code, tmp_path)
    assert str(caught.value) == "stage x: ValueError: the cause"
    assert caught.value.__notes__ == ["where it was"]
    assert not (tmp_path / "errors").exists()


def test_a_process_that_is_killed_says_by_what(tmp_path):
    with pytest.raises(RuntimeError, match="its process was killed by SIGKILL"):
        run_python("import os; os.kill(os.getpid(), 9)", tmp_path)


def test_errors_of_an_earlier_run_are_not_told_again(tmp_path):
    child.leave_error(tmp_path / "errors", 0, {"error": "old"})
    with pytest.raises(RuntimeError, match="exit status 3"):
        run_python("import sys; sys.exit(3)", tmp_path)


def run_and_signal(tmp_path, code, number, everyone=False, **settings):
    """Run a child that says when it is ready, and send a signal then: to us, or first to all that run for it."""
    tree, others = [], psutil.Process().children(recursive=True)

    def send():
        until((tmp_path / "ready").exists)
        tree.extend(one for one in psutil.Process().children(recursive=True) if one not in others)
        for process in (*(tree if everyone else ()), psutil.Process()):
            process.send_signal(number)
            time.sleep(0.1)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    program = "from pathlib import Path\nimport sys, time\nfrom dgr import stopping\n" + code
    command = [sys.executable, "-c", program, str(tmp_path)]
    with pytest.raises(stopping.Stopped) as caught, stopping.stoppable():
        child.run(command, child.clean(os.environ), tmp_path / "errors", "stage x", **settings)
    thread.join()
    assert caught.value.signal == number
    assert not psutil.wait_procs(tree, timeout=10)[1], "something is left running"
    assert not (tmp_path / "stop").exists()
    assert not (tmp_path / "errors").exists()


SAVING = """
Path(sys.argv[1], "ready").touch()
while not stopping.asked():
    time.sleep(0.01)
time.sleep(0.5)
Path(sys.argv[1], "saved").write_text(stopping.asked().name)
"""


def test_a_child_is_told_of_a_stop_and_gets_time_to_save(tmp_path):
    run_and_signal(tmp_path, SAVING, signal.SIGUSR1, everyone=True, patience=60)
    assert (tmp_path / "saved").read_text() == "SIGUSR1"


def test_a_child_that_does_not_save_in_time_is_ended(tmp_path, caplog):
    run_and_signal(tmp_path, 'Path(sys.argv[1], "ready").touch(); time.sleep(600)', signal.SIGUSR2, patience=0.2)
    assert "stage x was not saved within 0.2 s: it continues after its last checkpoint" in caplog.text


def test_an_error_while_it_saves_is_told(tmp_path, caplog):
    failing = SAVING.replace('Path(sys.argv[1], "saved").write_text', "raise OSError")
    code = f"def main():{failing}\n".replace("\n", "\n    ")
    code += "\nfrom dgr.child import work\nwork(Path(sys.argv[1], 'errors'), 0, main)"
    run_and_signal(tmp_path, code, signal.SIGUSR1, patience=60)
    assert "stage x: OSError: SIGUSR1; it continues after its last checkpoint" in caplog.text


def test_sigterm_for_every_process_of_a_job_is_a_stop_although_the_child_dies_first(tmp_path):
    run_and_signal(tmp_path, 'Path(sys.argv[1], "ready").touch(); time.sleep(600)', signal.SIGTERM, everyone=True)
