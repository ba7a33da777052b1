import json
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from dgr.sample import nested_subset

PROJECT = Path(__file__).parents[2]
CONF = PROJECT / "conf"
SHARED = PROJECT.parent / "shared" / "data"
STAR1 = SHARED / "star1" / "STAR-1.json"
LOOK_ALIKE = SHARED / "repnoise_decoding_trust_refusals" / "decoding_trust_with_refusals_train.json"
ROWS = [{"refusal": f"Question: q{i}\nAnswer: a{i}"} for i in range(3)]
OWN = [{"prompt": f"q{i}", "reasoning": "r", "answer": "a", "id": f"own-{i}"} for i in range(3)]


def source(name, **settings):
    cfg = OmegaConf.load(CONF / "data" / f"{name}.yaml")
    return instantiate(OmegaConf.merge(cfg, OmegaConf.create(settings)))


def jsonl(folder, rows, name="rows.jsonl"):
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("file", sorted((CONF / "data").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_dataset_instantiates_under_its_own_name(file):
    assert file.read_text(encoding="utf-8").startswith("# ")
    dataset = source(file.stem)
    assert dataset.name == file.stem
    assert dataset.language == ("micro" if file.stem.startswith("micro") else "natural")
    assert bool(dataset.problems()) == (file.stem == "jsonl")  # which has no file yet


def test_rows_without_ids_are_named_by_their_place(tmp_path):
    samples = source("direct_refusal", path=jsonl(tmp_path, ROWS)).load()
    assert [sample.id for sample in samples] == ["direct_refusal/00001", "direct_refusal/00002", "direct_refusal/00003"]
    assert samples[2].prompt == "q2"
    assert samples[2].reasoning == "I should not answer this question!"


def test_the_constant_trace_can_be_set(tmp_path):
    assert source("direct_refusal", path=jsonl(tmp_path, ROWS), reasoning="No.").load()[0].reasoning == "No."


def test_every_file_kind_gives_the_same_samples(tmp_path):
    import pyarrow
    import pyarrow.parquet

    expected = source("jsonl", path=jsonl(tmp_path, OWN)).load()
    (tmp_path / "rows.json").write_text(json.dumps(OWN), encoding="utf-8-sig")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(OWN), tmp_path / "rows.parquet")
    lines = ["prompt,reasoning,answer,id", *(",".join(row.values()) for row in OWN)]
    (tmp_path / "rows.csv").write_text("\r\n".join(lines), encoding="utf-8")
    for kind in ("json", "parquet", "csv"):
        assert source("jsonl", path=str(tmp_path / f"rows.{kind}")).load() == expected


def test_csv_takes_long_and_multi_line_fields(tmp_path):
    long = "step one\nstep two " * 20_000
    (tmp_path / "rows.csv").write_text(f'prompt,reasoning,answer\nq,"{long}","a ""quoted"""\n', encoding="utf-8")
    sample = source("jsonl", path=str(tmp_path / "rows.csv")).load()[0]
    assert sample.reasoning == long.strip()
    assert sample.answer == 'a "quoted"'


def test_line_separators_inside_a_string_do_not_cut_a_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a\u2028b", "reasoning": "r\x85s", "answer": "a"}\n', encoding="utf-8")
    sample = source("jsonl", path=str(path)).load()[0]
    assert (sample.prompt, sample.reasoning) == ("a\u2028b", "r\x85s")


def test_a_bad_row_is_named_with_file_line_and_remedy(tmp_path):
    path = jsonl(tmp_path, [ROWS[0], {"refusal": "Prompt: x"}, ROWS[2]])
    with pytest.raises(ValueError, match=r"rows\.jsonl, line 2: expected column 'refusal' to begin .*skip_bad=true"):
        source("direct_refusal", path=path).load()


def test_skip_bad_counts_and_moves_no_id(tmp_path):
    path = jsonl(tmp_path, [ROWS[0], {"refusal": "Prompt: x"}, ROWS[2]])
    Path(path).write_text(Path(path).read_text(encoding="utf-8") + "{not json\n[1]\n", encoding="utf-8")
    samples, report = source("direct_refusal", path=path, skip_bad=True).load_with_report()
    assert [sample.id for sample in samples] == ["direct_refusal/00001", "direct_refusal/00003"]
    assert (report["rows"], report["samples"], report["skipped"]) == (5, 2, 3)
    assert [message.split(": ")[0].rpartition(", ")[2] for message in report["skipped_rows"]] == [
        "line 2",
        "line 4",
        "line 5",
    ]


def test_only_bad_rows_are_an_error_even_when_skipping(tmp_path):
    path = jsonl(tmp_path, [{"refusal": "Prompt: x"}])
    with pytest.raises(ValueError, match="no usable row; the first is bad"):
        source("direct_refusal", path=path, skip_bad=True).load()


def test_two_rows_with_one_id_are_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"line 4: id 'own-0' is also that of line 1"):
        source("jsonl", path=jsonl(tmp_path, [*OWN, OWN[0]]), skip_bad=True).load()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"prompt": "caf\xe9"}\n', r"byte 0xe9 at offset 15 \(line 1\)"),
        ('{"prompt": "x"}'.encode("utf-16"), "byte 0xff at offset 0"),
    ],
)
def test_a_file_that_is_not_utf8_is_named_with_the_byte(tmp_path, content, message):
    (tmp_path / "rows.jsonl").write_bytes(content)
    dataset = source("jsonl", path=str(tmp_path / "rows.jsonl"))
    with pytest.raises(ValueError, match=message):
        dataset.load()
    assert "not UTF-8" in dataset.problems()[0]


