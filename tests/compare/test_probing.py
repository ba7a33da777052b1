"""The report's figures and sentence of what was probed."""

import json
import re

import pytest

from dgr.compare import probing
from dgr.compare.__main__ import main
from dgr.compare.document import main as document
from dgr.files import write_json
from dgr.probe.measure import FORMAT


def entry(value, width=0.05, **more):
    return {"value": value, "low": max(value - width, 0.0), "high": value + width, "n": 80, **more}


def rates(refusal):
    return {
        side: {"refusal": entry(refusal), "compliance": entry(1 - refusal), "neither": entry(0.0)}
        for side in ("harmful", "harmless")
    }


def point(n, seed, share, refusal, without, arm="dgr"):
    moved = {
        "size": entry(2.0),
        "cosine": entry(0.5),
        "share": entry(share),
        "controls": {"isotropic": 0.01, "spread": 0.1, "spread_high": 0.3},
    }
    total = {"relative_norm": n / 1000, "effective_rank": 100.0 + n, "full_rank": 500, "matrices": 4}
    return {
        "name": f"micro-{arm}-n{n}-s{seed}",
        "data": "micro_direct_refusal",
        "arm": arm,
        "n_samples": n,
        "seed": seed,
        "shift": {"harmful": moved, "harmless": moved},
        "weights": {"total": total, "modules": {}},
        "ablation": {"none": rates(refusal), "harm": rates(without), "spread": rates(refusal)},
    }


@pytest.fixture
def value():
    def probe(position, layer, area):
        tests = {
            split: {name: entry(area, shuffled=[0.4, 0.6]) for name in ("auroc", "accuracy")}
            for split in ("held_out_topics", "held_out_categories")
        }
        return {"position": position, "layer": layer, "left_out": 0, "c": 1.0, "train": {"n": 9, "topics": 9}, **tests}

    probes = [
        probe(position, layer, 0.5 + layer / 10) for position in ("prompt_end", "request_mean") for layer in range(4)
    ]
    steering = [{"direction": "none", "alpha": 0.0, **rates(0.0)}]
    for alpha in (1.0, -2.0):
        steering.append({"direction": "harm", "alpha": alpha, **rates(0.7 if alpha > 0 else 0.0)})
        steering.append({"direction": "random", "alpha": alpha, **rates(0.1)})
    return {
        "format": FORMAT,
        "target": "micro",
        "requests": {},
        "linear": {"probes": probes, "words": probe("words", 0, 0.93)},
        "direction": {"position": "prompt_end", "layer": 2, "width": 128},
        "steering": steering,
        "untouched": {"ablation": {name: rates(0.0) for name in ("none", "harm", "spread")}},
        "points": [point(n, seed, 0.2 + seed / 10, 0.9, 0.3) for n in (1, 10, 100) for seed in range(3)],
    }


def traces(figure, number=0):
    return {one["name"]: one for one in figure.panels[number]["data"]}


def test_the_figures_hold_the_numbers(value):
    found = {figure.id: figure for figure in probing.figures(value)}
    linear = traces(found["probe-linear"])
    assert linear["prompt end"]["x"] == [0, 1, 2, 3]
    assert linear["prompt end"]["y"] == pytest.approx([0.5, 0.6, 0.7, 0.8])
    assert linear["prompt end"]["error_y"]["array"] == pytest.approx([0.05] * 4)
    assert linear["prompt end, shuffled"]["y"] == [0.5] * 4
    assert linear["words"]["y"] == [0.93, 0.93]

    harm = traces(found["probe-steering"])["harm"]
    assert (harm["x"], harm["y"]) == ([-2.0, 0.0, 1.0], [0.0, 0.0, 70.0])
    assert [panel["title"] for panel in found["probe-steering"].panels] == ["harmful requests", "harmless requests"]

    shift = traces(found["probe-shift"])
    assert shift["dgr"]["x"] == [1, 10, 100]
    assert shift["dgr"]["y"] == pytest.approx([30.0] * 3)
    half = 4.302653 * 10 / 3**0.5  # t interval of 20, 30, 40 % over three seeds
    assert shift["dgr"]["error_y"]["array"] == pytest.approx([half] * 3, rel=1e-4)
    assert shift["spread"]["y"] == pytest.approx([10.0] * 3)

    assert traces(found["probe-weights"])["dgr"]["y"] == pytest.approx([0.1, 1.0, 10.0])
    assert traces(found["probe-weights"], 1)["dgr"]["y"] == [101.0, 110.0, 200.0]
    ablation = traces(found["probe-ablation"])
    assert ablation["harm"]["y"] == pytest.approx([0, 30, 30, 30]), "the untouched target first, at n=0"
    assert {name: one["y"][1] for name, one in ablation.items()} == pytest.approx(
        {"none": 90, "harm": 30, "spread": 90}
    )


