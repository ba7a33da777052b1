"""Weights & Biases: one run a point, held by the process that runs the point; its children never open another."""

import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgr.files import read_json, write_json
from dgr.status import read_status
from dgr.stopping import Stopped, deaf
from dgr.tracking import artifacts, tables
from dgr.tracking.code_version import code_version
from dgr.tracking.curve import Curve
from dgr.tracking.secrets import logged_in, without_secrets

if TYPE_CHECKING:
    from wandb import Run

log = logging.getLogger(__name__)

PERIOD = 2.0  # seconds between two looks at the loss curve
INIT_TIMEOUT, FINISH_TIMEOUT = 30.0, 900.0  # seconds without an answer, then the run goes on without W&B
INTERRUPT_TIMEOUT = 10.0
KILLED = 255  # the exit code of a run that Ctrl-C ended, as W&B has it
MODES = ("online", "offline")
TAG_LENGTH, NAME_LENGTH, ERROR_LENGTH = 64, 128, 1000  # W&B refuses longer tags and names


@dataclass(frozen=True)
class Wandb:
    """One W&B run a point: id = run id, group = sweep. Without a login or an answer it is kept on disk.

    `upload_model`: a model of up to so many megabytes is uploaded, of a larger one only references.
    `table_rows`: rows of a table at most, of each benchmark and of the refined samples.
    """

    project: str
    entity: str | None
    mode: str
    upload_model: int
    table_rows: int

    def problems(self) -> list[str]:
        found = [
            f"tracker.{name}={getattr(self, name)}: a whole number of 0 or more is expected"
            for name in ("upload_model", "table_rows")
            if isinstance(getattr(self, name), bool) or not getattr(self, name) >= 0
        ]
        if self.mode not in MODES:
            found.append(f"tracker.mode={self.mode} is unknown; choose one of {', '.join(MODES)}")
        if not 1 <= len(self.project) <= NAME_LENGTH or re.search(r"[/\\#?%:]", self.project):
            found.append(f"tracker.project={self.project!r}: 1 to {NAME_LENGTH} characters without / \\ # ? % :")
        return found

    def done(self, folder: Path) -> bool:
        """A sweep of W&B's own gives every start a run of its own, which must be filled."""
        return _disabled() or (_marker(folder).exists() and "WANDB_SWEEP_ID" not in os.environ)

    @contextmanager
    def follow(self, folder: Path, config: dict[str, Any]) -> Iterator[None]:
        if _disabled():
            yield
            return
        mirror = Mirror(self, folder, config)
        try:
            yield
        except (Stopped, KeyboardInterrupt) as stop:
            mirror.interrupt(stop)
            raise
        except BaseException as error:
            mirror.fail(error)
            raise
        mirror.finish()


def _disabled() -> bool:
    return os.environ.get("WANDB_MODE") == "disabled"


def _marker(folder: Path) -> Path:
    """Written last, once everything of a finished point is with W&B or in its offline file."""
    return folder / "wandb" / "mirrored.json"


