"""What a point leaves with W&B, read back from the offline run's own file."""

import json
import logging
import os
import signal
import time

import psutil
import pytest
from offline_run import read_runs
from omegaconf import OmegaConf

from dgr import child, stages
from dgr.files import read_json, read_jsonl
from dgr.stopping import Stopped
from dgr.tracking import wandb_run


def test_every_point_of_a_multirun_has_one_run_with_its_own_names(tracked):
    folders, _, _ = tracked
    for name, folder in folders.items():
        (found,) = read_runs(folder)
        assert found.run.run_id == folder.name
        assert found.run.run_group == "default"
        assert found.run.job_type == "point"
        assert found.run.project == "dgr"
        assert set(found.run.tags) == {
            *("model:micro", "data:micro_direct_refusal", f"refine:{name}", "n:3", "seed:0"),
        }
        assert found.run.display_name.startswith(f"{name} n=3 seed=0 (micro, micro_direct_refusal)")
        assert found.exit_code == 0
        assert read_json(folder / "wandb" / "mirrored.json") == {"id": folder.name, "offline": True}


def test_the_resolved_config_and_the_code_version_were_given_to_init(tracked):
    for name, folder in tracked[0].items():
        (found,) = read_runs(folder)
        config = {key: value for key, value in found.config.items() if key != "_wandb"}
        code, arm = config.pop("code"), config.pop("arm")
        assert config == OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
        assert config["trainer"]["learning_rate"] == 2e-4, "a number, not the text of an interpolation"
        assert arm == name
        assert code["version"]


def test_the_curve_and_every_metric_are_there(tracked):
    for folder in tracked[0].values():
        (found,) = read_runs(folder)
        losses = read_json(folder / "train.json")["loss"]
        assert found.curve("train/loss") == [(step, loss) for step, loss, *_ in losses]
        assert found.curve("train/grad_norm") == [(entry[0], entry[3]) for entry in losses]
        metrics = read_json(folder / "metrics.json")
        assert len(metrics) > 100
        assert {key: found.summary.get(key, "absent") for key in metrics} == metrics


def test_the_tables_show_replies_with_verdicts_and_samples_beside_their_sources(tracked):
    folder = tracked[0]["dgr"]
    (found,) = read_runs(folder)
    replies = found.table("table/evaluation")
    files = sorted(folder.glob("evaluation/*.jsonl"))
    rows = {(file.stem, row["id"]): row for file in files for row in read_jsonl(file)}
    assert len(rows) == len(replies) == found.summary["table/evaluation/rows"] == found.summary["table/evaluation/of"]
    for shown in replies:
        row = rows[shown["benchmark"], shown["id"]]
        assert {key: shown[key] for key in ("prompt", "reply", "verdict", "why")} == {
            key: row[key] for key in ("prompt", "reply", "verdict", "why")
        }
    samples = {row["id"]: row for row in read_jsonl(folder / "samples.jsonl")}
    shown = {row["id"]: row for row in found.table("table/samples")}
    assert shown.keys() == samples.keys()
    for key in ("source_reasoning", "reasoning", "source_answer", "answer", "accepted", "nll_before", "nll_after"):
        assert {name: row[key] for name, row in shown.items()} == {name: row[key] for name, row in samples.items()}
    assert all("1: " in row["failed_checks"] for row in shown.values()), "the checks of the first attempt"


def test_the_artifacts_lead_from_the_dataset_through_the_model_to_the_evaluation(tracked):
    folder = tracked[0]["dgr"]
    (found,) = read_runs(folder)
    dataset, model, evaluation = (
        found.artifacts[f"{folder.name}-{kind}"] for kind in ("dataset", "model", "evaluation")
    )
    assert (dataset.type, model.type, evaluation.type) == ("dataset", "model", "evaluation")
    assert dataset.use_after_commit, "what the run goes on from"
    assert model.use_after_commit
    assert not evaluation.use_after_commit, "what comes out of it"
    assert json.loads(model.metadata)["dataset"] == dataset.name
    assert json.loads(evaluation.metadata)["model"] == model.name
    files = {entry.path: entry.local_path for entry in model.manifest.contents}
    assert files["model.safetensors"] == str(folder / "model" / "model.safetensors"), "the file itself, not a copy"
    assert {entry.path for entry in dataset.manifest.contents} == {"samples.jsonl", "refine.json"}
    assert {"metrics.json", "chain.jsonl"} <= {entry.path for entry in evaluation.manifest.contents}
    waiting = [entry.local_path for one in found.artifacts.values() for entry in one.manifest.contents]
    assert all(path.startswith(str(folder)) for path in waiting), "what `wandb sync` needs lies in the run's folder"


def test_without_a_login_or_a_terminal_it_goes_offline_and_says_so_once(tracked):
    folders, said, _ = tracked
    assert said.count("wandb sync") == 1
    sweep = folders["dgr"].parent
    assert "W&B: no login (WANDB_API_KEY, or `wandb login`), so runs stay on disk; upload them with: " in said
    assert f"wandb sync {sweep}/*/wandb/offline-run-*" in said


