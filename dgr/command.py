"""The command line before Hydra runs it: every point of it composed, every mistake in it found."""

import argparse
import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, OmegaConfBaseException

from dgr import local
from dgr.cluster import settings
from dgr.disk import unwritable
from dgr.grid import expand
from dgr.locks import agree, kind
from dgr.naming import conf_dir, register_resolvers
from dgr.preflight import Mistakes, Preflight

COMPOSITION_ERRORS = (HydraException, ConfigCompositionException, OmegaConfBaseException)


@dataclass(frozen=True)
class Point:
    """One composed point of the grid and its folder."""

    folder: Path
    cfg: DictConfig
    overrides: list[str]


def check(argv: list[str]) -> list[Point] | None:
    """The points of a command; None where Hydra answers by itself (--help, --cfg, ...).

    Raises Mistakes with every finding about every point.
    """
    register_resolvers()
    args = get_args_parser().parse_args(argv)
    if _is_question(args):
        return None
    if args.config_dir:  # beside ours, as for Hydra itself
        args.overrides.append(f"hydra.searchpath=[file://{Path(args.config_dir).resolve()}]")
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return _points(args)


def ready(points: list[Point]) -> None:
    """Make the folders of the points; Mistakes where they cannot be written, or where others use other locks."""
    found = unwritable([point.folder for point in points])
    try:
        for outputs in {point.folder.parents[1] for point in points} if not found else ():
            agree(outputs)
    except ValueError as error:
        found.append(str(error))
    if found:
        raise Mistakes(dict.fromkeys(found, len(points)), len(points))


def _is_question(args: argparse.Namespace) -> bool:
    asked = (args.help, args.hydra_help, args.cfg, args.info, args.shell_completion)
    return any(asked) or args.experimental_rerun is not None


def _points(args: argparse.Namespace) -> list[Point]:
    found: Counter[str] = Counter()
    slurm, wrong = _slurm(args)
    preflight, parsed = Preflight(), _parsed(args, found)
    whole = _whole([override.input_line for override in parsed if not override.is_sweep_override()])
    study = _grids(whole)
    lines = _expand(args, parsed, study, found)
    parallel = 1
    if whole and (args.multirun or study) and whole.hydra.launcher._target_ == local.TARGET:
        wrong += (unusable := list(local.problems(whole.hydra.launcher)))
        parallel = 1 if unusable else len(local.places(whole.hydra.launcher.workers, whole.hydra.launcher.gpus))
    found.update(dict.fromkeys(wrong, len(lines)))
    try:
        kind()
    except ValueError as error:
        found[str(error)] = len(lines)
    points = []
    for overrides in lines:
        composed, messages = _compose(overrides)
        if composed is not None:
            if composed.plan:  # nothing will be loaded
                composed.preflight.reachability = False
            composed.costs.parallel = composed.costs.parallel or parallel
            messages = [*messages, *preflight.problems(composed)]
            messages += settings.problems_with(slurm, composed) if slurm else ()
            if not messages:
                points.append(Point(Path(composed.outputs) / composed.sweep / composed.run_id, composed, overrides))
        found.update(dict.fromkeys(messages, 1))
    if preflight.hub_ids and all(point.cfg.preflight.reachability for point in points):
        found.update(dict.fromkeys(preflight.unreachable(), len(lines)))
    if found:
        raise Mistakes(dict(found), len(lines))
    return points


def _slurm(args: argparse.Namespace) -> tuple[DictConfig | None, list[str]]:
    """The launcher's keys where SLURM is asked for and they compose, and what is wrong with them or this machine."""
    if not settings.asked(args.overrides):
        return None, []
    wrong = list(settings.machine_problems())
    if not settings.installed():  # none of its keys composes
        args.overrides = [line for line in args.overrides if not line.startswith(("hydra/launcher", "hydra.launcher"))]
        return None, wrong
    # what does not compose is found again, and named, point by point
    hydra = _compose([line for line in args.overrides if line.startswith("hydra")], whole=True)[0].hydra
    if hydra.launcher._target_ != settings.TARGET:
        return None, wrong
    return hydra.launcher, [*wrong, *settings.problems(hydra.launcher, hydra.sweeper.max_batch_size)]


def _parsed(args: argparse.Namespace, found: Counter[str]) -> list[Override]:
    """The overrides; a line that does not parse is a mistake of its own."""
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    parsed: list[Override] = []
    for line in args.overrides:
        try:
            parsed += parser.parse_overrides([line])
        except HydraException as error:
            found[f"{line!r} is no override: {_one_line(error)}"] += 1
    return parsed


def _whole(plain: list[str]) -> DictConfig | None:
    """The config with Hydra's part, of the overrides that have one value; None where it does not compose."""
    try:
        return compose("config", overrides=plain, return_hydra_config=True)
    except COMPOSITION_ERRORS:
        return None  # found again, and named, point by point


