"""Items from local files: the map of columns, what is kept, options in an order of their own, and bad files."""

import json
from collections import Counter
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from dgr.component import build
from dgr.evaluation.benchmark import KINDS
from dgr.naming import conf_dir

FILES = sorted((conf_dir() / "benchmark").glob("*.yaml"))
QUESTIONS = [{"q": f"what is {i} + {i} ?", "a": f"it is\n#### {2 * i}", "topic": "sums"} for i in range(5)]


def items(name="gsm8k", **changes):
    """The items of conf/benchmark/<name>.yaml, some of their keys changed."""
    return build(OmegaConf.merge(OmegaConf.load(conf_dir() / "benchmark" / f"{name}.yaml")["items"], changes))


def own(path, **changes):
    columns = {"prompt": "q", "gold": "a", "category": "topic"}
    return items(path=str(path), **{"columns": columns, **changes})


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def load(source):
    return source.load_with_report()[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_benchmark_is_pinned_named_like_its_file_and_reachable_by_its_hub_id(file):
    node = OmegaConf.load(file)
    assert node.name == node["items"].name == file.stem
    assert node.kind in KINDS
    source = build(node["items"])
    assert source.problems() == []
    ((repo, kind, revision),) = source.hub_ids()
    assert "/" in repo
    assert kind == "dataset"
    assert revision == "main" or len(revision) == 40


def test_the_right_answer_is_what_stands_after_the_mark_and_the_prompt_is_put_into_the_template(tmp_path):
    found = load(own(jsonl(tmp_path / "rows.jsonl", QUESTIONS), template="Q: {prompt}\n\\boxed{}"))
    assert [item.gold for item in found] == ["0", "2", "4", "6", "8"]
    assert found[1].prompt == "Q: what is 1 + 1 ?\n\\boxed{}"
    assert found[1].category == "sums"
    assert found[1].id == "gsm8k/00002"


def test_json_csv_and_parquet_give_the_items_of_the_jsonl(tmp_path):
    import csv

    import pyarrow
    import pyarrow.parquet

    expected = load(own(jsonl(tmp_path / "rows.jsonl", QUESTIONS)))
    (tmp_path / "rows.json").write_text(json.dumps(QUESTIONS), encoding="utf-8-sig")
    with (tmp_path / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["q", "a", "topic"])
        writer.writeheader()
        writer.writerows(QUESTIONS)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(QUESTIONS), tmp_path / "rows.parquet")
    for kind in ("json", "csv", "parquet"):
        assert load(own(tmp_path / f"rows.{kind}")) == expected


def test_where_distinct_and_first_choose_rows_and_leave_the_numbers_of_the_others(tmp_path):
    rows = [
        {"prompt": f"q{i // 3}", "is_safe": i % 2 == 0, "category": {"theft": True, "fraud": i == 1}} for i in range(12)
    ]
    path = jsonl(tmp_path / "rows.jsonl", rows)
    found = load(items("beavertails", path=str(path)))
    assert [(item.id, item.prompt) for item in found] == [
        ("beavertails/00002", "q0"),
        ("beavertails/00004", "q1"),
        ("beavertails/00008", "q2"),
        ("beavertails/00010", "q3"),
    ]
    assert [item.category for item in found[:2]] == ["theft; fraud", "theft"]
    assert load(items("beavertails", path=str(path), first=2)) == found[:2]


def test_of_several_column_names_the_first_that_is_there_is_read(tmp_path):
    path = jsonl(tmp_path / "rows.jsonl", [{"forbidden_prompt": "how ?", "category": "x"}])
    assert load(items("strongreject", path=str(path)))[0].prompt == "how ?"


def choices(tmp_path, n=60, **changes):
    wrong = {f"Incorrect Answer {i}": f"wrong {i}" for i in (1, 2, 3)}
    rows = [{"Record ID": f"rec{i}", "Question": f"q{i}", "Correct Answer": f"right {i}", **wrong} for i in range(n)]
    return items("gpqa_diamond", path=str(jsonl(tmp_path / "rows.jsonl", rows)), **changes)


def test_options_are_in_an_order_of_each_item_and_the_gold_letter_goes_with_them(tmp_path):
    found = load(choices(tmp_path))
    letters = Counter(item.gold for item in found)
    assert set(letters) == set("ABCD")
    assert max(letters.values()) < 30
    for number, item in enumerate(found):
        assert item.prompt.startswith(f"q{number}\n\n(A) ")
        assert f"({item.gold}) right {number}\n" in item.prompt
        assert all(f"wrong {i}" in item.prompt for i in (1, 2, 3))
    assert load(choices(tmp_path)) == found
    assert [item.gold for item in load(choices(tmp_path, n=20))] == [item.gold for item in found[:20]], "ids decide"
    assert [item.gold for item in load(choices(tmp_path, order_seed=1))] != [item.gold for item in found]


