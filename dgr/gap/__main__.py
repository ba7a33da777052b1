"""How far is a dataset from a model? Measured without training: `python -m dgr.gap data=star1 model=r1_qwen_7b`."""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from dgr.naming import conf_dir, register_resolvers

register_resolvers()
log = logging.getLogger(__name__)

DEFAULTS = {"refine": "vanilla", "evaluation": "none", "sweep": "gap"}  # where the command line says nothing else
HELP = """
dgr.gap: how far is a dataset from a model?

  python -m dgr.gap data=star1 model=r1_qwen_7b                 a thousand samples of it, as they are
  python -m dgr.gap data=jsonl data.path=FILE n_samples=50 ...  a file of your own
  python -m dgr.gap refine=dgr                                  also what a strategy makes of it; generates
  python -m dgr.gap -m data=star1,r1_act model=r1_qwen_7b       several; -m goes first, every key can be swept

Measures nats per token, ranks and lengths of n_samples of the dataset under the model, beside the model's own
replies to the same prompts: the floor. Nothing is trained. What was generated or scored before, by dgr.run too, is
not computed again. Results: outputs/gap/<run_id>/gap.json (numbers), gap.jsonl (one line a sample).

Of the groups, these matter here: model, data, generator, refine.

$APP_CONFIG_GROUPS

Change any value with key=value; dots go inside a group: model.dtype=float32 seed=1 n_samples=200
"""


@hydra.main(config_path=str(conf_dir()), config_name="config", version_base="1.3")
def run(cfg: DictConfig) -> None:
    """The stages of a point up to the gap; what stops it is in its status.json."""
    from dgr.stages import STAGES, run_point

    last = [stage.name for stage in STAGES].index("gap")
    try:
        run_point(cfg, Path(HydraConfig.get().runtime.output_dir), stages=STAGES[: last + 1])
    except Exception as error:
        log.error("it failed: %s: %s", type(error).__name__, error)
        if os.environ.get("HYDRA_FULL_ERROR"):
            raise


def with_defaults(argv: Sequence[str]) -> list[str]:
    """The arguments with DEFAULTS before the first override; argparse wants all overrides side by side."""
    overrides = [argument for argument in argv if "=" in argument and not argument.startswith("-")]
    given = {override.lstrip("+").partition("=")[0] for override in overrides}
    added = [f"{key}={value}" for key, value in DEFAULTS.items() if key not in given]
    if "--help" in argv or "-h" in argv:
        template = HELP.strip().replace("'", r"\'")
        added.append(f"hydra.help.template='{template}'")
    place = list(argv).index(overrides[0]) if overrides else len(argv)
    return [*argv[:place], *added, *argv[place:]]


def main() -> None:
    """Exit status 0: measured; 1: a measurement failed; 2: a mistake in the command, nothing was started."""
    from dgr.command import check, ready
    from dgr.preflight import Mistakes, ending_on_mistakes

    sys.argv[1:] = with_defaults(sys.argv[1:])
    with ending_on_mistakes():
        points = check(sys.argv[1:])
        if empty := sum(point.cfg.n_samples == 0 for point in points or ()):
            raise Mistakes({"n_samples=0: there is nothing to measure; choose at least 1": empty}, len(points))
        ready(points or [])
    run()
    if points is not None:
        from dgr.gap.table import report

        sys.exit(report([point.folder for point in points]))


if __name__ == "__main__":
    main()
