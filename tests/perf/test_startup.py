"""How long a question takes (`--help`, `--cfg job`) against an empty Hydra application, both in this run."""

import statistics
import subprocess
import sys
import time

import pytest

EMPTY = """
import hydra
@hydra.main(config_path=None, version_base="1.3")
def main(cfg): ...
main()
"""


def seconds(*command):
    began = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    return time.perf_counter() - began


@pytest.mark.parametrize("question", [["--help"], ["--cfg", "job"]])
def test_a_question_takes_little_longer_than_an_empty_hydra_application(question, tmp_path):
    empty = tmp_path / "empty.py"
    empty.write_text(EMPTY)
    pairs = [(seconds("-m", "dgr.run", *question), seconds(str(empty), *question)) for _ in range(7)]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{' '.join(question)}: {ours:.2f} s, empty application {theirs:.2f} s, ratio {ours / theirs:.2f}")
    assert ours < 1.5 * theirs
