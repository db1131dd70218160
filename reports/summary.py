"""What a report states, as numbers: cells in order, their intervals, which of them differ, what is missing."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

import results
from results.aggregates import Estimate, interquartile_mean, performance_profile, probability_best
from results.statistics import Interval, Ranking, difference, intervals, pool, rank, smallest_detectable

ALPHA = 0.05
POWER = 0.8


@dataclass(frozen=True)
class Cell:
    """A setting over its seeds. `miou` maps seed to a fraction; numbers are means over the seeds that ended well.

    `gradient` is the scale of the loss's gradient relative to cross-entropy, before training and at a margin of 3;
    `chance` that of the highest true mIoU; `clocks` seconds by phase; `memory` MiB of each seed by kind of peak.
    """

    key: str
    label: str
    miou: dict[int, float]
    interval: Interval
    planned: int
    statuses: dict[str, int]
    images_per_second: float
    rates: tuple[float, ...]
    input_share: float
    best_epoch: float
    train_s: float
    gradient: tuple[float, float]
    chance: float
    clocks: dict[str, float]
    memory: dict[str, tuple[float, ...]]
    replicas: int | None


@dataclass(frozen=True)
class View:
    """A cell's weights evaluated in one way: validation mIoU and its interval, Boundary IoU, images/s of evaluation."""

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
class Point:
    """Training throughput at a number of replicas; `efficiency` is T(n) / (n T(1)) with its 95 % interval."""

    replicas: int
    images_per_second: float
    efficiency: float
    low: float
    high: float
    input_share: float


@dataclass(frozen=True)
class Scaling:
    """One setting over numbers of replicas, the fewest first, which is what efficiency is relative to."""

    label: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Summary:
    """Cells from best to worst (those that measured nothing last), the ranking on validation mIoU, and the gaps.

    `views` is empty when the weights were evaluated in one way only, `across` when there is one data set only.
    """

    cells: list[Cell]
    ranking: Ranking
    smallest: float
    seeds: int
    missing: list[str]
    incomparable: list[str]
    trials: pd.DataFrame
    test: dict[str, Interval] = field(default_factory=dict)
    views: list[View] = field(default_factory=list)
    across: list[Across] = field(default_factory=list)
    scaling: list[Scaling] = field(default_factory=list)

    @property
    def measured(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.miou]


def summarize(run: results.Run) -> Summary:
    """The summary of a run, from its records; the manifest adds the cells and seeds that left no record."""
    frame = results.trials(run.trials)
    val = frame[(frame["split"] == "val") & (frame["view"] == "default")]
    ok = val[(val["status"] == "ok") & val["miou"].notna()]
    planned = _planned(run, frame)
    values = {key: _by_seed(ok[ok["cell"] == key]) for key in planned}
    ranking = rank(values, ALPHA)
    means = intervals(_lists(values))
    order = [*ranking.order, *sorted((key for key in planned if not values[key]), key=lambda key: planned[key][0])]
    chances = probability_best(means, ranking.pool if ranking.method == "blocked" else pool(_lists(values)))
    by_cell = dict(tuple(frame.groupby("cell")))
    none = frame.iloc[:0]
    cells = [
        _cell(key, planned[key], values[key], means[key], by_cell.get(key, none), chances.get(key, float("nan")))
        for key in order
    ]
    seeds = max((len(found) for found in values.values()), default=0)
    pairs = len(ranking.p)
    smallest = (
        smallest_detectable(ranking.pool.sd, seeds, ranking.pool.df, alpha=ALPHA / max(pairs, 1), power=POWER)
        if ranking.pool
        else float("nan")
    )
    test = frame[(frame["split"] == "test") & (frame["view"] == "default") & (frame["status"] == "ok")]
    test = test[test["miou"].notna()]
    tested = {key: [*_by_seed(test[test["cell"] == key]).values()] for key in order if (test["cell"] == key).any()}
    present = set(zip(frame["cell"], frame["seed"], strict=True))
    missing = [
        f"{label}, seed {seed}"
        for key, (label, wanted) in planned.items()
        for seed in wanted
        if (key, seed) not in present
    ]
    reasons = frame.loc[~frame["throughput_comparable"].fillna(True).astype(bool), "throughput_reason"]
    incomparable = sorted({str(reason) if isinstance(reason, str) else "no reason given" for reason in reasons})
    views = _views(frame, {key: planned[key][0] for key in order})
    across = _across(run, values, {key: planned[key][0] for key in order})
    return Summary(
        cells, ranking, smallest, seeds, missing, incomparable, frame, intervals(tested), views, across, _scaling(run)
    )


def _lists(values: dict[str, dict[int, float]]) -> dict[str, list[float]]:
    return {key: [*seeds.values()] for key, seeds in values.items()}


