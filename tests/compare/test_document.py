"""The document of the studies: findings with figures that a browser reads, and what does not hold."""

import xml.etree.ElementTree as ElementTree

import pytest

from dgr.compare.document import main
from dgr.compare.panels import PALETTE

ITEMS = 40


@pytest.fixture
def sweep(add, numbers, tmp_path):
    for seed in range(2):
        for arm, right in (("vanilla", 20), ("dgr", 20 + 2 * seed)):
            hits = {"chain": [number < right for number in range(ITEMS)], "harmful_seen": [False] * ITEMS}
            add(numbers(accuracy=right / ITEMS), f"refine={arm}", f"seed={seed}", hits=hits)
    return tmp_path / "some"


def test_it_says_what_was_found_and_what_does_not_hold(sweep, tmp_path):
    assert main([str(sweep), "--out", str(tmp_path / "docs")]) == 0
    text = (tmp_path / "docs" / "results.md").read_text()
    assert "4 finished runs, 0 failed or unfinished." in text
    assert "vanilla loses 46.0 ± 0.0 points, dgr 43.5 ±" in text
    assert text.index("What does not hold") < text.index("not beyond chance") < text.index("Every setting")


def test_its_figures_are_svg_with_a_mark_a_seed(sweep, tmp_path):
    main([str(sweep), "--out", str(tmp_path)])
    root = ElementTree.parse(tmp_path / "some-study-tax.svg").getroot()
    marks = [one.get("style", "") for one in root.iter("{http://www.w3.org/2000/svg}use")]
    for color in PALETTE[:2]:
        assert sum(f"fill: {color.lower()}" in style for style in marks) == 2 + 1, "a seed each, and the legend's"
    words = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"tax, points", "vanilla", "dgr", "micro / micro_direct_refusal"} <= set(words)
    assert "some-study-tax.svg" in (tmp_path / "results.md").read_text()


def test_a_sweep_without_runs_is_a_mistake(tmp_path, capsys):
    assert main([str(tmp_path), "--out", str(tmp_path / "docs")]) == 2
    assert "no run folders there" in capsys.readouterr().err
    assert not (tmp_path / "docs").exists()