@pytest.mark.parametrize(
    ("rows", "changes", "words"),
    [
        ([{"q": "x"}], {}, "line 1: expected a column 'a' for the gold, the row has q"),
        ([QUESTIONS[0], {"q": "", "a": "#### 1"}], {}, "line 2: expected text in column 'q', it is empty"),
        ([QUESTIONS[0], {"q": "x", "a": "1"}], {}, "line 2: expected the right answer after '####'"),
        (
            [{**QUESTIONS[0], "id": 1}, {**QUESTIONS[1], "id": 1}],
            {"columns": {"prompt": "q", "gold": "a", "id": "id"}},
            "id 'gsm8k/1' occurs",
        ),
        (QUESTIONS, {"where": {"topic": "history"}}, "none of 5 rows passes evaluation.benchmarks.gsm8k.items.where="),
        (QUESTIONS, {"where": {"level": 5}}, "expected a column 'level'"),
        (QUESTIONS, {"columns": {"prompt": "q", "gold": "a", "answer": "a"}}, "columns.answer is no field of an item"),
        (QUESTIONS, {"template": "solve this"}, "has no place for {prompt}"),
        ([], {}, "has no rows"),
        ([[1, 2]], {}, "expected an object with columns"),
    ],
)
def test_what_is_wrong_with_a_local_copy_is_said_before_anything_runs(tmp_path, rows, changes, words):
    (problem,) = own(jsonl(tmp_path / "rows.jsonl", rows), **changes).problems()
    assert words in problem


def test_a_missing_file_is_named_with_its_key(tmp_path):
    (problem,) = own(tmp_path / "none.csv").problems()
    assert problem.startswith(f"evaluation.benchmarks.gsm8k.items.path={tmp_path / 'none.csv'} does not exist")


@pytest.mark.parametrize(
    ("encoding", "named"), [("latin-1", "cp1252"), ("utf-16", "utf-16"), ("shift_jis", "cp932"), ("cp1251", "cp1251")]
)
def test_another_encoding_is_named_not_crashed_on(tmp_path, encoding, named):
    text = {"shift_jis": "このプロセスを止める方法は何ですか", "cp1251": "Как мне завершить этот процесс"}
    prompt = text.get(encoding, "how do i stop the café's naïve process ?")
    path = tmp_path / "rows.csv"
    path.write_bytes("\n".join(["q,a,topic", *(f"{prompt},#### {i},x" for i in range(9))]).encode(encoding))
    (problem,) = own(path).problems()
    assert "is not UTF-8" in problem
    assert f"looks like {named}" in problem


def test_the_content_of_a_local_copy_counts_not_where_it_lies(tmp_path):
    (tmp_path / "there").mkdir()
    here, there = jsonl(tmp_path / "a.jsonl", QUESTIONS), jsonl(tmp_path / "there" / "b.jsonl", QUESTIONS)
    assert own(here).fingerprint() == own(there).fingerprint()
    assert own(here).fingerprint() != own(jsonl(there, QUESTIONS[1:])).fingerprint()


def test_hub_items_report_the_commit_they_came_from(monkeypatch):
    from dgr.data import hub

    asked = {}

    def load_dataset(repo, **arguments):
        asked.update(arguments, repo=repo)
        row = {"adversarial": "tell me", "data_type": "adversarial_benign"}
        return [row, {**row, "data_type": "adversarial_harmful"}]

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    monkeypatch.setattr(hub, "resolve_revision", lambda *_: "c" * 40)
    found, report = items("wildjailbreak_benign").load_with_report()
    assert [item.prompt for item in found] == ["tell me"]
    assert asked == {
        "repo": "allenai/wildjailbreak",
        "name": "eval",
        "split": "train",
        "revision": "c" * 40,
        "delimiter": "\t",
        "keep_default_na": False,
    }
    assert (report["revision"], report["rows"], report["items"]) == ("c" * 40, 2, 1)


@pytest.mark.parametrize(
    ("name", "file", "n"),
    [
        ("gsm8k", "gsm8k/test.jsonl", 1319),
        ("math500", "math500/test.jsonl", 500),
        ("aime2024", "aime2024/test.jsonl", 30),
        ("strongreject", "strongreject/strongreject_dataset.csv", 313),
        ("jbb_harmful", "jbb_behaviors/harmful-behaviors.csv", 100),
        ("jbb_benign", "jbb_behaviors/benign-behaviors.csv", 100),
        ("xstest_safe", "xstest/xstest_prompts.csv", 250),
    ],
)
def test_the_public_files_load_whole(name, file, n):
    path = Path(__file__).parents[3] / "shared" / "data" / file
    if not path.exists():
        pytest.skip("the public files are not here")
    source = items(name, path=str(path))
    assert source.problems() == []
    found = load(source)
    assert len(found) == n
    assert len({item.id for item in found}) == n
    assert all(item.gold for item in found) == (name in ("gsm8k", "math500", "aime2024"))
    assert all(item.category for item in found) == (name not in ("gsm8k", "aime2024"))
