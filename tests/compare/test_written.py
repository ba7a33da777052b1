"""The files: numbers equal metrics.json, and no name can break out of its cell."""

import csv
import json

from dgr.compare.__main__ import main
from dgr.compare.escaping import markdown, printable, spreadsheet, tex


def test_the_csv_holds_every_number_of_metrics_json(add, numbers):
    folders = {}
    for seed, accuracy in enumerate((0.1 + 0.2, 2 / 3)):
        folder = add(numbers(accuracy), f"seed={seed}", "n_samples=7")
        folders[folder.name] = folder
    assert main([str(folder.parent)]) == 0
    with (folder.parent / "comparison.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert {line["run"] for line in lines} == set(folders)
    for line in lines:
        metrics = json.loads((folders[line["run"]] / "metrics.json").read_text())
        assert {key: float(line[key]) for key in metrics} == metrics
        assert (line["n_samples"], line["refine"]) == ("7", "dgr")


def test_markdown_and_tex_hold_the_table_with_intervals(add, numbers):
    folder = add(numbers(0.9), "refine=vanilla", hits={"chain": [True] * 8})
    add(numbers(0.95), "refine=dgr", hits={"chain": [True] * 9})
    main([str(folder.parent), "--over-seeds", "--out", str(folder.parent / "there")])
    text = (folder.parent / "there" / "comparison.md").read_text()
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in table[:5]}) == 1
    assert "90.0 ± 3.0 \\[82.6, 94.5\\]" in text, "Wilson's interval of 90 of 100"
    made = (folder.parent / "there" / "comparison.tex").read_text()
    for word in (r"\toprule", r"\midrule", r"\bottomrule", r"micro\_direct\_refusal", r"90.0 $\pm$ 3.0 [82.6, 94.5]"):
        assert word in made
    rows = [line for line in made.splitlines() if line.endswith(r"\\")]
    assert rows[0].replace(r"\&", "").count("&") == rows[1].replace(r"\&", "").count("&") == rows[2].count("&")


def test_names_are_made_harmless_for_where_they_stand():
    evil = "a|b<script>\x1b[2J\n`c`\u202e_100%_$x$\\input{y}"
    assert printable(evil) == "a|b<script>\\x1b[2J\\n`c`\\u202e_100%_$x$\\input{y}"
    assert "<" not in markdown(evil)
    assert "\\|" in markdown(evil)
    assert "\n" not in markdown(evil)
    assert tex("100%_$x$\\input{y}&#~^") == (
        r"100\%\_\$x\$\textbackslash{}input\{y\}\&\#\textasciitilde{}\textasciicircum{}"
    )
    assert spreadsheet("=cmd|' /C calc'!A0").startswith("'=")
    assert spreadsheet("micro") == "micro"
