"""Speed and memory of training, generation and the gap on this machine's device, as Markdown tables.

    python tests/perf/gpu.py --data STAR-1.json --out DIR     # random weights of the shape of Qwen2-1.5B; --tiny: a CPU

STAR-1 is the hub's file. Every measurement is a process of its own; one that fails is a line with its error. Speeds
leave out padding and, in training, the first steps; seconds that recomputing takes count, its operations do not.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from shutil import disk_usage, rmtree
from typing import Any

from gpu_model import SHAPES
from gpu_training import TRAININGS, TRL

from dgr.files import read_json, write_json

PROGRAM = Path(__file__).with_name("gpu_measure.py")
DATASHEET = 989e12  # bf16 operations a second of an H100 (SXM), dense
BATCH, STEPS = 16, 25
LIMIT = 150  # seconds that one measurement may take
ORDER = [
    *list(TRAININGS)[:4],
    "generation",
    "gap",
    *list(TRAININGS)[4:6],
    TRL,
    *list(TRAININGS)[6:],
    "generation, greedy",
]


class Session:
    """Measurements one after the other, each in a process of its own, until the time is up."""

    def __init__(self, spec: dict[str, Any], work: Path, budget: float) -> None:
        self.spec, self.work, self.budget, self.began = spec, work, budget, time.monotonic()
        self.rows: dict[str, dict[str, Any]] = {}
        self.left_out: list[str] = []

    @property
    def left(self) -> float:
        return self.budget - (time.monotonic() - self.began)

    def run(self, name: str) -> dict[str, Any]:
        if self.left <= 0:
            self.left_out.append(name)
            return {}
        job = self.work / f"{len(self.rows)}.json"
        job.with_suffix("").mkdir()
        write_json(job, {**self.spec, "name": name})
        began = time.monotonic()
        with (job.with_suffix(".log")).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, PROGRAM, str(job)], stdout=log, stderr=log, start_new_session=True
            )
            try:
                process.wait(min(LIMIT, self.left + 60))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        result, log = job.with_suffix(".result.json"), job.with_suffix(".log")
        row = read_json(result) if result.exists() else {"error": error_in(log, process.returncode)}
        row["whole_seconds"] = time.monotonic() - began
        self.rows[name] = row
        rmtree(job.with_suffix(""))
        said = row.get("error") or f"{row.get('tokens_per_second', 0):,.0f} tokens/s"
        print(f"[{time.monotonic() - self.began:4.0f} s] {name}: {said}", flush=True)
        return row


def error_in(log: Path, status: int) -> str:
    """The last line of a log that names an error."""
    if status == -signal.SIGKILL:
        return "not done in time, killed"
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    named = [line for line in lines if "Error" in line.split(":")[0]] or lines or [""]
    return f"{named[-1][:300]} (exit status {status})"


def tables(rows: dict[str, dict[str, Any]], matmul_rate: float | None) -> str:
    """One Markdown table a topic."""
    parts = [
        shown(
            [(name, rows[name]) for name in (*TRAININGS, TRL) if name in rows],
            matmul_rate,
            ("passes", "step", "padding"),
        )
    ]
    for title in ("generation", "gap"):
        found = [(name, row) for name, row in rows.items() if name.startswith(title)]
        parts.append(shown(found, matmul_rate, ("ratio", "plain_tokens_per_second", "plain_peak_memory")))
    return "\n\n".join(part for part in parts if part)


def shown(rows: list[tuple[str, dict[str, Any]]], matmul_rate: float | None, extra: tuple[str, ...]) -> str:
    if not rows:
        return ""
    heads = [
        "",
        "tokens/s",
        "of 989 TFLOP/s",
        "of the matmul",
        "peak memory",
        *(key.replace("_", " ") for key in extra),
    ]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, row in rows:
        if "error" in row:
            cells = [row["error"].replace("|", "/"), *[""] * (len(heads) - 2)]
        else:
            done = row["operations_per_second"]
            cells = [f"{row['tokens_per_second']:,.0f}", f"{done / DATASHEET:.1%}"]
            cells += [f"{done / matmul_rate:.1%}" if matmul_rate else "-", cell("peak_memory", row["peak_memory"])]
            cells += [cell(key, row[key]) for key in extra]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    if "memory" in key:
        return f"{value / 2**30:.1f} GiB"
    formats = {"padding": ".0%", "ratio": ".2f", "step": ".3f", "passes": "d"}
    return format(value, formats.get(key, ",.0f"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "model", nargs="?", default="1.5b", help=f"one of {', '.join(SHAPES)}, or a checkpoint's folder"
    )
    parser.add_argument("--data", type=Path, help="STAR-1.json")
    parser.add_argument("--out", type=Path, help="a folder for gpu.json, gpu.md and the logs of what failed")
    parser.add_argument("--work", type=Path, help="where the models are written: /dev/shm if it is large enough")
    parser.add_argument("--budget", type=float, default=3600, help="seconds after which no measurement is started")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"of {', '.join(ORDER)}")
    parser.add_argument("--tiny", action="store_true", help="a tiny model and few steps: does everything run?")
    args = parser.parse_args()
    if args.data is None:
        parser.error("--data is needed: the file of STAR-1")
    shape = "tiny" if args.tiny or args.model == "tiny" else "1.5b"
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and disk_usage(memory).free > 24e9
    work = Path(tempfile.mkdtemp(prefix="dgr-gpu-", dir=args.work or (memory if roomy else None)))
    own = args.model not in SHAPES
    spec = {"shape": shape, "model": str(Path(args.model).resolve() if own else work / "model")}
    spec |= {"data": str(args.data.resolve()), "batch": BATCH, "steps": args.steps}
    if shape == "tiny":
        spec |= {"batch": 4, "steps": 4}
    session = Session(spec, work, args.budget)
    try:
        for name in ("machine", *(args.only or ORDER)):
            session.run(name)
            if args.out:  # each time: what is killed leaves what it has
                leave(session, args.out)
            if "error" in session.rows["machine"]:
                break
        print(f"\n{report(session)}", flush=True)
    finally:
        rmtree(work, ignore_errors=True)
    sys.exit(any("error" in row for row in session.rows.values()))


def report(session: Session) -> str:
    found = session.rows["machine"]
    if "error" in found:
        return found["error"]
    where = f"{found['device']}, torch {found['torch']}; a {found['size']}^3 product in bf16: "
    where += f"{found['matmul'] / 1e12:,.1f} TFLOP/s; {found['weights']:,} weights"
    text = f"{where}\n\n{tables(session.rows, found['matmul'])}\n"
    return text + (f"\nno time left for: {'; '.join(session.left_out)}\n" if session.left_out else "")


def leave(session: Session, folder: Path) -> None:
    """gpu.md, gpu.json, and the ends of the logs of what failed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gpu.md").write_text(report(session))
    write_json(folder / "gpu.json", {"rows": session.rows, "left_out": session.left_out})
    failed = [
        f"== {name}\n{log(session.work, i)}" for i, (name, row) in enumerate(session.rows.items()) if "error" in row
    ]
    (folder / "gpu-failed.log").write_text("\n".join(failed))


def log(work: Path, number: int) -> str:
    return "\n".join((work / f"{number}.log").read_text(errors="replace").splitlines()[-60:])


if __name__ == "__main__":
    main()
