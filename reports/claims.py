"""The claims of a study, as numbers: questions that differences of means answer, with their intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from scipy import stats

import results
from results.statistics import Difference, between, holm, rank

LEVEL = 0.95
RARE = "rare_iou"
METRICS = {"miou": "mIoU", "boundary_iou": "boundary IoU", RARE: "IoU of the rare classes"}


@dataclass(frozen=True)
class Claim:
    """A question that a part of the study answers by a difference of means, `second` minus `first`.

    It compares either two cells or two views.

    Attributes:
        ask: the question, in words.
        part: the part of the study.
        first, second: labels of two cells.
        views: two views of the same weights.
        cells: labels of the cells over which the views are compared; default: all cells of the part that have both.
        metric: one of METRICS.

    Raises:
        ValueError: neither two cells nor two views, or both.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}  # read from YAML by bench.study

    ask: str
    part: str
    first: str = ""
    second: str = ""
    views: tuple[str, str] | None = None
    cells: tuple[str, ...] = ()
    metric: Literal["miou", "boundary_iou", "rare_iou"] = "miou"

    def __post_init__(self) -> None:
        if bool(self.views) == bool(self.first or self.second) or bool(self.first) != bool(self.second):
            raise ValueError(f"claim {self.ask!r}: name either first and second or views")
        if self.cells and not self.views:
            raise ValueError(f"claim {self.ask!r}: cells can be given only with views")


@dataclass(frozen=True)
class Answer:
    """The answer to a claim: `found` in fractions, its Holm-adjusted p-value `p`, and the least `seeds` of a cell."""

    claim: Claim
    found: Difference
    p: float
    seeds: int


def answers(
    runs: Mapping[str, results.Run], claims: Sequence[Claim], rare: Mapping[str, Sequence[str]]
) -> list[Answer]:
    """Answer the claims whose part was run, each with its interval; Holm's correction covers these claims.

    Args:
        runs: {part: run}.
        claims: the claims, in the order of the page.
        rare: {part: its rare classes}, for the parts that have some.
    """
    asked = [claim for claim in claims if claim.part in runs]
    found = [_answer(runs[claim.part], claim, rare.get(claim.part, ())) for claim in asked]
    adjusted = holm([one.p for one, _ in found])
    return [Answer(claim, one, float(p), n) for claim, (one, n), p in zip(asked, found, adjusted, strict=True)]


def _answer(run: results.Run, claim: Claim, rare: Sequence[str]) -> tuple[Difference, int]:
    if claim.views:
        first, second = (
            {label: of_seed for label, of_seed in values(run, claim.metric, view, rare).items()
             if label in (claim.cells or (label,))}
            for view in claim.views
        )  # fmt: skip
        lacking = set(claim.cells) - (set(first) & set(second))
        changes = [] if lacking else _changes(first, second)
        return _of_changes(changes), len(changes)
    cells = values(run, claim.metric, rare=rare)
    samples = {claim.first: [], claim.second: [], **lists(cells)}
    seeds = min(len(samples[claim.first]), len(samples[claim.second]))
    return between(samples, claim.first, claim.second, rank(cells).pool, LEVEL), seeds


def between_views(
    first: Mapping[str, Mapping[int, float]], second: Mapping[str, Mapping[int, float]], level: float = LEVEL
) -> Difference:
    """Return the mean change over cells from one view to another of the same weights, by a paired t-test.

    The units are the seeds, each with the mean of its changes over the cells. The cells of a seed share the order of
    data and the augmentation, so their changes are no independent repetitions. Only seeds that all cells have count.
    """
    return _of_changes(_changes(first, second), level)


def _changes(first: Mapping[str, Mapping[int, float]], second: Mapping[str, Mapping[int, float]]) -> list[float]:
    """Return, per seed that all cells of both views have, the mean change over the cells."""
    cells = [(seeds, second[label]) for label, seeds in first.items() if label in second]
    shared = set.intersection(*(set(a) & set(b) for a, b in cells)) if cells else set()
    return [float(np.mean([b[seed] - a[seed] for a, b in cells])) for seed in sorted(shared)]


def _of_changes(changes: Sequence[float], level: float = LEVEL) -> Difference:
    """Return the mean change of the seeds with the interval and p-value of the one-sample t-test."""
    nan, n = float("nan"), len(changes)
    estimate = float(np.mean(changes)) if n else nan
    if n < 2 or np.ptp(changes) == 0:
        return Difference(estimate, nan, nan, nan, nan, "none")
    error = float(np.std(changes, ddof=1)) / math.sqrt(n)
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * error
    p = float(2 * stats.t.sf(abs(estimate) / error, n - 1))
    return Difference(estimate, estimate - half, estimate + half, p, n - 1, "paired")


def values(
    run: results.Run, metric: str, view: str = "default", rare: Sequence[str] = ()
) -> dict[str, dict[int, float]]:
    """Return {label: {seed: value}} on the validation split, of the trials that ended well.

    Args:
        metric: a column of the table, or RARE: the mean IoU of the classes named in `rare`.

    Raises:
        ValueError: the run has no class of a name in `rare`.
    """
    frame = _rare_iou(run, rare) if metric == RARE else results.trials(ended_well(run))
    return by_seed(frame[frame["view"] == view], metric)


def ended_well(run: results.Run) -> list[results.Stored]:
    """Return the trials of a run that ended well."""
    return [one for one in run.trials if one.record.status == "ok"]


def by_seed(frame: pd.DataFrame, metric: str) -> dict[str, dict[int, float]]:
    """Return {label: {seed: value}} of the rows of the validation split that have a value of the metric."""
    frame = frame[(frame["split"] == "val") & frame[metric].notna()]
    found: dict[str, dict[int, float]] = {}
    for label, seed, value in frame[["label", "seed", metric]].to_numpy().tolist():
        found.setdefault(label, {})[int(seed)] = float(value)
    return found


def _rare_iou(run: results.Run, rare: Sequence[str]) -> pd.DataFrame:
    frame = results.classes(ended_well(run))
    if len(frame) and (strange := set(rare) - set(frame["class_name"])):
        raise ValueError(f"{run.folder}: no class {sorted(strange)[0]!r} to be called rare")
    frame = frame[frame["class_name"].isin(rare)]
    keys = ["label", "seed", "view", "split"]
    return frame.groupby(keys, as_index=False)["iou"].mean().rename(columns={"iou": RARE})  # type: ignore[call-overload]


def lists(cells: Mapping[str, Mapping[int, float]]) -> dict[str, list[float]]:
    """Return {label: values of the seeds}."""
    return {label: [*seeds.values()] for label, seeds in cells.items()}
