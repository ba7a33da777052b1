"""One measurement of gpu.py in a process of its own: `gpu_measure.py JOB` writes its row beside the job."""

import os
import sys
from pathlib import Path

from gpu_inference import generate, score
from gpu_model import machine, point
from gpu_training import TRAININGS, TRL, train, trl

from dgr import child
from dgr.component import build
from dgr.files import read_json, write_json
from dgr.training import launch

KINDS = {"machine": machine, TRL: trl, "generation": generate, "generation, greedy": generate, "gap": score}


def measure(job: Path) -> None:
    """The side of the measuring process: `job` says what; the row, or the error, is written beside it."""
    spec, folder = read_json(job), job.with_suffix("")
    result, rank = job.with_suffix(".result.json"), int(os.environ.get("RANK", "0"))
    if spec["name"] not in TRAININGS:
        write_json(result, KINDS[spec["name"]](spec, folder))
        return
    trainer = build(point(spec, *TRAININGS[spec["name"]]).trainer)
    if trainer.launched and "RANK" not in os.environ:
        program = [__file__, str(job)]
        return launch.run(trainer.nproc, trainer.global_batch, program, folder / "errors", spec["name"])

    def work() -> None:
        if (found := train(spec, folder)) is not None:
            write_json(result, found)

    child.work(folder / "errors", rank, work) if trainer.launched else work()


if __name__ == "__main__":
    measure(Path(sys.argv[1]))