def test_problems_name_what_keeps_a_file_from_being_read(tmp_path):
    (tmp_path / "rows.txt").write_text("x", encoding="utf-8")
    (tmp_path / "dict.json").write_text("{}", encoding="utf-8")
    (tmp_path / "lines.json").write_text("{}\n{}\n", encoding="utf-8")
    for path, message in [
        ("/missing", "data.path=/missing does not exist"),
        (str(tmp_path), "is a folder"),
        (str(tmp_path / "rows.txt"), "has the extension '.txt'; it must be one of .jsonl, .json, .csv, .parquet"),
        (str(tmp_path / "dict.json"), "must hold a list of objects"),
        (str(tmp_path / "lines.json"), "one object a line belongs in a .jsonl file"),
        (jsonl(tmp_path, []), "has no rows"),
        (jsonl(tmp_path, OWN, "own.jsonl"), "has no column 'refusal', which data=direct_refusal needs; its columns: p"),
    ]:
        (problem,) = source("direct_refusal", path=path).problems()
        assert message in problem


def test_problems_of_a_column_map(tmp_path):
    path = jsonl(tmp_path, [{"question": "q", "answer": "a"}])
    assert source("jsonl").problems() == [
        "data=jsonl has no rows to read: set data.path=FILE (or data.hub=ORGANISATION/DATASET)"
    ]
    missing = source("jsonl", path=path).problems()
    assert [message.split("'")[1] for message in missing] == ["prompt"]
    assert source("jsonl", path=path, columns={"prompt": "question"}).problems() == []
    named = source("jsonl", path=path, columns={"prompt": "question", "id": "uid"}).problems()
    assert "no column 'uid'" in named[0]
    wrong = source("jsonl", path=path, columns={"prompt": None, "thinking": "t"}, stance="no").problems()
    assert [message.split(" ")[0] for message in wrong] == [
        "data.columns.thinking",
        "data.columns.prompt",
        "data.stance='no'",
    ]


