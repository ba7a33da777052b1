import shutil

import pytest

from dgr.model import TargetModel


def target(path):
    return TargetModel("micro", str(path), "think_tags", language="micro", dtype="float64")


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(target("embedded:base").location, tmp_path / "copy")


def test_the_fingerprint_follows_the_content_not_the_place(copy):
    embedded = target("embedded:base").fingerprint()
    assert target(copy).fingerprint() == embedded
    (copy / "recipe.json").write_text("{}")
    assert target(copy).fingerprint() == embedded, "notes about a checkpoint do not change it"
    config = copy / "config.json"
    config.write_text(config.read_text().replace('"rms_norm_eps"', '"rms_norm_epsilon"'))
    assert target(copy).fingerprint() != embedded
    assert target("embedded:plain").fingerprint() != embedded


def test_a_folder_without_a_checkpoint_is_a_problem_with_its_path(tmp_path):
    assert str(tmp_path) in target(tmp_path).problems()[0]
    assert target("embedded:nothing").problems()
    assert not target("embedded:base").problems()


def test_a_trained_checkpoint_takes_the_place_of_the_target_and_an_adapter_comes_on_top(copy, tmp_path):
    assert target("embedded:base").trained(copy).path == str(copy)
    (tmp_path / "adapter_config.json").write_text("{}")
    adapted = target("embedded:base").trained(tmp_path)
    assert (adapted.path, adapted.adapter) == ("embedded:base", str(tmp_path))
