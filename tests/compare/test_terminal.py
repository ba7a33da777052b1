import csv
import io

import pytest
from rich.console import Console

from dgr.compare import report
from dgr.compare.__main__ import main
from dgr.files import write_json


def printed(folders):
    out = io.StringIO()
    code = report(folders, Console(file=out, width=200))
    return code, out.getvalue()


@pytest.fixture
def good(add, numbers):
    return add(numbers(accuracy=0.7) | {"reasoning/accuracy/stderr": 0.02}, "refine=vanilla", "n_samples=10")


def test_the_untouched_target_stands_first_and_numbers_carry_their_error(good):
    code, text = printed([good])
    assert code == 0
    assert text.index("micro (untouched)") < text.index("micro-micro_direct_refusal-vanilla-n10")
    assert "96.0 ± 2.0" in text
    assert "70.0 ± 2.0" in text
    assert "26.0 ± 1.0" in text


@pytest.fixture
def bad(good):
    """A failed, a running and three damaged runs beside the good one."""
    sweep = good.parent
    write_json(sweep / "failed" / "status.json", {"state": "failed", "error": "ValueError: no file [/red] \x1b[31m"})
    write_json(sweep / "running" / "status.json", {"state": "running", "stage": "train"})
    for name, text in (("cut", '{"reasoning/acc'), ("list", "[1]"), ("words", '{"reasoning/accuracy": "high"}')):
        write_json(sweep / name / "status.json", {"state": "finished"})
        (sweep / name / "metrics.json").write_text(text)
    write_json(sweep / "bare" / "status.json", {"state": "finished"})
    write_json(sweep / "bare" / "metrics.json", {"reasoning/accuracy": 0.5})
    return sweep


def test_failed_unfinished_and_damaged_runs_are_named_beside_the_good_one(bad):
    code, text = printed(sorted(folder for folder in bad.iterdir() if folder.is_dir()))
    text = " ".join(text.split())
    assert code == 1
    assert "70.0" in text
    assert "failed: failed: ValueError: no file [/red] \\x1b[31m" in text
    assert "unfinished: running (stage train)" in text
    for name in ("cut", "list", "words"):
        assert f"failed: {name}" in text
    assert text.count("delete it to compute it again") == 3
    assert "config.yaml cannot be read" in text


def test_the_command_reports_the_rest_and_says_so(bad, capsys):
    assert main([str(bad)]) == 1
    assert "failed: cut" in capsys.readouterr().out
    assert "no file" in (bad / "comparison.md").read_text()
    assert "70.0" in (bad / "comparison.md").read_text()


def test_a_sweep_without_a_finished_run_is_listed_and_nothing_is_written(tmp_path, capsys):
    write_json(tmp_path / "running" / "status.json", {"state": "running", "stage": "train"})
    assert main([str(tmp_path)]) == 1
    assert "unfinished: running" in capsys.readouterr().out
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("condition", "said"),
    [("refine", "give key=value"), ("no.such=1", "no run has this key"), ("refine=sdft", "no finished run has")],
)
def test_a_condition_that_cannot_be_met_is_a_message(good, capsys, condition, said):
    assert main([str(good.parent), "--where", condition]) == 2
    assert said in capsys.readouterr().err


def test_conditions_choose_runs_by_choice_and_by_dotted_key(good, add, numbers, capsys):
    add(numbers(), "refine=dgr", "n_samples=10", "trainer.learning_rate=1e-3")
    add(numbers(), "refine=dgr", "n_samples=20")
    sweep = str(good.parent)
    for conditions, count in ((["refine=dgr"], 2), (["refine=dgr", "trainer.learning_rate=1e-3"], 1), (["seed=0"], 3)):
        main([sweep, *(word for one in conditions for word in ("--where", one))])
        text = (good.parent / "comparison.csv").read_text()
        assert len(text.splitlines()) == 1 + count


def test_several_sweeps_are_written_beside_them_under_both_names(good, add, numbers):
    other = add(numbers(), "refine=dgr", sweep="other").parent
    assert main([str(good.parent), str(other)]) == 0
    assert (good.parent.parent / "some+other" / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere: there is no such folder; give outputs/<sweep>"),
        (["empty"], "empty: no run folders there (none holds a status.json); give outputs/<sweep>"),
        (["some", "--baseline", "nope"], "--baseline nope: no finished run of this arm; choose one of dgr"),
    ],
)
def test_a_mistake_in_the_command_is_named(tmp_path, monkeypatch, capsys, add, numbers, arguments, said):
    (tmp_path / "empty").mkdir()
    add(numbers(), sweep="some")
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert capsys.readouterr().err.strip() == said


def test_a_run_that_lies_in_two_sweeps_counts_once(add, numbers, capsys):
    one = add(numbers(), "refine=vanilla", "n_samples=10", sweep="one")
    two = add(numbers(), "refine=vanilla", "n_samples=10", sweep="two")
    add(numbers(), "refine=vanilla", "n_samples=10", "seed=1", sweep="two")
    assert one.name == two.name
    assert main([str(one.parent), str(two.parent)]) == 0
    assert "1 run(s) lie in several of these sweeps, and count once" in capsys.readouterr().out
    with (one.parent.parent / "one+two" / "comparison.csv").open() as file:
        assert sorted(row["run"] for row in csv.DictReader(file)) == sorted(
            {one.name, *(d.name for d in two.parent.glob("micro*"))}
        )
