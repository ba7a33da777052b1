"""What the report's files hold, without a browser."""

import json
import re

from dgr.compare.__main__ import main
from dgr.compare.page import CHUNK, ROWS, script_json


def test_json_in_a_script_cannot_end_it(evil):
    text = script_json({"a": evil})
    assert "<" not in text
    assert json.loads(text) == {"a": evil}
    assert text.isascii()


def test_a_large_run_is_cut_into_files_that_a_browser_can_load(add, numbers, make_sample):
    count = 12
    samples = [make_sample(number, answer="x" * (CHUNK // 5)) for number in range(count)]
    folder = add(numbers(), samples=samples)
    assert main([str(folder.parent)]) == 0
    files = sorted((folder.parent / ROWS).iterdir())
    assert len(files) == 3
    assert all(file.stat().st_size < 1.1 * CHUNK for file in files)
    calls = [re.fullmatch(r"dgrRows\((.*)\);\n", file.read_text(), re.DOTALL).group(1) for file in files]
    held = [json.loads(call.partition(",")[2]) for call in calls]
    ids = [row[0] for part in held for row in part["refined samples"]]
    assert ids == [f"sample-{number}" for number in range(count)]


def test_the_report_is_whole_and_asks_no_one(add, numbers):
    folder = add(numbers())
    main([str(folder.parent)])
    page = (folder.parent / "report.html").read_text()
    own = page.partition('id="data"')[0]
    assert "{{" not in own
    assert "http://" not in own
    assert "https://" not in own
    assert "default-src 'none'" in own
    assert not list(folder.parent.glob(".*tmp")), "nothing half-written is left"


def test_a_figure_without_data_is_left_out_with_its_reason(add, numbers):
    from dgr.compare.comparison import compare_runs
    from dgr.compare.figures import figures
    from dgr.compare.runs import read_run

    metrics = {key: value for key, value in numbers().items() if not key.startswith("safety/")}
    found = {one.id: one for one in figures(compare_runs([read_run(add(metrics, losses=()))]))}
    assert {name for name, one in found.items() if not one.panels} == {
        "trade-off", "activation", "fallback", "thinking", "loss",
    }  # fmt: skip
    assert all(one.reason for one in found.values() if not one.panels)
    assert "n_samples=0,1,10,100" in found["activation"].reason


def test_the_finding_is_computed_from_the_paired_comparison(add, numbers):
    for arm, accuracy, right in (("dgr", 0.95, 38), ("vanilla", 0.7, 20)):
        hits = {"chain": [number < right for number in range(40)]}
        folder = add(numbers(accuracy), f"refine={arm}", hits=hits)
    main([str(folder.parent)])
    data = json.loads(re.search(r'id="data">(.*?)</script>', (folder.parent / "report.html").read_text()).group(1))
    first = data["finding"][0]
    assert "dgr costs 1.0 points" in first
    assert "vanilla 26.0" in first
    assert "45.0 points less" in first
    assert ", beyond chance" in first
