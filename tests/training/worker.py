"""One process of a training in the tests: `worker.py FOLDER`, where job.pickle says what to train.

`kill_at`: the first process kills itself after that step.
"""

import os
import pickle
import signal
import sys
from pathlib import Path

from dgr.child import work
from dgr.files import write_json


def main(folder: Path) -> None:
    import torch

    torch.set_num_threads(1)
    job = pickle.loads((folder / "job.pickle").read_bytes())

    def kill(entry: dict) -> None:
        if entry["step"] == job["kill_at"]:
            os.kill(os.getpid(), signal.SIGKILL)

    record = job["trainer"].train(job["samples"], job["target"], job["adapter"], 0, folder, on_log=kill)
    if record is not None:
        write_json(folder / "train.json", record)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    work(place / "errors", int(os.environ["RANK"]), lambda: main(place))