class Mirror:
    """A point's W&B run. The first thing that goes wrong in it is logged, and nothing more is mirrored."""

    def __init__(self, settings: Wandb, folder: Path, config: dict[str, Any]) -> None:
        self.settings, self.folder, self.config = settings, folder.resolve(), config
        self.run: Run | None = None
        self.broken = False
        self.ended = threading.Event()
        self.curve = Curve(self.folder)
        self.watch = threading.Thread(target=self._watch, daemon=True, name="loss curve to W&B")
        self._try(self._begin)
        if self.run:
            self.watch.start()

    def finish(self) -> None:
        """Mirror a point that went well."""
        self._try(self._rest_of_curve)
        self._try(lambda: self.run.summary.update(read_json(self.folder / "metrics.json")))
        if self.run and self.run.resumed:
            self._try(lambda: self.run.summary.update({"error": None, "failed_stage": None}))
        self._try(self._files)
        self._end(0)

    def fail(self, error: BaseException) -> None:
        """Mirror what there is of a point that failed, and why."""
        self._try(self._rest_of_curve)
        text = tables.clean(without_secrets(f"{type(error).__name__}: {error}"))[:ERROR_LENGTH]
        stage = read_status(self.folder).get("stage", "")
        self._try(lambda: self.run.summary.update({"error": text, "failed_stage": stage}))
        self._try(self._files)
        self._end(1)

    def interrupt(self, stop: BaseException) -> None:
        """Let go of a point that continues later; a sweep of W&B's own starts it again where a cluster stopped it.

        A stopped process has little time: tables and artifacts are left to the end of the point, and no answer of W&B
        is waited for any longer than INTERRUPT_TIMEOUT.
        """

        def let_go() -> None:
            self._try(self._rest_of_curve)
            if isinstance(stop, Stopped):
                self._try(lambda: self.run.mark_preempting())
            self._end(stop.code if isinstance(stop, Stopped) else KILLED)

        thread = threading.Thread(target=let_go, daemon=True, name="an interrupted point to W&B")
        thread.start()
        thread.join(INTERRUPT_TIMEOUT)

    def _try(self, action: Callable[[], Any], although_broken: bool = False) -> None:
        if self.broken and not although_broken:
            return
        try:
            action()
        except Exception as error:  # noqa: BLE001 - whatever happens in a tracker, the point goes on
            if self.broken:
                return  # it was said
            self.broken = True
            log.warning(
                "W&B: %s; %s goes on without it. Its folder holds everything: start the same command again when this "
                "is repaired, and it is mirrored",
                without_secrets(f"{type(error).__name__}: {error}").strip().split("\n")[0],
                self.folder.name,
            )

    def _begin(self) -> None:
        (self.folder / "wandb").mkdir(exist_ok=True)  # W&B would quietly write to a temporary folder instead
        _marker(self.folder).unlink(missing_ok=True)
        if self.settings.mode == "offline" or os.environ.get("WANDB_MODE", "online") != "online":
            _say_once("W&B: runs stay on disk; ", self.folder.parent)
        elif logged_in():
            try:
                self.run = self._init("online")
            except Exception as error:  # noqa: BLE001 - no network, a wrong key, no rights: all go to disk instead
                reason = without_secrets(str(error)).strip().split("\n")[0]
                _say_once(f"W&B: {type(error).__name__}: {reason}; runs stay on disk; ", self.folder.parent)
                self._teardown()
        else:
            _say_once("W&B: no login (WANDB_API_KEY, or `wandb login`), so runs stay on disk; ", self.folder.parent)
        self.run = self.run or self._init("offline")
        self.curve.after(self.run.step - 1)  # a continued run has these steps already

    def _init(self, mode: str) -> "Run":
        with self._own_data_folder(), deaf():  # a warning to every process of a job would end W&B's service
            import wandb

            config, description = self.config, _description(self.config)
            added = {"arm": config["refine"].get("name"), "code": code_version()}  # `wandb agent` overwrites "refine"
            return wandb.init(
                project=self.settings.project,
                entity=self.settings.entity,
                id=config["run_id"],
                name=description["name"],
                group=config["sweep"],
                job_type="point",
                tags=description["tags"],
                config=tables.clean(without_secrets({**config, **added})),
                dir=self.folder,
                mode=mode,
                resume="allow",
                settings=wandb.Settings(
                    silent=True,
                    console="off",
                    disable_code=True,
                    disable_git=True,  # a remote's address may hold a token; the commit is in the config
                    init_timeout=INIT_TIMEOUT,
                    finish_timeout=FINISH_TIMEOUT,
                ),
            )

    @contextmanager
    def _own_data_folder(self) -> Iterator[None]:
        """What waits for `wandb sync`, and W&B's logs, lie in the run's folder, not in the home folder of a machine."""
        ours = [name for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR") if name not in os.environ]
        os.environ.update(dict.fromkeys(ours, str(self.folder / "wandb" / "data")))
        try:
            yield
        finally:
            for name in ours:
                del os.environ[name]

    def _watch(self) -> None:
        while not self.ended.wait(PERIOD):
            self._try(self._log_curve)

    def _log_curve(self) -> None:
        for step, values in self.curve.new():
            self.run.log(values, step=step)

    def _rest_of_curve(self) -> None:
        self._stop_watching()
        self.curve.complete()
        self._log_curve()
        self.run.log({}, commit=True)  # the last step's numbers, before the summary is written over them

    def _files(self) -> None:
        """Tables and artifacts, as far as the point has come."""
        with self._own_data_folder():
            shown, counts = tables.tables(self.folder, self.settings.table_rows)
            if shown:
                self.run.log(shown)
                self.run.summary.update(counts)
            artifacts.log_artifacts(self.run, self.folder, self.config, self.settings.upload_model)

    def _stop_watching(self) -> None:
        self.ended.set()
        if self.watch.is_alive():
            self.watch.join()

    def _end(self, exit_code: int) -> None:
        self._stop_watching()
        if self.run:
            with self._own_data_folder():
                self._try(lambda: self.run.finish(exit_code=exit_code), although_broken=True)
            if exit_code == 0:
                self._try(lambda: write_json(_marker(self.folder), {"id": self.run.id, "offline": self.run.offline}))
        self._teardown()

    def _teardown(self) -> None:
        """W&B's service process ends with the point; the next point starts its own."""
        if "wandb" in sys.modules:
            self._try(sys.modules["wandb"].teardown, although_broken=True)


@cache
def _say_once(why: str, sweep: Path) -> None:
    log.warning("%supload them with: wandb sync %s", why, sweep / "*" / "wandb" / "offline-run-*")


def _description(config: dict[str, Any]) -> dict[str, Any]:
    """A name for people, and what one filters by."""
    model, data, refine = (str(config[group].get("name", "?")) for group in ("model", "data", "refine"))
    n, seed, mark = config["n_samples"], config["seed"], config["run_id"].rpartition("-")[2]
    name = f"{refine} n={n} seed={seed} ({model}, {data}) {mark}"
    tags = [f"model:{model}", f"data:{data}", f"refine:{refine}", f"n:{n}", f"seed:{seed}"]
    return {"name": name[:NAME_LENGTH], "tags": [tag[:TAG_LENGTH] for tag in tags]}
