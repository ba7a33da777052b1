"""Names of runs: the same settings give the same folder, whatever the machine or the working directory."""

import os
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from dgr.component import result_settings
from dgr.sample import digest

PACKAGE = Path(__file__).resolve().parent
PROJECT = PACKAGE.parent
COMPONENTS = ("model", "data", "refine", "generator", "trainer", "adapter", "evaluation")
ESTIMATE = ("plan", "costs")  # of the grid before it starts: no part of a run


def conf_dir() -> Path:
    """The config groups: inside the installed package, or beside it in a checkout."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PROJECT / "conf"


def launch_dir() -> Path:
    """What launches a distributed training: inside the installed package, or beside it in a checkout."""
    inside = PACKAGE / "launch"
    return inside if inside.is_dir() else PROJECT / "launch"


def choices(group: str, language: str | None = None) -> list[str]:
    """Names in a config group, all of them or those for one language."""
    files = sorted((conf_dir() / group).glob("*.yaml"))
    return [file.stem for file in files if language in (None, OmegaConf.load(file).get("language", "natural"))]


def choice(group: str, name: str) -> DictConfig | None:
    """What a choice of a group says, wherever in the config it is asked for; None where there is no such choice."""
    return OmegaConf.load(conf_dir() / group / f"{name}.yaml") if name in choices(group) else None


def outputs_dir() -> str:
    """$DGR_OUTPUTS, else `outputs/` of the checkout, else (installed from a wheel) of the working directory."""
    if os.environ.get("DGR_OUTPUTS"):
        return str(Path(os.environ["DGR_OUTPUTS"]).expanduser().resolve())
    return str((PROJECT if (PROJECT / "pyproject.toml").is_file() else Path.cwd()) / "outputs")


def run_id(cfg: DictConfig) -> str:
    """`<model>-<data>-<refine>-n<n>-s<seed>-<hash>`; the hash covers all that can change the result, nothing else."""
    components = {name: OmegaConf.to_container(cfg[name], resolve=True) for name in COMPONENTS}
    settings = {name: result_settings(node) for name, node in components.items()}
    parts = [str(components[name].get("name", "?")) for name in ("model", "data", "refine")]
    hashed = digest(OmegaConf.to_yaml(settings, sort_keys=True), cfg.n_samples, cfg.seed, length=8)
    return "-".join([*parts, f"n{cfg.n_samples}", f"s{cfg.seed}", hashed])


def register_resolvers() -> None:
    """What a yaml may ask for: ${dgr.outputs:}, ${dgr.run_id:} and ${dgr.choice:GROUP,NAME}."""
    OmegaConf.register_new_resolver("dgr.choice", choice, replace=True)
    OmegaConf.register_new_resolver("dgr.outputs", outputs_dir, replace=True)
    OmegaConf.register_new_resolver("dgr.run_id", lambda *, _root_: run_id(_root_), replace=True)