def _across(run: results.Run, values: dict[str, dict[int, float]], labels: dict[str, str]) -> list[Across]:
    """Methods over the data sets they all met, best first: a method is what remains of a cell without its data set."""
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
    """{cell: (label, seeds)} of the manifest and of the records together; labels that two cells share get the hash."""
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


# Axes of a grid that say on how many devices a cell runs.
_WIDTHS = ("replicas", "gpus", "cpu_replicas", "placement.gpus", "placement.cpu_replicas", "train.batch_size")


def _scaling(run: results.Run) -> list[Scaling]:
    """Settings that ran on several numbers of replicas; trials whose throughput is not comparable are left out."""
    found: dict[str, dict[int, list[tuple[float, float]]]] = {}
    for record in (one.record for one in run.trials if one.record.status == "ok"):
        speed = record.throughput
        if speed and speed.comparable and speed.images_per_second and speed.replicas:
            label = " ".join(str(value) for name, value in record.axes.items() if name not in _WIDTHS) or "all cells"
            share = float("nan") if speed.input_share is None else speed.input_share
            found.setdefault(label, {}).setdefault(speed.replicas, []).append((speed.images_per_second, share))
    return [
        Scaling(label, tuple(_points(dict(sorted(rates.items()))))) for label, rates in found.items() if len(rates) > 1
    ]


def _points(rates: dict[int, list[tuple[float, float]]]) -> list[Point]:
    logs = {n: np.log([rate for rate, _ in pairs]) for n, pairs in rates.items()}
    shared = pool({str(n): values for n, values in logs.items()})
    first = next(iter(rates))
    points = []
    for n, pairs in rates.items():
        change = difference(logs[first], logs[n], shared)
        ideal = n / first
        low, high = (1.0, 1.0) if n == first else (float(np.exp(end)) / ideal for end in (change.low, change.high))
        rate = float(np.median([rate for rate, _ in pairs]))
        share = float(np.mean([share for _, share in pairs]))
        points.append(Point(n, rate, float(np.exp(change.estimate)) / ideal, low, high, share))
    return points


def _views(frame: pd.DataFrame, labels: dict[str, str]) -> list[View]:
    """Every way in which each cell's weights were evaluated, cells in the order of `labels`, views as they came."""
    frame = frame[(frame["split"] == "val") & (frame["status"] == "ok") & frame["miou"].notna()]
    names = list(dict.fromkeys(frame["view"]))
    if len(names) < 2:
        return []
    rows = {(key, name): frame[(frame["cell"] == key) & (frame["view"] == name)] for key in labels for name in names}
    rows = {place: group for place, group in rows.items() if len(group)}
    found = intervals({f"{key} {name}": [*_by_seed(group).values()] for (key, name), group in rows.items()})
    return [
        View(
            key,
            labels[key],
            name,
            found[f"{key} {name}"],
            float(group["boundary_iou"].mean()),
            float(group["eval_images_per_second"].median()),
        )
        for (key, name), group in rows.items()
    ]


def _by_seed(frame: pd.DataFrame) -> dict[int, float]:
    """One value a seed; trials that repeat a seed are one repetition, so they are averaged."""
    means = frame.groupby("seed")["miou"].mean()
    return dict(zip(means.index.tolist(), means.tolist(), strict=True))


def _cell(
    key: str,
    planned: tuple[str, list[int]],
    miou: dict[int, float],
    interval: Interval,
    rows: pd.DataFrame,
    chance: float,
) -> Cell:
    trials = rows.drop_duplicates("trial")
    done = trials[trials["status"] == "ok"]
    rates = tuple(float(rate) for rate in done["images_per_second"].dropna())
    replicas = done["replicas"].dropna()
    return Cell(
        key=key,
        label=planned[0],
        miou=miou,
        interval=interval,
        planned=len(planned[1]),
        statuses={str(name): int(n) for name, n in trials["status"].value_counts().items()},
        images_per_second=float(np.median(rates)) if rates else float("nan"),
        rates=rates,
        input_share=float(done["input_share"].mean()),
        best_epoch=float("nan") if done["best_epoch"].isna().all() else float(done["best_epoch"].mean()),
        train_s=float(done["train_s"].mean()),
        gradient=(float(done["gradient_scale"].mean()), float(done["gradient_scale_at_margin_3"].mean())),
        chance=chance,
        clocks={name: float(done[f"{name}_s"].mean()) for name in ("init", "compile", "train", "eval", "io")},
        memory={name: tuple(done[name].dropna().tolist()) for name in ("peak_rss_mb", "peak_gpu_mb")},
        replicas=int(replicas.iloc[0]) if len(set(replicas)) == 1 else None,
    )