def test_arms_get_lines_of_their_own_and_names_are_escaped(value):
    value["points"] += [point(10, 0, 0.1, 0.5, 0.5, arm="<b>own</b>")]
    found = {figure.id: figure for figure in probing.figures(value)}
    assert "&lt;b&gt;own&lt;/b&gt;" in traces(found["probe-weights"])
    assert [panel["title"] for panel in found["probe-ablation"].panels] == ["dgr", "&lt;b&gt;own&lt;/b&gt;"]


def test_the_sentence_is_about_the_setting_with_the_most_samples(value):
    value["points"] = [*(point(10, 0, 0.7, 0.1, 0.1, arm="dgr epochs=4") for _ in range(3)), *value["points"]]
    assert "training on 10 samples (dgr) moves" in probing.sentence(value)


def test_the_document_of_the_studies_shows_it(value, add, numbers, tmp_path):
    add(numbers(), "refine=vanilla", hits={"chain": [True]})
    write_json(tmp_path / "some" / "probe.json", value)
    assert document([str(tmp_path / "some"), "--out", str(tmp_path / "docs")]) == 0
    text = (tmp_path / "docs" / "results.md").read_text()
    assert text.index("### Is it activation?") < text.index("training on 10 samples") < text.index("probe-ablation.svg")
    for figure in probing.figures(value):
        assert f"some-{figure.id}.svg" in text
        assert (tmp_path / "docs" / f"some-{figure.id}.svg").exists()


def test_without_points_or_interventions_figures_say_why(value):
    value["points"], value["steering"] = [], None
    found = {figure.id: figure for figure in probing.figures(value)}
    assert found["probe-linear"].panels
    for name in ("probe-steering", "probe-shift", "probe-weights", "probe-ablation"):
        assert not found[name].panels
        assert found[name].reason
    assert probing.sentence(value).endswith("(words alone 0.93, shuffled labels 0.50).")


def test_the_sentence_follows_fixed_rules(value):
    said = probing.sentence(value)
    assert "AUROC of 0.70 [0.65, 0.75] in held-out categories (words alone 0.93, shuffled labels 0.50)" in said
    assert "adding 1 of the direction makes it refuse 70 % of harmful requests (random directions: 10 %)" in said
    assert "training on 10 samples (dgr) moves harmful requests to 30.0 % along it (by chance 10.0 %)" in said
    assert (
        "it then refuses 90 % of them, 30 % with the direction projected out and 90 % with a random one of the states"
        in said
    )


def test_the_report_takes_the_sweep_s_probe_and_names_one_that_it_cannot_read(add, numbers, value):
    sweep = add(numbers()).parent

    def data():
        main([str(sweep)])
        return json.loads(re.search(r'id="data">(.*?)</script>', (sweep / "report.html").read_text()).group(1))

    assert not any(figure["id"].startswith("probe-") for figure in data()["figures"])
    write_json(sweep / "probe.json", value)
    found = data()
    assert found["finding"][-1] == probing.sentence(value)
    assert next(figure for figure in found["figures"] if figure["id"] == "probe-shift")["panels"]
    write_json(sweep / "probe.json", {**value, "format": "0"})
    found = data()
    assert not any(figure["id"].startswith("probe-") for figure in found["figures"])
    assert any("was written by another version" in note for note in found["notes"])
