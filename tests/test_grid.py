"""Studies: grids that are no single product, the world that they run in, and what the command line changes in them."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from dgr.command import check
from dgr.grid import expand
from dgr.naming import conf_dir, register_resolvers
from dgr.preflight import Mistakes

EXPERIMENTS = sorted(file.stem for file in (conf_dir() / "experiment").glob("*.yaml"))
FEW = ["seed=0", "preflight.reachability=false"]


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("DGR_OUTPUTS", str(tmp_path))
    register_resolvers()


def lines(grids, *given):
    parser = OverridesParser.create()
    return [" ".join(point) for point in expand(grids, parser.parse_overrides(list(given)), parser)]


def test_grids_follow_each_other_and_no_point_comes_twice():
    grids = [{"n": 0}, {"n": [0, 1], "epochs": None}, {"n": [1, 2], "epochs": None}]
    assert lines(grids) == ["n=0", "n=0 epochs=null", "n=1 epochs=null", "n=2 epochs=null"]


def test_a_grid_without_values_has_no_points():
    assert lines([{"data": [], "seed": [0, 1]}, {"seed": 3}]) == ["seed=3"]


def test_the_command_line_wins_over_the_grids_and_takes_what_is_inside_a_group_along():
    grids = [
        {"refine": ["vanilla", "dgr"], "seed": [0, 1]},
        {"refine": "best_of_n", "refine.n": [2, 4], "seed": [0, 1]},
    ]
    assert lines(grids, "refine=sdft", "seed=7,8") == ["refine=sdft seed=7", "refine=sdft seed=8"]
    assert lines(grids, "seed=7")[2:] == ["seed=7 refine=best_of_n refine.n=2", "seed=7 refine=best_of_n refine.n=4"]


def test_an_entry_that_is_no_mapping_is_named():
    with pytest.raises(ValueError, match="entry 1 is 'seed=0'; give keys and their values"):
        lines(["seed=0"])


@pytest.mark.parametrize("grids", ["[seed]", "[{n_samples: ['1,,(']}]"])
def test_a_grid_that_cannot_be_read_is_a_mistake_before_anything_starts(grids):
    with pytest.raises(Mistakes, match="the grid cannot be read"):
        check(["+experiment=safety_tax", f"hydra.sweeper.grids={grids}"])


def grids_of(name, world):
    """A study's grids, without composing its points."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("config", overrides=[f"+experiment={name}", f"world={world}"], return_hydra_config=True)
        return OmegaConf.to_container(cfg.hydra.sweeper.grids, resolve=True)


def sizes(world):
    studies = ("safety_tax", "gap_correlation", "activation_study")
    return {name: len(lines(grids_of(name, world))) for name in studies}


def test_the_studies_have_the_points_that_their_files_say():
    assert sizes("micro") == {"safety_tax": 20, "gap_correlation": 105, "activation_study": 171}
    assert sizes("natural") == {"safety_tax": 12, "gap_correlation": 42, "activation_study": 103}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_point_s_own_line_is_that_point_alone(name):
    """What a queue does with a study: a command a point."""
    grids = grids_of(name, "natural" if name.startswith("paper") else "micro")
    for line in lines(grids):
        assert lines(grids, *line.split(" ")) == [line]


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("world", ["micro", "natural"])
def test_every_study_composes_and_passes_preflight_in_every_world_offline(name, world):
    if name.startswith("paper") and world == "micro":
        pytest.skip("the paper's grid is of real models")
    few = [*FEW, "n_samples=10"] if name != "gap_correlation" else FEW
    points = check([f"+experiment={name}", f"world={world}", *few])
    assert {point.cfg.sweep for point in points} == {name}
    assert {point.cfg.model.language for point in points} == {world}
    assert {point.cfg.seed for point in points} == {0}
    assert len({point.folder for point in points}) >= 4


def test_another_model_is_one_word_and_a_study_shares_its_points_with_an_ordinary_grid():
    (study,) = {p.cfg.model.name for p in check(["+experiment=safety_tax", "world=natural", "model=s1_1_7b", *FEW])}
    assert study == "s1_1_7b"
    grid = ["-m", "data=micro_direct_refusal,micro_r1_act", "refine=dgr,vanilla", "seed=0"]
    of_study = {point.folder.name for point in check(["+experiment=safety_tax", "seed=0"])}
    assert of_study == {point.folder.name for point in check(grid)}
