"""How fast, how long, how many: assumed (conf/costs), or measured by earlier runs of the same model."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dgr.compare.rows import kinds
from dgr.compare.runs import Run, read_run
from dgr.component import build
from dgr.files import read_json, read_jsonl

NEWEST = 20  # earlier runs that are read


@dataclass
class Rates:
    """Tokens a second, mean lengths in tokens, and the rest of what an estimate multiplies with.

    `measured` names what earlier runs said in place of the assumption; `runs` is how many were read.
    """

    model: str
    device: str
    parameters: float
    per_second: dict[str, float]
    tokens: dict[str, float]
    attempts: float
    seconds: dict[str, float]
    bytes: dict[str, float]
    items: dict[str, int]
    other_items: int
    by_arm: dict[str, float] = field(default_factory=dict)  # tokens of a training example
    measured: list[str] = field(default_factory=list)
    runs: int = 0


def rates_of(cfg: DictConfig) -> Rates:
    """Of a point's model and generator."""
    costs: dict[str, Any] = OmegaConf.to_container(cfg.costs, resolve=True)
    own, name = costs[cfg.model.language], cfg.model.name
    parameters = _counted(cfg) or float(costs["parameters"].get(name, costs["otherwise"]["parameters"]))
    share = own["share"]
    generate = share["generate_hf" if cfg.generator.name == "hf" else "generate"]
    forward = float(own["peak_flops"]) / (
        2 * parameters
    )  # tokens a second at the peak; training takes three times that
    per_second = {
        "generate": generate * forward,
        "score": share["score"] * forward,
        "train": share["train"] * forward / 3,
    }
    found = Rates(
        name, own["device"], parameters, per_second, own["tokens"], own["attempts"], own["seconds"], own["bytes"],
        costs["items"], costs["otherwise"]["items"],
    )  # fmt: skip
    _measure(found, list(_earlier(cfg)))
    return found


def _counted(cfg: DictConfig) -> int | None:
    """The parameters of a checkpoint on this machine, from the headers of its safetensors files."""
    from safetensors import safe_open

    target = build(cfg.model)
    if not target.is_local:
        return None
    total = 0
    for file in Path(target.location).glob("*.safetensors"):
        with safe_open(file, framework="numpy") as opened:
            total += sum(math.prod(opened.get_slice(name).get_shape()) for name in opened.keys())  # noqa: SIM118
    return total or None


def _earlier(cfg: DictConfig) -> Iterator[Run]:
    """The newest finished runs of the same model and generator under outputs/."""
    found = Path(cfg.outputs).glob(f"*/{cfg.model.name}-*/metrics.json")
    for file in sorted(found, key=lambda file: file.stat().st_mtime, reverse=True)[:NEWEST]:
        run = read_run(file.parent)
        if (
            run.metrics
            and run.config["model"]["path"] == cfg.model.path
            and run.named("generator") == cfg.generator.name
        ):
            yield run


def _measure(rates: Rates, runs: list[Run]) -> None:
    """Replace assumptions by what the runs measured; what no run tells stays as assumed."""
    rates.runs = len(runs)
    if speeds := [speed for run in runs if (speed := _file(run, "train").get("tokens_per_second"))]:
        rates.per_second["train"] = median(speeds)
        rates.measured.append("training rate")
    if speeds := [speed for run in runs if (speed := _generation(run))]:
        rates.per_second["generate"] = median(speeds)
        rates.measured.append("generation rate")
    _measure_rewrites(rates, runs)
    lengths: dict[str, list[float]] = {}
    for run in runs:
        gap = _file(run, "gap")
        if "tokens" in gap:
            arm = f"{run.named('data')} {run.named('refine')}"
            lengths.setdefault(arm, []).append(gap["prompt/tokens"] + gap["tokens"])
    if lengths:
        rates.by_arm = {arm: mean(values) for arm, values in lengths.items()}
        rates.measured.append("training lengths")
    if replies := _reply_lengths(runs):
        rates.tokens |= replies
        rates.measured.append("replies' length")


def _measure_rewrites(rates: Rates, runs: list[Run]) -> None:
    """Their length, and the attempts of arms that stop at the first valid one."""
    found = [(run, refine) for run in runs if (refine := _file(run, "refine")).get("tokens_out")]
    if not found:
        return
    tries = sum(int(number) * count for _, refine in found for number, count in refine["attempts"].items())
    rates.tokens["rewrite"] = sum(refine["tokens_out"] for _, refine in found) / tries
    single = [refine["attempts_mean"] for run, refine in found if "n" not in run.config["refine"]]
    rates.attempts = mean(single) if single else rates.attempts
    rates.measured.append("rewrites' length and attempts")


def _file(run: Run, name: str) -> dict[str, Any]:
    """One of a run's JSON files; empty where it is missing or damaged."""
    try:
        value = read_json(run.folder / f"{name}.json")
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _generation(run: Run) -> float | None:
    """Tokens a second of a run's own evaluation, its model's loading and its judges included."""
    seconds = _file(run, "status").get("stages", {}).get("evaluate", {}).get("seconds")
    own = [value for key, value in run.metrics.items() if key.endswith("/samples") and not key.startswith("base/")]
    tokens = run.metrics.get("evaluation/tokens_per_reply", 0) * sum(own)
    return tokens / seconds if seconds and tokens else None


def _reply_lengths(runs: list[Run]) -> dict[str, float]:
    """Mean tokens of a reply by kind of benchmark, over the newest run of each arm."""
    newest = {run.named("refine"): run for run in reversed(runs)}
    found: dict[str, list[int]] = {}
    for run in newest.values():
        for name, kind in kinds(run).items():
            try:
                rows = read_jsonl(run.folder / "evaluation" / f"{name}.jsonl")
            except (OSError, ValueError):
                continue
            found.setdefault(kind, []).extend(row["n_tokens"] for row in rows if "n_tokens" in row)
    return {kind: mean(values) for kind, values in found.items() if values}
