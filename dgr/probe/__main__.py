"""Is it activation? `python -m dgr.probe sweep=NAME`, or a target alone: `python -m dgr.probe model=NAME`."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from dgr.naming import conf_dir, register_resolvers
from dgr.program import failing_in_one_line, start

if TYPE_CHECKING:
    from dgr.probe.measure import Probe
    from dgr.probe.points import Point

register_resolvers()
log = logging.getLogger(__name__)

CONFIG = "probe"
PARTS = ("model", "requests", "evaluation", "generator", "linear", "direction", "causal")
HELP = """
dgr.probe: does safety training activate what the untouched target knows already?

  python -m dgr.probe sweep=activation                    every finished point of a sweep, and its untouched target
  python -m dgr.probe model=micro_plain                   an untouched target alone
  python -m dgr.probe sweep=NAME model=micro              of a sweep of several targets, the points of one
  python -m dgr.probe sweep=NAME requests=public          other requests to read hidden states on
  python -m dgr.probe sweep=NAME evaluation=none          without the interventions, which generate

Measures linear probes for harm, the direction of harm and how far training moves along it, how much the weights
changed, and what adding the direction or projecting it out does to refusals. Results: outputs/<sweep>/probe.json
(numbers) and probe_rows.jsonl (one line a request); the next python -m dgr.compare shows them. The same command
continues what was stopped, and adds the points that were finished since.

== Configuration groups ==

$APP_CONFIG_GROUPS

Change any value with key=value; --cfg job shows them all.
"""


@hydra.main(config_path=str(conf_dir()), config_name=CONFIG, version_base="1.3")
def run(cfg: DictConfig) -> None:
    from dgr.probe.table import show

    with failing_in_one_line():
        prepared = prepare(cfg, HydraConfig.get().overrides.task)
        for line in prepared.left_out:
            log.info("%s", line)
        show(prepared.probe.measure(prepared.points), prepared.probe.folder)


@dataclass(frozen=True)
class Prepared:
    """What a command measures; `nodes` are the config's, with the sweep's own in their place."""

    probe: "Probe"
    points: "Sequence[Point]"
    left_out: Sequence[str]
    nodes: dict[str, DictConfig]


def prepare(cfg: DictConfig, overrides: Sequence[str]) -> Prepared:
    """ValueError where the sweep cannot be probed. What the command line does not choose is the sweep's own."""
    from dgr.component import build, result_settings
    from dgr.evaluation.suite import Suite
    from dgr.probe.causal import SIDES
    from dgr.probe.measure import Probe
    from dgr.probe.points import Sweep, read_sweep
    from dgr.sample import digest

    said = [override.lstrip("+").partition("=")[0] for override in overrides]
    nodes = {name: cfg[name] for name in PARTS}
    sweep = Sweep((), (), {})
    if cfg.sweep is not None:
        sweep = read_sweep(Path(cfg.outputs) / str(cfg.sweep), cfg.model.name if "model" in said else None)
        for name, node in sweep.configs.items():
            if name == "model" or name not in said:
                nodes[name] = OmegaConf.create(node)
            for key in (key for key in said if key.startswith(f"{name}.")):
                OmegaConf.update(nodes[name], key.partition(".")[2], OmegaConf.select(cfg, key))
    parts: dict[str, Any] = {name: build(node) for name, node in nodes.items()}
    settings = {name: OmegaConf.to_container(nodes[name], resolve=True) for name in ("model", "requests")}
    alone = f"{parts['model'].name}-{digest(result_settings(settings), cfg.seed, length=8)}"
    folder = Path(cfg.outputs) / (str(cfg.sweep) if cfg.sweep is not None else f"probe/{alone}")
    suite = parts["evaluation"]
    judged = isinstance(suite, Suite) and any(one.kind in SIDES.values() for one in suite.benchmarks.values())
    probe = Probe(
        target=parts["model"],
        requests=parts["requests"],
        suite=suite if judged else None,
        generator=parts["generator"],
        linear=parts["linear"],
        direction=parts["direction"],
        causal=parts["causal"],
        seed=cfg.seed,
        folder=folder,
    )
    left_out = list(sweep.left_out)
    if not judged:
        left_out.append(
            f"no interventions: evaluation={suite.name} has no benchmark of harmful or harmless requests of its own; "
            "choose another with evaluation=NAME"
        )
    return Prepared(probe, sweep.points, left_out, nodes)


def check(argv: Sequence[str]) -> None:
    """Raises Mistakes with everything that is wrong with the command; no model is loaded."""
    from hydra import compose, initialize_config_dir
    from omegaconf.errors import OmegaConfBaseException

    from dgr.command import composable
    from dgr.generator.hf import HF
    from dgr.preflight import Mistakes, Preflight

    if {"-m", "--multirun"} & set(argv):
        raise Mistakes({"-m: one sweep or target at a time; give the command once for each": 1}, 1)
    overrides = [argument for argument in argv if not argument.startswith("-")]
    found: list[str] = []
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose(CONFIG, overrides=composable(CONFIG, overrides, found))
        if not isinstance(cfg.seed, int) or cfg.seed < 0:
            found.append(f"seed={cfg.seed}: a whole number of 0 or more is expected")
        preflight, built = Preflight(), {}
        for name in PARTS:
            built[name], messages = preflight.component(name, cfg[name])
            found += messages
        if not found:
            try:
                prepared = prepare(cfg, overrides)
            except (ValueError, OmegaConfBaseException) as error:
                raise Mistakes({str(error): 1}, 1) from error
            for name in ("model", "evaluation"):  # the sweep's own
                found += preflight.component(name, prepared.nodes[name])[1]
            probe = prepared.probe
            if probe.target.language != probe.requests.language:
                found.append(
                    f"requests={probe.requests.name} are in {probe.requests.language} language, model="
                    f"{probe.target.name} reads {probe.target.language}; choose other requests or another model"
                )
            if probe.suite is not None and not found:
                found += probe.suite.problems_with(probe.target, probe.generator)
            if not isinstance(probe.generator, HF):
                found.append(
                    f"generator={probe.generator.name}: hidden states can be changed in transformers' models only; "
                    "choose generator=hf"
                )
        if cfg.preflight.reachability and not found:
            found += preflight.unreachable()
    if found:
        raise Mistakes(dict.fromkeys(found, 1), 1)


def main() -> None:
    start(run, check, HELP)


if __name__ == "__main__":
    main()
