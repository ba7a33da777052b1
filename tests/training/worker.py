"""One process of a training in the tests: `worker.py FOLDER`, where job.pickle says what to train.

`kill_at`: the first process kills itself after that step. `pause`: seconds after each step; the file `step` then says
which one it was.
"""

import os
import pickle
import signal
import sys
import time
from pathlib import Path

from dgr.child import work
from dgr.files import write_json


def main(folder: Path) -> None:
    import torch

    torch.set_num_threads(1)
    job = pickle.loads((folder / "job.pickle").read_bytes())

    def logged(entry: dict) -> None:
        if entry["step"] == job["kill_at"]:
            os.kill(os.getpid(), signal.SIGKILL)
        if job["pause"]:
            (folder / "step").write_text(str(entry["step"]))
            time.sleep(job["pause"])

    record = job["trainer"].train(job["samples"], job["target"], job["adapter"], 0, folder, on_log=logged)
    if record is not None:
        write_json(folder / "train.json", record)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    work(place / "errors", int(os.environ["RANK"]), lambda: main(place))
