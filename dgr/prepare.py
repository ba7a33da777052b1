"""Do once what a sweep's points share, so that its jobs only train and evaluate: `python -m dgr.prepare ARGUMENTS`."""

import logging
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dgr.command import Point

HELP = """\
dgr.prepare: do once what the points of a sweep share, before its jobs start

  python -m dgr.prepare -m refine=dgr,vanilla n_samples=10,100,1000     the arguments that dgr.run will get

Refined samples, the distance to the target's own words (gap) and the untouched target's evaluation are computed in this
process, the largest subset first, and kept in the points' folders and in outputs/store/. dgr.run with the same
arguments then trains and evaluates. Started again, it goes on where it was stopped.

All keys and choices: python -m dgr.run --help
"""
log = logging.getLogger(__name__)


def main() -> None:
    """Exit status 0: all is prepared; 1: a point failed; 2: a mistake in the command, nothing was started."""
    from dgr.command import check, ready
    from dgr.preflight import ending_on_mistakes
    from dgr.stopping import stoppable

    if {"-h", "--help"} & set(sys.argv[1:]):
        print(HELP)
        return
    with ending_on_mistakes():
        points = check(sys.argv[1:])
        ready(points or [])
    if points is None:
        print("dgr.prepare: Hydra's questions are answered by python -m dgr.run", file=sys.stderr)
        sys.exit(2)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with stoppable():
        status = prepare(points)
    sys.exit(status)


def prepare(points: "Sequence[Point]") -> int:
    """Prepare the points of a command, the largest first; the exit status."""
    from dgr.stages import prepare_point
    from dgr.stopping import continued_later

    failed: dict[str, str] = {}
    for number, point in enumerate(sorted(points, key=lambda point: -point.cfg.n_samples), start=1):
        began = time.monotonic()
        try:
            with continued_later(point.folder.name):
                did = prepare_point(point.cfg, point.folder)
            outcome = f"prepared in {time.monotonic() - began:.1f} s" if did else "prepared before, skipped"
        except Exception as error:
            if os.environ.get("HYDRA_FULL_ERROR"):
                raise
            failed[point.folder.name] = outcome = f"failed: {type(error).__name__}: {error}"
        log.info("point %d of %d: %s: %s", number, len(points), point.folder.name, outcome)
    for name, error in failed.items():
        log.info("%s: %s", name, error)
    log.info("%d of %d points are prepared", len(points) - len(failed), len(points))
    return 1 if failed else 0


if __name__ == "__main__":
    main()
