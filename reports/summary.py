"""The numbers that a report states: cells in order, their intervals, which of them differ, what is missing."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

import results
from reports.targets import CellTarget, by_cell
from results import VIEW_METRICS, Decision, decision_of, missing, rows, starts
from results import Row as ScalingRow
from results.statistics import (
    Contenders,
    Estimate,
    Interval,
    Ranking,
    contenders,
    interquartile_mean,
    intervals,
    performance_profile,
    rank,
    sequential,
    smallest_detectable,
)

ALPHA = 0.05
POWER = 0.8
_FIGURES = re.compile(r" \((\d+ of \d+ windows|\d+ ns)[^)]*\)")
"""The figures of one trial in the reason why its speed cannot be compared."""


@dataclass(frozen=True)
class Cell:
    """A setting over its seeds. `miou` maps seed to a fraction; numbers are means over the seeds that ended well.

    `gradient` is the scale of the loss's gradient relative to cross-entropy, before training and at a margin of 3.
    `eval_images_per_second` is the speed of the evaluation as trained. `clocks` holds seconds by phase. `memory` holds
    the MiB of each seed by kind of peak.
    `parameters` and `forward_gflop`, of one training image, are those of the model; NaN in older records.
    """

    key: str
    label: str
    miou: dict[int, float]
    interval: Interval
    planned: int
    statuses: dict[str, int]
    images_per_second: float
    rates: tuple[float, ...]
    eval_images_per_second: float
    input_share: float
    best_epoch: float
    train_s: float
    gradient: tuple[float, float]
    clocks: dict[str, float]
    memory: dict[str, tuple[float, ...]]
    parameters: float
    forward_gflop: float


@dataclass(frozen=True)
class ViewSummary:
    """The weights of a cell in one evaluation: validation mIoU with its interval, Boundary IoU, evaluation images/s."""

    key: str
    label: str
    name: str
    interval: Interval
    boundary_iou: float
    images_per_second: float


@dataclass(frozen=True)
class Across:
    """A method over several data sets: interquartile mean of mIoU, and the share of runs above each threshold."""

    label: str
    tasks: int
    iqm: Estimate
    profile: tuple[float, ...]
    thresholds: tuple[float, ...]


@dataclass(frozen=True)
class Summary:
    """Cells from best to worst (those that measured nothing last), the ranking on validation mIoU, and the gaps.

    `incomparable` holds the reasons why the throughput of `untimed` trials cannot be compared. If that of others can
    (`timed`), the rates of the cells leave the former out. If that of no trial can, the rates show what was measured.
    `targets` holds the times to the target of the cells that have one. `outdated` counts the trials whose scores are
    left out because those of others are of a newer version. `views` is empty if the weights were evaluated in one way
    only. `weights` names the weights that were scored: "best" (chosen by the validation split), "last" or "averaged".
    `fewest` is the least number of seeds of a measured cell. With several data sets, `across` compares methods over
    them, and `parts` holds a summary per data set, because mIoU of different data sets cannot be ranked together. With
    one data set both are empty. `split` is the split that judges the cells.
    `contenders` are the cells that may be the best. In a run that decides which seeds come next, `decision` is what it
    was asked and `look` where it stands; its number of seeds is not fixed, so ranking, contenders and smallest
    difference do not hold for it.
    """

    cells: list[Cell]
    ranking: Ranking
    smallest: float
    seeds: int
    fewest: int
    weights: tuple[str, ...]
    missing: list[tuple[str, int]]
    incomparable: list[str]
    untimed: int
    timed: bool
    trials: pd.DataFrame
    test: dict[str, Interval] = field(default_factory=dict)
    views: list[ViewSummary] = field(default_factory=list)
    across: list[Across] = field(default_factory=list)
    scaling: list[ScalingRow] = field(default_factory=list)
    outdated: int = 0
    targets: dict[str, CellTarget] = field(default_factory=dict)
    parts: dict[str, Summary] = field(default_factory=dict)
    split: str = "val"
    contenders: Contenders = field(default_factory=Contenders)
    decision: Decision | None = None
    look: sequential.Look | None = None

    @property
    def judged_on(self) -> str:
        """Return the name of the split that judges the cells: validation, or test if nothing else was scored."""
        return "validation" if self.split == "val" else "test"

    @property
    def measured(self) -> list[Cell]:
        """Return the cells that have an mIoU."""
        return [cell for cell in self.cells if cell.miou]


def summarize(run: results.Run) -> Summary:
    """Return the summary of a run from its records; the manifest adds the cells and seeds that left no record."""
    frame, outdated = _of_one_scoring(results.trials(run.trials))
    planned, decision = _planned(run, frame), decision_of(run.manifest)
    split = results.judged_split(frame)
    values = _values(frame, split, planned)
    ranking = rank(values, ALPHA)
    order = [*ranking.order, *sorted((key for key in planned if not values[key]), key=lambda key: planned[key][0])]
    labels = {key: planned[key][0] for key in order}
    # A trial that ended well and does not say whether its speed is comparable has none that is.
    incomparable = ~frame["throughput_comparable"].fillna(frame["status"] != "ok").astype(bool)
    rated = _comparable_rates(frame, incomparable)
    counts = [len(seeds) for seeds in values.values() if seeds]
    summary = Summary(
        cells=_cells(rated, planned, values, order),
        ranking=ranking,
        smallest=_smallest(ranking, min(counts, default=0)),
        seeds=max(counts, default=0),
        fewest=min(counts, default=0),
        weights=tuple(sorted({_weights(one.record.spec) for one in run.trials if one.record.status == "ok"})),
        missing=[(planned[cell][0], seed) for cell, _, seed in missing(run)],
        incomparable=_reasons(frame[incomparable]),
        untimed=frame.loc[incomparable, "trial"].nunique(),
        timed=bool(frame.loc[~incomparable, "images_per_second"].notna().any()),
        trials=frame,
        test=_on_test(frame, order) if split == "val" else {},
        views=_views(rated, labels),
        across=_across(run, values, labels),
        scaling=_scaling(run),
        outdated=outdated,
        split=split,
        targets=by_cell(run),
        contenders=contenders(values, ALPHA),
        decision=decision,
        look=decision.look(one.record for one in run.trials) if decision else None,
    )
    parts = {name: summarize(part) for name, part in _by_dataset(run).items()}
    return _joined(summary, parts) if parts else summary


def _joined(summary: Summary, parts: dict[str, Summary]) -> Summary:
    """Return the summary of several data sets, each judged by its own noise."""
    inside = {cell.key: cell for part in parts.values() for cell in part.cells}
    return replace(
        summary,
        cells=[inside.get(cell.key, cell) for cell in summary.cells],
        test={key: interval for part in parts.values() for key, interval in part.test.items()},
        views=[view for part in parts.values() for view in part.views],
        parts=parts,
    )


def _of_one_scoring(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return the rows without scores of an older version than others, and the number of trials that had such scores."""
    scored = frame["miou"].notna()
    old = scored & (frame["scoring"] < frame.loc[scored, "scoring"].max())
    kept = frame.copy()
    kept.loc[old, [name for name in VIEW_METRICS if name != "eval_images_per_second"]] = math.nan
    return kept, frame.loc[old, "trial"].nunique()


