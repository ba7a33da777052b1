"""What stands in an offline run's own file, as a server would see it. wandb has no public reader of that file."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

HEADER, BLOCK, RECORD_HEADER = 7, 32768, struct.Struct("<IHB")  # the LevelDB log format behind "W&B" and a version
FULL, LAST = 1, 4


def records(file: Path) -> Iterator:
    from wandb.proto import wandb_internal_pb2

    data, position, content = file.read_bytes(), HEADER, b""
    while position + RECORD_HEADER.size <= len(data):
        left = BLOCK - position % BLOCK
        if left < RECORD_HEADER.size:
            position += left
            continue
        _, length, kind = RECORD_HEADER.unpack_from(data, position)
        position += RECORD_HEADER.size
        content += data[position : position + length]
        position += length
        if kind in (FULL, LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(content)
            content = b""
            yield record


class OfflineRun:
    """The state that the records of one .wandb file add up to."""

    def __init__(self, file: Path) -> None:
        self.folder = file.parent
        self.config, self.summary, self.history, self.artifacts = {}, {}, [], {}
        self.exit_code, self.preempting = None, False
        for record in records(file):
            getattr(self, f"_{record.WhichOneof('record_type')}", lambda _: None)(record)

    def _run(self, record):
        self.run = record.run
        self._update(self.config, record.run.config)

    def _config(self, record):
        self._update(self.config, record.config)

    def _summary(self, record):
        self._update(self.summary, record.summary)

    def _history(self, record):
        self.history.append({_key(item)[0]: json.loads(item.value_json) for item in record.history.item})

    def _artifact(self, record):
        self.artifacts[record.artifact.name] = record.artifact

    def _exit(self, record):
        self.exit_code = record.exit.exit_code

    def _preempting(self, record):
        self.preempting = True

    def _update(self, target, change):
        for item in change.update:
            *parents, last = _key(item)
            place = target
            for name in parents:
                place = place.setdefault(name, {})
            place[last] = json.loads(item.value_json)
        for item in change.remove:
            target.pop(_key(item)[0], None)

    def table(self, name):
        """Rows by column of a logged table."""
        content = json.loads((self.folder / "files" / self.summary[name]["path"]).read_text())
        return [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]

    def curve(self, key):
        return [(row["_step"], row[key]) for row in self.history if key in row]


def _key(item) -> list[str]:
    return list(item.nested_key) or [item.key]


def read_runs(folder: Path) -> list[OfflineRun]:
    """The offline runs in a point's folder, oldest first."""
    return [OfflineRun(file) for file in sorted(folder.glob("wandb/offline-run-*/*.wandb"))]
