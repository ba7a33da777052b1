"""A W&B workspace and a W&B report of sweeps, with the figures of `dgr.compare`'s report.

A workspace's specification is built without a network; saving one, and building a report, need a login.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from dgr.files import read_json, write_json
from dgr.tracking.secrets import logged_in, without_secrets

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import Report
    from wandb_workspaces.workspaces import Workspace

ARM, N = "arm", "n_samples"  # in a run's config


@dataclass(frozen=True)
class Figure:
    """One section: what its panels show, in words, and the panels."""

    title: str
    words: str
    panels: list[Any]


def figures(keys: Iterable[str]) -> list[Figure]:
    """The figures that the metrics named `keys` can fill; panels are objects of wandb-workspaces."""
    import wandb_workspaces.reports.v2 as wr

    keys = list(dict.fromkeys(keys))

    def scatter(title: str, x: Any, y: str, **options: Any) -> Any:
        return wr.ScatterPlot(title=title, x=x, y=wr.SummaryMetric(y), **options)

    def bars(title: str, metric: str) -> Any:
        # W&B's bars over runs of one arm: the mean, and its standard error over seeds and n
        return wr.BarPlot(
            title=title,
            metrics=[wr.SummaryMetric(metric)],
            groupby=wr.Config(ARM),
            groupby_aggfunc="mean",
            groupby_rangefunc="stderr",
        )

    def against_n(metric: str) -> Any:
        return scatter(f"{metric} against n", wr.Config(N), metric, log_x=True)

    refusals = [key for key in keys if _is_rate(key, "safety", "refusal_rate")]
    refusals += [key for key in keys if _is_rate(key, "over_refusal", "rate")]
    found = [
        Figure(
            "Safety against reasoning",
            "Each point of the sweep: safer to the left, better reasoning to the top.",
            [scatter("Trade-off", wr.SummaryMetric("safety/harmful_rate"), "reasoning/accuracy")],
        ),
        Figure(
            "Tax by arm and n",
            "How much reasoning each point lost against the untouched target, in points of accuracy.",
            [bars("Tax by arm", "tax/reasoning"), against_n("tax/reasoning")],
        ),
        Figure(
            "Activation curve",
            "Refusal of harmful prompts, seen in training and held out, and of harmless ones, as n grows.",
            [against_n(key) for key in ("safety/refusal_rate", "over_refusal/rate", *refusals)],
        ),
        Figure(
            "Gap against tax",
            "How far the training targets are from the target's own words, and what reasoning they cost.",
            [scatter("Gap and tax", wr.SummaryMetric("gap/nll_per_token"), "tax/reasoning", regression=True)],
        ),
        Figure(
            "Fallback",
            "Samples for which no rewrite passed the checks, so that the original is kept.",
            [bars("Fallback by arm", "refine/fallback_rate"), against_n("refine/fallback_rate")],
        ),
    ]
    return [
        *(Figure(one.title, one.words, kept) for one in found if (kept := _fillable(one.panels, keys))),
        Figure(
            "Training",
            "Loss over steps.",
            [wr.LinePlot(title=f"train/{name}", x="Step", y=[f"train/{name}"]) for name in ("loss", "grad_norm")],
        ),
        Figure(
            "Samples and replies",
            "Refined samples beside their sources, and replies beside their verdicts.",
            [wr.WeavePanelSummaryTable(table_name=f"table/{name}") for name in ("samples", "evaluation")],
        ),
    ]


def _is_rate(key: str, kind: str, rate: str) -> bool:
    return key.startswith(f"{kind}/") and key.endswith(f"/{rate}") and key.count("/") == 2


def _fillable(panels: Sequence[Any], keys: Sequence[str]) -> list[Any]:
    """Panels whose metrics the runs have."""

    def names(panel: Any) -> list[str]:
        metrics = panel.metrics if hasattr(panel, "metrics") else [panel.x, panel.y]
        return [metric.name for metric in metrics if type(metric).__name__ == "SummaryMetric"]

    return [panel for panel in panels if all(name in keys for name in names(panel))]


def _title(sweeps: Sequence[str]) -> str:
    return f"dgr {', '.join(sweeps)}"[:128]


def workspace(entity: str, project: str, sweeps: Sequence[str], keys: Iterable[str]) -> "Workspace":
    """The view: runs of these sweeps, in rows by arm, and a section a figure."""
    import wandb_workspaces.workspaces as ws

    sections = [
        ws.Section(name=one.title, panels=_laid_out(one.panels), is_open=True) for one in figures(keys) if one.panels
    ]
    runs = ws.RunsetSettings(
        filters=[ws.Metric("Group").isin(list(sweeps))],
        groupby=[ws.Config(ARM)],
    )
    return ws.Workspace(entity=entity, project=project, name=_title(sweeps), sections=sections, runset_settings=runs)


def _laid_out(panels: Sequence[Any]) -> list[Any]:
    """Two panels a row of W&B's grid, which is 24 wide."""
    import wandb_workspaces.reports.v2 as wr

    for number, panel in enumerate(panels):
        panel.layout = wr.Layout(x=12 * (number % 2), y=8 * (number // 2), w=12, h=8)
    return list(panels)


def w_and_b_report(entity: str, project: str, sweeps: Sequence[str], keys: Iterable[str]) -> "Report":
    """The figures as a document. wandb-workspaces asks the server while it builds one, so a login is needed."""
    import wandb_workspaces.reports.v2 as wr

    blocks: list[Any] = [wr.TableOfContents()]
    for one in figures(keys):
        chosen = f"Metric('Group') in {list(sweeps)}"
        runs = wr.Runset(entity=entity, project=project, name=_title(sweeps), filters=chosen)
        blocks += [wr.H1(one.title), wr.P(one.words), wr.PanelGrid(runsets=[runs], panels=_laid_out(one.panels))]
    return wr.Report(entity=entity, project=project, title=_title(sweeps), blocks=blocks, width="fluid")


def specification(view: "Workspace") -> dict[str, Any]:
    """What the W&B server is sent, as JSON."""
    return view._to_model().model_dump(mode="json", by_alias=True, exclude_none=True)


def save(folders: Sequence[Path]) -> str:
    """Save a workspace and a report of these run folders' sweeps; returns what to tell the user.

    The workspace's specification is left as wandb-workspace.json in the first sweep's folder, login or not.
    """
    if find_spec("wandb_workspaces") is None:
        return "W&B: a workspace needs wandb-workspaces: pip install 'dgr[workspaces]'"
    sweeps = list(dict.fromkeys(folder.parent.resolve().name for folder in folders))
    keys = _metric_names(folders)
    project, entity = _place(folders)
    file = folders[0].parent / "wandb-workspace.json"
    write_json(file, specification(workspace(entity or "", project, sweeps, keys)))
    if not logged_in():
        return f"W&B: no login (WANDB_API_KEY, or `wandb login`), so no workspace is saved; its specification: {file}"
    try:
        entity = entity or _own_entity()
        view = workspace(entity, project, sweeps, keys).save()
        report = w_and_b_report(entity, project, sweeps, keys).save()
    except Exception as error:  # noqa: BLE001 - no network, no rights: the comparison itself is not harmed
        reason = without_secrets(f"{type(error).__name__}: {error}").strip().split("\n")[0]
        return f"W&B: not saved: {reason}; the workspace's specification: {file}"
    return f"W&B: workspace {view.url}\nW&B: report {report.url}"


def _metric_names(folders: Sequence[Path]) -> list[str]:
    """Of all metrics.json that can be read."""
    names: dict[str, None] = {}
    for file in (folder / "metrics.json" for folder in folders):
        with suppress(ValueError, FileNotFoundError):
            names |= dict.fromkeys(read_json(file))
    return list(names)


def _place(folders: Sequence[Path]) -> tuple[str, str | None]:
    """Project and entity that the runs were tracked in; wandb's own settings where they were not."""
    for file in (folder / "config.yaml" for folder in folders):
        tracker = OmegaConf.load(file).get("tracker", {}) if file.exists() else {}
        if tracker.get("project"):
            return tracker.project, tracker.get("entity")
    return os.environ.get("WANDB_PROJECT", "dgr"), os.environ.get("WANDB_ENTITY")


def _own_entity() -> str:
    import wandb

    return wandb.Api(timeout=30).default_entity