def _grids(whole: DictConfig | None) -> list[dict]:
    """The grids that an experiment brings (`hydra.sweeper.grids`, or Hydra's own `params`); empty without any."""
    if whole is None or whole.hydra.mode is None or whole.hydra.mode.name != "MULTIRUN":
        return []
    sweeper = whole.hydra.sweeper
    found = [*(sweeper.get("grids") or []), *([sweeper.params] if sweeper.get("params") else [])]
    return [OmegaConf.to_container(grid, resolve=True) if OmegaConf.is_config(grid) else grid for grid in found]


def _expand(
    args: argparse.Namespace, parsed: list[Override], study: list[dict], found: Counter[str]
) -> list[list[str]]:
    """One list of overrides a point."""
    plain = [override.input_line for override in parsed if not override.is_sweep_override()]
    if not args.multirun and not study:
        if settings.asked(args.overrides):
            found["hydra/launcher=slurm without -m would run the point here; put -m before the overrides"] += 1
        for override in parsed:
            if override.is_sweep_override():
                found[f"{override.input_line}: several values; put -m before the overrides to run a grid"] += 1
        return [plain]
    for override in parsed:
        if override.is_sweep_override() and override.get_key_element().startswith(("hydra.", "hydra/")):
            found[f"{override.input_line}: Hydra's own keys cannot be swept; give one value"] += 1
    try:
        return expand(study or [{}], parsed, OverridesParser.create(GlobalHydra.instance().config_loader()))
    except (ValueError, HydraException) as error:
        found[f"the grid cannot be read: {_one_line(error)}"] += 1
        return [plain]


def _compose(overrides: list[str], whole: bool = False) -> tuple[DictConfig, list[str]]:
    """The point's config (`whole`: with Hydra's part), and what kept overrides out of it; choices of groups first."""
    groups = [line for line in overrides if _is_group(line)]
    values = [line for line in overrides if not _is_group(line)]
    try:
        return compose("config", overrides=[*groups, *values], return_hydra_config=whole), []
    except COMPOSITION_ERRORS:
        kept: list[str] = []
        messages = []
        for line in [*groups, *values]:
            try:
                compose("config", overrides=[*kept, line])
                kept.append(line)
            except COMPOSITION_ERRORS as error:
                messages.append(_explain(line, error, kept))
        return compose("config", overrides=kept, return_hydra_config=whole), messages


def composable(config: str, overrides: Sequence[str], found: list[str]) -> list[str]:
    """The overrides that compose in a config other than the grid's; what is wrong with the others is added to
    `found`."""
    kept: list[str] = []
    for line in sorted(overrides, key=lambda line: not (conf_dir() / line.partition("=")[0]).is_dir()):
        try:
            compose(config, overrides=[*kept, line])
            kept.append(line)
        except COMPOSITION_ERRORS as error:
            told = str(error.__cause__ or error).partition("Config search path")[0]  # machine paths help nobody
            found.append(f"{line}: {' '.join(told.split())}")
    return kept


def _is_group(line: str) -> bool:
    return (conf_dir() / line.lstrip("+~").split("=")[0].split("@")[0]).is_dir()


def _explain(line: str, error: Exception, kept: list[str]) -> str:
    key, _, value = line.partition("=")
    group = key.lstrip("+~")
    if isinstance(error, MissingConfigException) and _is_group(line):
        names = GlobalHydra.instance().config_loader().get_group_options(group)
        return f"{line}: there is no such {group}; choose one of {', '.join(names)}{_nearest(value, names)}"
    if key.startswith(settings.OPTIONS):
        return f"{line}: another option of sbatch takes a + before it: +{line}"
    if isinstance(error, ConfigCompositionException) and isinstance(error.__cause__, ConfigAttributeError):
        keys = _keys_beside(key, kept)
        near = _nearest(key.rpartition(".")[2], keys)
        return f"{line}: there is no such key{near or '; choose one of ' + ', '.join(keys)}"
    return f"{line}: {_one_line(error)}"


def _keys_beside(key: str, kept: list[str]) -> list[str]:
    """What the config has where the key should have been."""
    cfg = compose("config", overrides=kept, return_hydra_config=key.startswith("hydra."))
    parent = OmegaConf.select(cfg, key.rpartition(".")[0]) if "." in key else cfg
    return [str(name) for name in parent if not str(name).startswith("_")] if isinstance(parent, DictConfig) else []


def _nearest(value: str, names: list[str]) -> str:
    near = difflib.get_close_matches(value, names, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _one_line(error: BaseException) -> str:
    return " ".join(_useful_lines(error))


def _useful_lines(error: BaseException) -> Iterator[str]:
    for line in str(error.__cause__ or error).strip().splitlines():
        if line.strip() and not line.strip().startswith(("full_key", "object_type", "reference_type", "See https")):
            yield line.strip()
