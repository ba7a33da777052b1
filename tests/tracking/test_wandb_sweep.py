"""launch/wandb_sweep.yaml: what `wandb agent` would start for each of its points."""

import itertools

import pytest
from omegaconf import OmegaConf
from wandb.sdk.launch.sweeps import utils

from dgr.command import check
from dgr.naming import PROJECT

FILE = PROJECT / "launch" / "wandb_sweep.yaml"


def commands():
    """The agent's command for each combination, put together by wandb itself."""
    sweep = utils.load_sweep_config(str(FILE))
    names, values = zip(*((name, one["values"]) for name, one in sweep["parameters"].items()), strict=True)
    for point in itertools.product(*values):
        arguments = {name: {"value": value} for name, value in zip(names, point, strict=True)}
        flags = utils.create_sweep_command_args({"args": arguments})["args_no_hyphens"]
        command = [
            part.replace("${program}", sweep["program"]) for part in utils.create_sweep_command(sweep["command"])
        ]
        place = command.index("${args_no_hyphens}")
        yield [*command[:place], *flags, *command[place + 1 :]]


def test_every_point_is_a_command_of_dgr_with_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("DGR_OUTPUTS", str(tmp_path))
    folders = set()
    for command in commands():
        *start, module = command[: command.index("dgr.run") + 1]
        assert module == "dgr.run"
        assert start[-1] == "-m"
        (point,) = check(command[command.index("dgr.run") + 1 :])
        assert point.cfg.tracker.mode == "online"
        folders.add(point.folder)
    assert len(folders) == 6
    assert {folder.parent for folder in folders} == {tmp_path / "wandb_sweep"}


def test_it_is_the_grid_of_the_readme():
    grid = OmegaConf.load(FILE)
    assert grid.method == "grid"
    given = [f"{name}={','.join(map(str, one['values']))}" for name, one in grid.parameters.items()]
    assert " ".join(given[:2]) in (PROJECT / "README.md").read_text()


@pytest.mark.parametrize("name", ["refine", "n_samples", "seed"])
def test_its_parameters_are_keys_of_the_config(name):
    assert name in OmegaConf.load(FILE).parameters
