"""What `python -m dgr.run --help` prints: how to use it, and every choice of every group with its one-line purpose."""

from pathlib import Path

from dgr.naming import conf_dir

USAGE = """\
dgr: how much reasoning does safety alignment cost a reasoning model, and what makes it cheaper?

  python -m dgr.run                                              one point with the defaults
  python -m dgr.run -m refine=dgr,vanilla n_samples=10,100,1000  a grid: -m goes first, every key can be swept
  python -m dgr.run --cfg job                                    the whole configuration; nothing is run
  python -m dgr.run -m hydra/launcher=local ...                  the same grid, several points at a time
  python -m dgr.run -m hydra/launcher=slurm ...                  the same grid as jobs of a cluster
  python -m dgr.status outputs/default                           where every point of a sweep is
  python -m dgr.compare outputs/default                          the table of a sweep, also while it is running

A point takes n_samples of a safety dataset, lets a strategy refine them, trains the target model on them and evaluates
reasoning, safety and over-refusal beside the untouched target. Its results are in outputs/<sweep>/<run_id>/; the same
command resumes what was stopped and skips what is finished.

Choose with group=name, change any value with key=value; dots go inside a group: trainer.learning_rate=1e-4 seed=1.
"""
HIDDEN = ("hydra", "local", "requests")  # Hydra's own group, a site's own values, and what dgr.probe asks


def text() -> str:
    groups = [folder for folder in sorted(conf_dir().iterdir()) if folder.is_dir() and folder.name not in HIDDEN]
    return "\n".join([USAGE, *map(_group, groups), "Hydra's own options: --hydra-help"])


def _group(folder: Path) -> str:
    files = sorted(folder.glob("*.yaml"))
    width = max(len(file.stem) for file in files)
    return "\n".join([f"{folder.name}:", *(f"  {file.stem:<{width}}  {purpose(file)}" for file in files), ""])


def purpose(file: Path) -> str:
    """A yaml's first line, after the one that Hydra reads."""
    with file.open(encoding="utf-8") as lines:
        return next(line for line in lines if not line.startswith("# @")).lstrip("# ").rstrip()