def _cells(
    frame: pd.DataFrame,
    planned: dict[str, tuple[str, list[int]]],
    values: dict[str, dict[int, float]],
    order: list[str],
) -> list[Cell]:
    """Return the cells in order, each with its interval."""
    means = intervals(values)
    rows = dict(tuple(frame.groupby("cell")))
    none = frame.iloc[:0]
    return [_cell(key, planned[key], values[key], means[key], rows.get(key, none)) for key in order]


def _values(frame: pd.DataFrame, split: str, cells: Iterable[str]) -> dict[str, dict[int, float]]:
    """Return {cell: {seed: mIoU}} on a split; a cell that measured nothing there has no seeds."""
    rows = _scored(frame, split)
    by_cell = dict(tuple(rows.groupby("cell")))
    return {key: _by_seed(by_cell.get(key, rows.iloc[:0])) for key in cells}


def _on_test(frame: pd.DataFrame, cells: Iterable[str]) -> dict[str, Interval]:
    """Return the mean and interval on the test split of each cell that has one."""
    return intervals({key: seeds for key, seeds in _values(frame, "test", cells).items() if seeds})


def _comparable_rates(frame: pd.DataFrame, incomparable: pd.Series) -> pd.DataFrame:
    """Return the frame without the rates of trials that cannot be compared; unchanged if no trial can be.

    If a trial shared its cores or ran unsteadily in training, its speed of evaluation cannot be compared either.
    """
    rates = {name: frame[name].where(~incomparable) for name in ("images_per_second", "eval_images_per_second")}
    return frame.assign(**{name: kept for name, kept in rates.items() if kept.notna().any()})


