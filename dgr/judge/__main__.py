"""How far does a judge agree with people? `python -m dgr.judge data.path=labelled.csv judge=refusal_rules`."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from dgr.naming import conf_dir, register_resolvers
from dgr.program import failing_in_one_line, start

register_resolvers()

CONFIG = "measure_judge"
HELP = """
dgr.judge: how far does a judge agree with people?

  python -m dgr.judge data.path=labelled.csv                       the default judge, refusal_rules
  python -m dgr.judge data.path=labelled.csv judge=llama_guard     a model; generator= says who runs it
  python -m dgr.judge data.path=F data.columns.label=mine ...      other names of columns
  python -m dgr.judge data.path=F +data.labels.bad=refusal ...     what a label of the file means

Prints the confusion matrix, accuracy, Cohen's kappa, precision and recall, with 95 % intervals. Results:
outputs/judge/<judge>-<file>-<hash>/agreement.json (numbers), verdicts.jsonl (one line a reply).

== Configuration groups ==

$APP_CONFIG_GROUPS

Change any value with key=value; --cfg job shows them all.
"""


@hydra.main(config_path=str(conf_dir()), config_name=CONFIG, version_base="1.3")
def run(cfg: DictConfig) -> None:
    with failing_in_one_line():
        measure(cfg)


def measure(cfg: DictConfig) -> Path:
    """Judge every reply of the file, write what came of it and show it; returns the folder of the results."""
    from dgr.component import build, result_settings
    from dgr.files import write_json, write_jsonl
    from dgr.judge import context_for
    from dgr.judge.agreement import Agreement
    from dgr.judge.table import show
    from dgr.sample import digest
    from dgr.store import Store

    judge, data = build(cfg.judge), build(cfg.data)
    labelled = data.load()
    generator = build(cfg.generator)
    context = context_for(judge, generator, cfg.seed, Store(Path(cfg.outputs) / "store"))
    verdicts = judge.verdicts([case for case, _ in labelled], context)

    agreement = Agreement([label for _, label in labelled], [verdicts[case.id].label for case, _ in labelled])
    settings = result_settings(OmegaConf.to_container(cfg.judge, resolve=True)), generator.fingerprint(), cfg.seed
    key = digest(*settings, *(f"{asdict(case)} {label}" for case, label in labelled), length=8)
    folder = Path(cfg.outputs) / "judge" / f"{judge.name}-{data.file.stem}-{key}"
    rows = ({**asdict(case), "human": label, **asdict(verdicts[case.id])} for case, label in labelled)
    write_jsonl(folder / "verdicts.jsonl", rows)
    write_json(folder / "agreement.json", agreement.numbers())
    show(agreement, f"{judge.name} against {data.file.name}")
    print(f"written: {folder}/agreement.json and verdicts.jsonl")
    return folder


def check(argv: Sequence[str]) -> None:
    """Raises Mistakes with everything that is wrong with the command; nothing is loaded."""
    from hydra import compose, initialize_config_dir

    from dgr.command import composable
    from dgr.preflight import Mistakes, Preflight

    if {"-m", "--multirun"} & set(argv):
        raise Mistakes({"-m: one judge at a time; give the command once for each": 1}, 1)
    overrides = [argument for argument in argv if not argument.startswith("-")]
    found: list[str] = []
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose(CONFIG, overrides=composable(CONFIG, overrides, found))
        preflight = Preflight()
        judge, messages = preflight.component("judge", cfg.judge)
        found += messages
        for name in ("data", "generator") if hasattr(judge, "model") else ("data",):
            found += preflight.component(name, cfg[name])[1]
        if not isinstance(cfg.seed, int) or cfg.seed < 0:
            found.append(f"seed={cfg.seed}: a whole number of 0 or more is expected")
        if cfg.preflight.reachability and not found:
            found += preflight.unreachable()
    if found:
        raise Mistakes(dict.fromkeys(found, 1), 1)


def main() -> None:
    start(run, check, HELP)


if __name__ == "__main__":
    main()
