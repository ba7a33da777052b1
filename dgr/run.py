"""The entrypoint: check every point of the command, run them, show the table.

`python -m dgr.run -m refine=dgr,vanilla n_samples=10,100,1000`
"""

import logging
import os
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from dgr.cluster import settings
from dgr.cluster.queue import enqueue
from dgr.naming import ESTIMATE, conf_dir, register_resolvers

register_resolvers()
log = logging.getLogger(__name__)
grid: list[Path] = []  # the folders of the command's points, for "point 2 of 6"; empty in a job of a remote launcher


@hydra.main(config_path=str(conf_dir()), config_name="config", version_base="1.3")
def run(cfg: DictConfig) -> None:
    """One point. What ends it is in its status.json; where it fails, the other points of the sweep go on."""
    from dgr.stages import run_point
    from dgr.stopping import continued_later

    with open_dict(cfg):
        for key in ESTIMATE:
            del cfg[key]
    folder = Path(HydraConfig.get().runtime.output_dir)
    place = f"point {grid.index(folder) + 1} of {len(grid)}: " if folder in grid else ""
    try:
        with continued_later(folder.name):
            run_point(cfg, folder, place)
    except Exception as error:
        log.error("this point failed: %s: %s", type(error).__name__, error)
        if os.environ.get("HYDRA_FULL_ERROR"):
            raise


def _estimated(points: list) -> bool:
    """Say what a grid will cost; True where that was all that was asked (`plan=true`)."""
    from dgr.plan import estimate
    from dgr.plan.shown import lines, summary

    alone = any(point.cfg.plan for point in points)
    if alone or len(points) > 1:
        found = estimate(points)
        print("\n".join(lines(found)) if alone else f"{summary(found)} (plan=true for more)", flush=True)
    return alone


def main() -> None:
    """Exit status 0: every point finished; 1: one failed; 2: a mistake, nothing was started; above 128: a signal."""
    from dgr.command import check, ready
    from dgr.help import text
    from dgr.preflight import ending_on_mistakes
    from dgr.stopping import stoppable

    if {"-h", "--help"} & set(sys.argv[1:]):
        print(text())
        return
    with ending_on_mistakes():
        points = check(sys.argv[1:])
    if points is None:  # a question that Hydra answers
        return run()
    if _estimated(points):
        return
    with ending_on_mistakes():
        ready(points)
    if not settings.asked(sys.argv):  # a job of a cluster is noted when it is submitted
        for point in points:
            if not (point.folder / "metrics.json").exists():
                enqueue(point.folder)
    grid.extend(point.folder for point in points)
    with stoppable():  # a second signal does not kill what is ended by the first
        run()
    from dgr.compare import report

    sys.exit(report(grid))


if __name__ == "__main__":
    main()