def _reasons(rows: pd.DataFrame) -> list[str]:
    """List why the throughput of these trials cannot be compared, each reason once, without the figures of a trial."""
    reasons = (why if isinstance(why, str) else "no reason given" for why in rows["throughput_reason"])
    return sorted({_FIGURES.sub("", part) for why in reasons for part in why.split("; ")})


def _scored(frame: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return the rows of trials that ended well, as they were trained, on a split."""
    return frame[
        (frame["split"] == split) & (frame["view"] == "default") & (frame["status"] == "ok") & frame["miou"].notna()
    ]


def _weights(spec: Mapping[str, Any]) -> str:
    """Return which weights a trial scored."""
    if spec.get("train", {}).get("wrapper") == "swa":
        return "averaged"
    return "best" if spec.get("eval", {}).get("keep_checkpoint", "best") == "best" else "last"


def _smallest(ranking: Ranking, seeds: int) -> float:
    """Return the difference of two cells that this number of seeds detects with power POWER, after Holm's correction.

    It is NaN without a variance.
    """
    if not ranking.pool:
        return float("nan")
    alpha = ALPHA / max(len(ranking.p), 1)
    own = 2 * (seeds - 1) or None
    return smallest_detectable(ranking.pool.sd, seeds, ranking.pool.df, alpha=alpha, power=POWER, own=own)


def _by_dataset(run: results.Run) -> dict[str, results.Run]:
    """Return the run's trials and cells by data set; empty if there is only one.

    A cell without a record is in none of them.
    """
    named = {one.record.cell: str(one.record.spec.get("data", {}).get("name", "")) for one in run.trials}
    names = named | {one.record.cell: one.record.dataset.name for one in run.trials if one.record.dataset}
    if len(set(names.values()) - {""}) < 2:
        return {}
    return {
        name: replace(
            run,
            manifest={
                **run.manifest, "cells": [c for c in run.manifest.get("cells", []) if names.get(c["cell"]) == name]
            },
            trials=[one for one in run.trials if names.get(one.record.cell) == name],
        )
        for name in sorted(set(names.values()) - {""})
    }  # fmt: skip


def _across(run: results.Run, values: dict[str, dict[int, float]], labels: dict[str, str]) -> list[Across]:
    """Return methods over several data sets, best first; a method is the setting of a cell without its data set."""
    datasets = {one.record.cell: one.record.dataset.name for one in run.trials if one.record.dataset}
    if len(set(datasets.values())) < 2:
        return []
    axes = {one.record.cell: one.record.axes for one in run.trials}
    methods: dict[str, dict[str, list[float]]] = {}
    for key, seeds in values.items():
        if seeds and key in datasets:
            kept = [str(value) for name, value in axes[key].items() if not name.startswith("data")]
            methods.setdefault(" ".join(kept) or labels[key], {})[datasets[key]] = [*seeds.values()]
    everything = [value for tasks in methods.values() for one in tasks.values() for value in one]
    thresholds = tuple(np.unique(np.round(np.quantile(everything, [0.1, 0.25, 0.5, 0.75, 0.9]), 2)).tolist())
    found = [
        Across(
            method,
            len(tasks),
            interquartile_mean([*tasks.values()]),
            tuple(performance_profile([*tasks.values()], thresholds).tolist()),
            thresholds,
        )
        for method, tasks in methods.items()
    ]
    return sorted(found, key=lambda one: (-one.tasks, -one.iqm.value, one.label))


def _planned(run: results.Run, frame: pd.DataFrame) -> dict[str, tuple[str, list[int]]]:
    """Return {cell: (label, seeds)} of manifest and records; a shared label is followed by the start of the key."""
    planned: dict[str, tuple[str, list[int]]] = {}
    for cell in run.manifest.get("cells", []):
        planned[cell["cell"]] = (cell.get("label", cell["cell"]), list(cell.get("seeds", [])))
    for cell, label, seed in frame[["cell", "label", "seed"]].drop_duplicates(["cell", "seed"]).to_numpy().tolist():
        seeds = planned.setdefault(cell, (label, []))[1]
        if seed not in seeds:
            seeds.append(seed)
    labels = [label for label, _ in planned.values()]
    return {
        key: (label if labels.count(label) == 1 else f"{label} ({key[:6]})", sorted(seeds))
        for key, (label, seeds) in planned.items()
    }


def _scaling(run: results.Run) -> list[ScalingRow]:
    try:
        return rows(starts(one.record for one in run.trials))
    except ValueError:
        return []  # a run with one number of replicas, as most are


def _views(frame: pd.DataFrame, labels: dict[str, str]) -> list[ViewSummary]:
    """Return every view of each cell's weights, cells in the order of `labels`, views in the order of the records."""
    frame = frame[(frame["split"] == results.judged_split(frame)) & (frame["status"] == "ok") & frame["miou"].notna()]
    names = list(dict.fromkeys(frame["view"]))
    if len(names) < 2:
        return []
    rows = {(key, name): frame[(frame["cell"] == key) & (frame["view"] == name)] for key in labels for name in names}
    rows = {place: group for place, group in rows.items() if len(group)}
    # View by view: views of the same weights are no repetitions of each other.
    found = {
        name: intervals({key: _by_seed(group) for (key, view), group in rows.items() if view == name}) for name in names
    }
    return [
        ViewSummary(
            key,
            labels[key],
            name,
            found[name][key],
            float(group["boundary_iou"].mean()),
            float(group["eval_images_per_second"].median()),
        )
        for (key, name), group in rows.items()
    ]


def _by_seed(frame: pd.DataFrame) -> dict[int, float]:
    """Return one value per seed; trials that repeat a seed count as one repetition, so they are averaged."""
    means = frame.groupby("seed")["miou"].mean()
    return dict(zip(means.index.tolist(), means.tolist(), strict=True))


def _cell(
    key: str,
    planned: tuple[str, list[int]],
    miou: dict[int, float],
    interval: Interval,
    rows: pd.DataFrame,
) -> Cell:
    trials = rows.drop_duplicates("trial")
    done = trials[trials["status"] == "ok"]
    rates = tuple(float(rate) for rate in done["images_per_second"].dropna())
    evaluated = _scored(rows, results.judged_split(rows))["eval_images_per_second"].dropna()
    return Cell(
        key=key,
        label=planned[0],
        miou=miou,
        interval=interval,
        planned=len(planned[1]),
        statuses={str(name): int(n) for name, n in trials["status"].value_counts().items()},
        images_per_second=float(np.median(rates)) if rates else float("nan"),
        rates=rates,
        eval_images_per_second=float(evaluated.median()) if len(evaluated) else float("nan"),
        input_share=float(done["input_share"].mean()),
        best_epoch=float("nan") if done["best_epoch"].isna().all() else float(done["best_epoch"].mean()),
        train_s=float(done["train_s"].mean()),
        gradient=(float(done["gradient_scale"].mean()), float(done["gradient_scale_at_margin_3"].mean())),
        clocks={name: float(done[f"{name}_s"].mean()) for name in ("init", "compile", "train", "eval", "io")},
        memory={name: tuple(done[name].dropna().tolist()) for name in ("peak_rss_mb", "peak_gpu_mb")},
        parameters=float(trials["parameters"].max()),
        forward_gflop=float(trials["forward_gflop"].max()),
    )
