"""The estimate as text: what is to be done, what it costs, and on which assumptions."""

from collections.abc import Iterator

from dgr.plan import Estimate
from dgr.plan.rates import Rates

WHAT = {
    "refine": "rewrites",
    "own": "the target's own replies (floor of the gap)",
    "base": "evaluation of the untouched target",
    "evaluate": "evaluation of the trained models",
}


def lines(found: Estimate) -> Iterator[str]:
    """The whole estimate."""
    yield summary(found)
    if not found.todo:
        return
    for key, tokens in found.generated.items():
        yield f"  tokens generated  {_count(tokens):>8}  {WHAT[key]}"
    yield f"  tokens trained    {_count(found.trained):>8}"
    for stage, seconds in found.seconds.items():
        yield f"  device time       {duration(seconds):>8}  {stage}"
    yield f"  on disk           {_size(found.disk):>8}  and up to {_size(found.while_training)} more while training"
    for rates in found.rates:
        yield from _assumptions(rates)
    yield "  change an assumption by its key, such as costs.parallel=4 or costs.natural.share.generate=0.1"


def summary(found: Estimate) -> str:
    """One line for before a grid starts."""
    head = f"{found.points} points: {found.finished} finished, {found.todo} to do"
    if not found.todo:
        return head
    hours, devices = sum(found.seconds.values()) / 3600, " and ".join(dict.fromkeys(r.device for r in found.rates))
    place = f"{found.parallel} at a time" if found.parallel > 1 else "one after the other"
    return f"{head}; about {hours:.3g} {devices} hours, {duration(found.wall)} {place}, {_size(found.disk)} on disk"


def _assumptions(rates: Rates) -> Iterator[str]:
    speeds = ", ".join(f"{what} {_count(value)}" for what, value in rates.per_second.items())
    lengths = ", ".join(f"{what} {value:,.0f}" for what, value in rates.tokens.items())
    size = f"{rates.parameters / 1e9:.3g} billion parameters"
    yield f"  {rates.model}: {size} on one {rates.device}; tokens a second: {speeds}"
    yield f"    mean tokens: {lengths}; attempts at a sample {rates.attempts:.2f}"
    if rates.measured:
        yield f"    measured by {rates.runs} earlier run(s) in place of assumptions: {', '.join(rates.measured)}"
    else:
        yield "    all of it assumed (conf/costs): no earlier run of this model under outputs/"


def _count(value: float) -> str:
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"


def _size(value: float) -> str:
    return f"{value / 1e9:.3g} GB" if value >= 1e9 else f"{value / 1e6:.3g} MB"


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.3g} h"
