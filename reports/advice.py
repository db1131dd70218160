"""What to do after a run: how far its budget carries, which of the equals to take, and which view of one cell."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

import results
from reports.claims import between_views
from reports.summary import ALPHA, Cell, Summary
from results.statistics import Difference, beside_zero, from_best, holm, rising

FASTER = 1.1
"""Least factor by which a cell has to train faster to be recommended for it."""


@dataclass(frozen=True)
class Budget:
    """The training of the cells of a summary: its steps, and whose curves still rise at its end.

    Attributes:
        steps, epochs: the different numbers of steps and of epochs, from few to many.
        judged: number of cells with a curve of at least two epochs.
        rising, settled: labels of these cells, best first: those whose curves still rise, and the others.
    """

    steps: tuple[int, ...]
    epochs: tuple[int, ...]
    judged: int
    rising: tuple[str, ...]
    settled: tuple[str, ...]


def budget(run: results.Run, summary: Summary) -> Budget | None:
    """Return the budget of the cells that were measured; None if no record has a history."""
    cells = {cell.key: cell.label for cell in summary.measured}
    histories: dict[str, list[list[results.Epoch]]] = {}
    for record in (one.record for one in run.trials):
        if record.status == "ok" and record.history and record.cell in cells:
            histories.setdefault(record.cell, []).append(record.history)
    if not histories:
        return None
    trained = [history for of_cell in histories.values() for history in of_cell]
    curves = {key: [curve for history in histories.get(key, []) if len(curve := _curve(history)) > 1] for key in cells}
    curves = {key: of_cell for key, of_cell in curves.items() if of_cell}
    higher = rising(curves, ALPHA)
    return Budget(
        tuple(sorted({history[-1].step for history in trained})),
        tuple(sorted({len(history) for history in trained})),
        len(curves),
        tuple(cells[key] for key in higher),
        tuple(cells[key] for key in curves if key not in higher),
    )


def _curve(history: list[results.Epoch]) -> list[float]:
    return [epoch.val.miou for epoch in history if epoch.val.miou is not None]


@dataclass(frozen=True)
class Constant:
    """The same class predicted in every pixel of the split that judges a run.

    Attributes:
        class_name: the class with the most pixels there.
        miou: of that prediction, a fraction.
        not_above: labels of the cells whose mean mIoU is no higher, best first.
    """

    class_name: str
    miou: float
    not_above: tuple[str, ...]


def constant(run: results.Run, summary: Summary) -> Constant | None:
    """Return the best constant prediction; None if no record has a confusion matrix of the split that judges.

    The most frequent class has its share of the pixels as IoU; every other class that occurs has 0.
    """
    measured = {cell.key for cell in summary.measured}
    found = next(
        (
            (np.array(view.confusion, float).sum(axis=1), one.record.dataset.class_names)
            for one in run.trials
            if one.record.status == "ok" and one.record.cell in measured and one.record.dataset
            for view in one.record.views
            if (view.view, view.split) == ("default", summary.split) and np.any(view.confusion)
        ),
        None,
    )
    if found is None:
        return None
    pixels, names = found
    miou = float(pixels.max() / pixels.sum() / np.count_nonzero(pixels))
    low = tuple(cell.label for cell in summary.measured if cell.interval.mean <= miou + 1e-6)
    return Constant(names[int(pixels.argmax())], miou, low)


@dataclass(frozen=True)
class Choice:
    """A cell that is indistinguishable from the best one and trains faster.

    Attributes:
        cell: the cell.
        factor: how many times faster it trains.
        behind: mIoU of the best cell less its own, a fraction.
        most: the upper end of the interval of that difference, which holds for all cells together.
    """

    cell: Cell
    factor: float
    behind: float
    most: float


def choice(summary: Summary) -> Choice | None:
    """Return the fastest of the cells that equal the best one, if it trains clearly faster than that.

    Clearly: FASTER times or more in the median, and each of its seeds faster than each of the best cell. None if there
    is no such cell, if speeds cannot be compared, if the noise is unknown, or if the number of seeds is not fixed.
    """
    cells = summary.measured
    if summary.look or len(cells) < 2 or not cells[0].rates or (summary.incomparable and not summary.timed):
        return None
    best = cells[0]
    distances = from_best({cell.key: cell.miou for cell in cells}, summary.ranking)
    faster = [
        cell
        for cell in cells[1:]
        if cell.rates
        and summary.ranking.indistinguishable(best.key, cell.key)
        and not math.isnan(distances[cell.key].low)
        and min(cell.rates) > max(best.rates)
        and cell.images_per_second >= FASTER * best.images_per_second
    ]
    if not faster:
        return None
    taken = max(faster, key=lambda cell: cell.images_per_second)
    found = distances[taken.key]
    return Choice(taken, taken.images_per_second / best.images_per_second, -found.estimate, -found.low)


@dataclass(frozen=True)
class JudgedView:
    """A view of the only cell against `default`, the same weights as trained.

    Attributes:
        name: of the view.
        gain: mIoU of the view less that of `default`, a fraction; its interval holds for all views together.
        better: True or False if the two are told apart, by Holm's test over the views; None if not.
        pace: evaluation speed as a multiple of that of `default`; NaN if unknown.
    """

    name: str
    gain: Difference
    better: bool | None
    pace: float


def judged_views(summary: Summary) -> list[JudgedView]:
    """Judge the views of a run with one cell, by paired t-tests over its seeds; empty for other runs.

    Views whose scores equal those of `default` in every seed are left out: they are the same labels.
    """
    if len(summary.measured) != 1 or len(summary.views) < 2:
        return []
    cell = summary.measured[0]
    scores = {view.name: _by_seed(summary.trials, view.name) for view in summary.views}
    base = scores.pop("default", {})
    others = {name: found for name, found in scores.items() if any(found[s] != base.get(s) for s in found)}
    if not base or not others:
        return []
    level = 1 - ALPHA / len(others)
    gains = {name: between_views({cell.key: base}, {cell.key: found}, level) for name, found in others.items()}
    adjusted = dict(zip(gains, holm([one.p for one in gains.values()]).tolist(), strict=True))
    speeds = {view.name: view.images_per_second for view in summary.views}
    known = not summary.incomparable or summary.timed
    apart = {name: adjusted[name] <= ALPHA for name in gains}
    return [
        JudgedView(
            name,
            beside_zero(gain) if apart[name] else gain,
            gain.estimate > 0 if apart[name] else None,
            speeds[name] / speeds["default"] if known else math.nan,
        )
        for name, gain in gains.items()
    ]


def _by_seed(frame: pd.DataFrame, view: str) -> Mapping[int, float]:
    rows = frame[
        (frame["view"] == view)
        & (frame["split"] == results.judged_split(frame))
        & (frame["status"] == "ok")
        & frame["miou"].notna()
    ]
    means = rows.groupby("seed")["miou"].mean()
    return dict(zip(means.index.tolist(), means.tolist(), strict=True))