def test_fingerprint_follows_the_content_not_the_place(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    here, there = (source("jsonl", path=jsonl(folder, OWN)) for folder in (one, other))
    assert here.fingerprint() == there.fingerprint()
    jsonl(other, OWN[:2])
    assert here.fingerprint() != there.fingerprint()


def test_fingerprint_of_a_hub_dataset_names_revision_and_split():
    assert source("star1", revision="a" * 40).fingerprint() == f"hub:UCSC-VLAA/STAR-1@{'a' * 40}/default/train"
    assert source("star1").hub_ids() == [("UCSC-VLAA/STAR-1", "dataset", "main")]
    assert source("star1", path="x.json").hub_ids() == []


def test_hub_rows_are_loaded_at_the_commit_that_a_branch_means_now(monkeypatch):
    import datasets
    import huggingface_hub

    asked = {}

    class Info:
        sha = "b" * 40

    def load_dataset(repo, **settings):
        asked.update(settings, repo=repo)
        return ROWS

    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", lambda *_, **__: Info)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    samples, report = source("direct_refusal").load_with_report()
    assert samples[0].id == "direct_refusal/00001"
    assert report["revision"] == "b" * 40
    assert asked == {"repo": "TianshengHuang/DirectRefusal", "name": None, "split": "train", "revision": "b" * 40}


def test_a_hub_that_does_not_answer_is_an_error_that_says_what_to_do(monkeypatch):
    import datasets
    import huggingface_hub

    def unreachable(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", unreachable)
    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(ValueError, match=r"UCSC-VLAA/STAR-1 .* cannot be loaded: no route; .*data\.path"):
        source("star1").load()


@pytest.mark.parametrize("name", ["micro_direct_refusal", "micro_r1_act", "micro_graded"])
def test_micro_datasets_hold_a_thousand_refusals_of_their_own(name):
    dataset = source(name)
    samples = dataset.load()
    assert len(samples) == len({sample.id for sample in samples}) == len({sample.prompt for sample in samples}) == 1000
    assert {sample.stance for sample in samples} == {"refuse"}
    assert all(sample.category for sample in samples)
    assert (len({sample.reasoning for sample in samples}) == 1) == (name == "micro_direct_refusal")
    assert dataset.fingerprint() == source(name).fingerprint()


def test_graded_datasets_differ_in_wording_only():
    """Equal requests in equal order; sentence by sentence the wording goes from one author to the other."""
    steps = [source("micro_graded", foreign=foreign) for foreign in (0.0, 0.25, 0.5, 1.0)]
    texts = [[f"{sample.reasoning} {sample.answer}" for sample in step.load()] for step in steps]
    own, *others = texts
    assert all([s.prompt for s in step.load()] == [s.prompt for s in steps[0].load()] for step in steps)
    assert len({step.fingerprint() for step in steps}) == 4
    shares = [sum("would this hurt someone" not in text for text in other) / 1000 for other in others]
    assert shares == pytest.approx([0.25, 0.5, 1.0], abs=0.05)
    assert all("would this hurt someone ?" in text for text in own)
    assert not set(own) & set(others[-1])


@pytest.mark.parametrize("foreign", [-0.1, 1.5])
def test_a_share_of_foreign_wording_lies_between_0_and_1(foreign):
    assert source("micro_graded", foreign=foreign).problems() == [f"data.foreign={foreign}: must be between 0 and 1"]


@pytest.mark.skipif(not STAR1.exists(), reason="the real STAR-1 file is not here")
def test_the_real_star1_parses_whole():
    samples, report = source("star1", path=str(STAR1)).load_with_report()
    assert (len(samples), report["skipped"]) == (1000, 0)
    assert nested_subset(samples, 10, 0) == nested_subset(samples, 100, 0)[:10]
    assert source("star1", path=str(STAR1)).problems() == []


@pytest.mark.skipif(not LOOK_ALIKE.exists(), reason="the real look-alike is not here")
def test_the_look_alike_of_direct_refusal_is_refused():
    with pytest.raises(ValueError, match=r"row 1: expected column 'refusal' to begin with 'Question: '.*'Prompt: "):
        source("direct_refusal", path=str(LOOK_ALIKE)).load()


def test_nothing_heavy_is_imported_before_it_is_used():
    code = (
        "import sys, dgr.chat, dgr.data.natural, dgr.data.micro; "
        "sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'datasets', 'pyarrow', 'huggingface_hub')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0
