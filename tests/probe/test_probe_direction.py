"""Differences of means, the rule for the layer, and shifts along a direction."""

import numpy as np
import pytest

from dgr.probe.direction import HARM, Direction, contrasts, shifts, spread
from dgr.probe.requests import TRAIN

PLANTED_LAYER = 2


@pytest.fixture(scope="module")
def chosen(planted_states):
    return planted_states[:, PLANTED_LAYER]


@pytest.fixture(scope="module")
def directions(planted_items, chosen):
    return contrasts(planted_items, chosen, {"careful": chosen + 1.0})


def test_the_rule_takes_the_layer_where_training_topics_are_apart(planted_items, planted_states):
    layer, separations = Direction("prompt_end", None, 1.0, 4).choose(planted_items, planted_states)
    assert layer == PLANTED_LAYER
    assert separations[PLANTED_LAYER] > 3
    assert max(separations[:2]) < 1
    assert Direction("prompt_end", None, 0.4, 4).choose(planted_items, planted_states)[0] == 1, "not too deep"
    assert Direction("prompt_end", 3, 0.4, 4).choose(planted_items, planted_states)[0] == 3
    with pytest.raises(ValueError, match=r"direction\.layer=9.*0 to 3"):
        Direction("prompt_end", 9, 1.0, 4).choose(planted_items, planted_states)


def test_test_items_have_no_part_in_the_rule_or_the_directions(planted_items, planted_states, directions):
    states = planted_states.copy()
    states[[item.split != TRAIN for item in planted_items]] = 1e6
    direction = Direction("prompt_end", None, 1.0, 4)
    assert direction.choose(planted_items, states) == direction.choose(planted_items, planted_states)
    again = contrasts(planted_items, states[:, PLANTED_LAYER], {})
    assert again[HARM].tolist() == directions[HARM].tolist()


def test_a_planted_direction_is_recovered_beside_contrasts_that_are_not_harm(directions, planted_direction):
    harm = directions[HARM] / np.linalg.norm(directions[HARM])
    assert harm @ planted_direction > 0.95
    assert 4 < np.linalg.norm(directions[HARM]) < 6
    assert np.allclose(directions["careful"], 1.0, atol=1e-6)
    assert {"question", "length", "category"} <= directions.keys()


def test_a_planted_shift_is_measured_beside_what_chance_gives(planted_items, chosen, directions):
    harmful = np.array([item.harmful for item in planted_items])
    along = directions[HARM] / np.linalg.norm(directions[HARM])
    across = np.linalg.svd(along[None])[2][1]  # orthogonal to it
    after = chosen + harmful[:, None] * (3 * along + 4 * across) - 2 * ~harmful[:, None] * along
    found = shifts(planted_items, chosen, after, directions, spread(planted_items, chosen, 0), 0)
    assert found["harmful"]["share"]["value"] == pytest.approx(9 / 25, abs=1e-4)
    assert found["harmful"]["cosine"]["value"] == pytest.approx(0.6, abs=1e-4)
    assert found["harmless"]["cosine"]["value"] == pytest.approx(-1, abs=1e-4)
    assert found["harmful"]["size"]["value"] == pytest.approx(5 / np.linalg.norm(directions[HARM]), rel=1e-4)
    controls = found["harmful"]["controls"]
    assert controls["isotropic"] == pytest.approx(1 / 12, abs=1e-6)
    assert controls["isotropic"] / 2 < controls["spread"] < 2 * controls["isotropic"], "the noise is isotropic"
    assert found["harmful"]["share"]["n"] == 40


def test_a_training_that_moved_nothing_has_a_size_of_zero_and_no_share(planted_items, chosen, directions):
    found = shifts(planted_items, chosen, chosen, directions, spread(planted_items, chosen, 0), 0)
    assert found["harmful"] == {"size": {"value": 0.0, "low": 0.0, "high": 0.0, "n": 40, "topics": 20}}