def test_no_process_of_wandb_is_left(tracked):
    pid = str(tracked[2])
    left = [process.info["cmdline"] for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"]]
    assert not [command for command in left if "wandb-core" in command[0] and pid in command]


def test_points_in_one_process_have_a_service_of_their_own_each(point, tracker):
    folder, config = point
    seen = []
    for run_id in ("first", "second"):
        with tracker().follow(folder, {**config, "run_id": run_id}):
            seen.append(services())
        assert services() == []
    assert [len(alive) for alive in seen] == [1, 1]
    assert seen[0] != seen[1]
    assert {one.run.run_id: one.exit_code for one in read_runs(folder)} == {"first": 0, "second": 0}


def test_no_secret_reaches_a_file_or_the_screen(tracked, secret, point, tracker, monkeypatch):
    folders, said, _ = tracked
    monkeypatch.setenv("MY_API_KEY", "sk-anotherSecret")
    folder, config = point
    config["note"] = "uses sk-anotherSecret"
    with pytest.raises(RuntimeError), tracker().follow(folder, config):
        raise RuntimeError("401 for key sk-anotherSecret")
    for file in [file for where in (*folders.values(), folder) for file in where.rglob("*") if file.is_file()]:
        content = file.read_bytes()
        assert secret.encode() not in content, file
        assert b"sk-anotherSecret" not in content, file
    assert secret not in said
    (found,) = read_runs(folder)
    assert found.summary["error"] == "RuntimeError: 401 for key ***"


def test_a_failed_point_says_why_and_the_next_start_continues_the_same_run(point, tracker):
    folder, config = point
    (folder / "metrics.json").rename(folder / "later.json")
    (folder / "status.json").write_text('{"state": "failed", "stage": "record"}')
    with pytest.raises(OSError, match="the disk is full"), tracker().follow(folder, config):
        raise OSError("the disk is full")
    assert not tracker().done(folder)
    time.sleep(1.1)  # W&B names an offline run's folder by the second
    (folder / "later.json").rename(folder / "metrics.json")
    with tracker().follow(folder, config):
        pass
    failed, finished = read_runs(folder)
    assert failed.run.run_id == finished.run.run_id == folder.name
    assert failed.run.resume == finished.run.resume
    assert (failed.exit_code, finished.exit_code) == (1, 0)
    assert failed.summary["error"] == "OSError: the disk is full"
    assert failed.summary["failed_stage"] == "record"
    assert "error" not in finished.summary
    assert finished.curve("train/loss") == failed.curve("train/loss") != []
    assert tracker().done(folder)


@pytest.mark.parametrize("processes", ["a child", "two ranks"])
def test_processes_of_a_stage_log_into_the_point_s_run(point, monkeypatch, processes):
    folder, _ = point
    for file in ("train.json", "base.json", "metrics.json"):
        (folder / file).unlink()
    two = {"strategy": "ddp", "nproc": 2} if processes == "two ranks" else {}
    cfg = OmegaConf.merge(
        OmegaConf.load(folder / "config.yaml"), {"tracker": {"mode": "offline"}, "trainer": {"max_steps": 3, **two}}
    )
    monkeypatch.setattr(stages, "has_gpu", lambda: processes == "a child")
    started = []
    run = child.run
    monkeypatch.setattr(child, "run", lambda command, *given: (started.append(command), run(command, *given)))
    stages.run_point(cfg, folder, stages=[stage for stage in stages.STAGES if stage.name == "train"])
    (command,) = started
    assert ("dgr.training.torchrun" in command) == (processes == "two ranks")
    (file,) = folder.rglob("*.wandb")
    (found,) = read_runs(folder)
    assert [step for step, _ in found.curve("train/loss")] == [1, 2, 3]
    assert file.parent == found.folder


def test_the_curve_is_logged_while_it_is_written(point, tracker, monkeypatch):
    folder, config = point
    (folder / "train.json").unlink()
    monkeypatch.setattr(wandb_run, "PERIOD", 0.05)

    def train():
        (folder / "curve.jsonl").write_text('{"step": 1, "loss": 2.5}\n{"step": 2, "lo')
        time.sleep(1)
        (folder / "curve.jsonl").unlink()  # only who has read it by now knows
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), tracker().follow(folder, config):
        train()
    (found,) = read_runs(folder)
    assert found.curve("train/loss") == [(1, 2.5)]
    assert (found.exit_code, found.preempting) == (255, False), "as W&B has it for Ctrl-C"


def test_a_point_that_a_cluster_stops_is_preempted_and_not_failed(point, tracker):
    folder, config = point

    with pytest.raises(Stopped), tracker().follow(folder, config):
        raise Stopped(signal.SIGUSR1)
    (found,) = read_runs(folder)
    assert (found.exit_code, found.preempting) == (138, True), "a sweep of W&B's own starts it again"
    assert not {"error", "failed_stage"} & found.summary.keys()
    assert not tracker().done(folder)


def test_wandb_s_service_does_not_hear_a_cluster_s_warning(point, tracker):
    folder, config = point
    with tracker().follow(folder, config):
        service = [process for process in psutil.Process().children() if "wandb" in " ".join(process.cmdline())]
        assert service
        for process in service:
            process.send_signal(signal.SIGUSR1)
            process.send_signal(signal.SIGUSR2)
        time.sleep(0.5)
    (found,) = read_runs(folder)
    assert found.exit_code == 0


def test_a_finished_point_is_mirrored_without_running_again_and_then_skipped(point, caplog):
    folder, _ = point
    cfg = OmegaConf.merge(OmegaConf.load(folder / "config.yaml"), {"tracker": {"mode": "offline"}})
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    caplog.set_level(logging.INFO)
    stages.run_point(cfg, folder)
    stages.run_point(cfg, folder)
    assert "mirrored to the tracker" in caplog.text
    assert "finished before, skipped" in caplog.text
    assert {file: file.stat().st_mtime_ns for file in before} == before
    (found,) = read_runs(folder)
    assert found.summary["tax/reasoning"] == read_json(folder / "metrics.json")["tax/reasoning"]


def test_wandb_s_own_switch_turns_it_off(point, tracker, monkeypatch):
    folder, config = point
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with tracker().follow(folder, config):
        pass
    assert tracker().done(folder)
    assert not (folder / "wandb").exists()


def test_a_table_is_bounded_and_a_large_model_is_a_reference(point, tracker):
    folder, config = point
    with tracker(table_rows=1, upload_model=0).follow(folder, config):
        pass
    (found,) = read_runs(folder)
    benchmarks = {row["benchmark"] for row in found.table("table/evaluation")}
    assert found.summary["table/evaluation/rows"] == len(benchmarks) == len(found.table("table/evaluation"))
    assert found.summary["table/evaluation/of"] == 2 * len(benchmarks)
    (row,) = found.table("table/samples")
    assert row["id"] == read_jsonl(folder / "samples.jsonl")[0]["id"], "the first of the nested order"
    entries = found.artifacts[f"{folder.name}-model"].manifest.contents
    assert f"{(folder / 'model').as_uri()}/model.safetensors" in [entry.ref for entry in entries]
    assert not any(entry.local_path for entry in entries), "nothing of it is uploaded"


def services():
    """W&B's service processes that this process has started and that are alive."""
    every = psutil.Process().children(recursive=True)
    return [one for one in every if "wandb-core" in one.name() and one.status() != psutil.STATUS_ZOMBIE]


def broken_init(monkeypatch, folder):
    import wandb

    def refuse(**_):
        raise wandb.errors.CommError("the server is down")

    monkeypatch.setattr(wandb, "init", refuse)
    return "the server is down"


def no_folder(monkeypatch, folder):
    (folder / "wandb").write_text("a file where the folder must be")
    return "FileExistsError"


def service_dies(monkeypatch, folder):
    begin = wandb_run.Mirror._begin

    def and_die(mirror):
        begin(mirror)
        for process in services():
            process.kill()

    monkeypatch.setattr(wandb_run.Mirror, "_begin", and_die)
    return "goes on without it"


def damaged_file(monkeypatch, folder):
    (folder / "samples.jsonl").write_text('{"id": 1\n')
    return "samples.jsonl, line 1"


@pytest.mark.parametrize("breaking", [broken_init, no_folder, service_dies, damaged_file])
def test_a_tracker_that_breaks_says_so_once_and_does_not_stop_the_point(breaking, point, tracker, monkeypatch, caplog):
    folder, config = point
    reason = breaking(monkeypatch, folder)
    went_on = False
    with tracker().follow(folder, config):
        went_on = True
    assert went_on
    warnings = [record.message for record in caplog.records if "goes on without it" in record.message]
    assert len(warnings) == 1
    assert reason in warnings[0]
    assert not tracker().done(folder), "it is mirrored when the command is started again"
    assert services() == []
    with pytest.raises(ZeroDivisionError), tracker().follow(folder, config):
        raise ZeroDivisionError


def test_a_server_that_does_not_answer_sends_the_run_to_disk(point, tracker, monkeypatch, caplog):
    folder, config = point
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(wandb_run, "INIT_TIMEOUT", 1.0)
    with tracker(mode="online").follow(folder, config):
        pass
    (found,) = read_runs(folder)
    assert found.exit_code == 0
    assert found.summary["tax/reasoning"] == read_json(folder / "metrics.json")["tax/reasoning"]
    assert "wandb sync" in caplog.text
    key = ("0123456789" * 4).encode()
    assert not [file for file in folder.rglob("*") if file.is_file() and key in file.read_bytes()]
    assert os.environ.get("WANDB_DATA_DIR") is None, "nothing is left behind for the next point"


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"mode": "cloud"}, "tracker.mode=cloud"),
        ({"table_rows": -1}, "tracker.table_rows=-1"),
        ({"upload_model": True}, "tracker.upload_model=True"),
        ({"project": "a/b"}, "tracker.project='a/b'"),
    ],
)
def test_settings_that_cannot_work_are_found_before_anything_starts(tracker, wrong, key):
    assert tracker().problems() == []
    (problem,) = tracker(**wrong).problems()
    assert problem.startswith(key)
