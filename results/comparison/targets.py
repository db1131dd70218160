"""Rows on the time to a target of cells in which some seeds did not reach it. Leaving those out flatters a side."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from results.comparison.comparability import why_not_comparable
from results.comparison.margins import Margins
from results.comparison.types import TARGETS, Aligned, ComparisonRow
from results.statistics.multiplicity import holm
from results.statistics.time_to_target import median_time, slower
from results.targets import target_of, times_to_target


def is_censored(pair: Aligned, metric: str) -> bool:
    """Return whether a metric is a time to a target that some seed of a cell did not reach, and could be compared."""
    if metric not in TARGETS or why_not_comparable(pair, metric):
        return False
    sides = _sides(pair, metric)
    return all(sides) and not all(time.reached for side in sides for time in side)


def censored_rows(found: Sequence[tuple[Aligned, str]], margins: Margins) -> list[ComparisonRow]:
    """Judge pairs of a cell and a metric for which `is_censored` holds, by `results.statistics.slower`.

    The p-values of being worse are Holm-adjusted among these rows, and so are those of being better.
    """
    worse = holm([slower(*_sides(pair, metric)) for pair, metric in found]).tolist()
    better = holm([slower(*reversed(_sides(pair, metric))) for pair, metric in found]).tolist()
    return [
        replace(
            _row(pair, metric, margins.metrics[metric].gate),
            verdict="regressed" if p <= margins.alpha else "improved" if q <= margins.alpha else "inconclusive",
            p=p,
        )
        for (pair, metric), p, q in zip(found, worse, better, strict=True)
    ]


def _sides(pair: Aligned, metric: str) -> list[Any]:
    kind: Any = metric.removeprefix("target_")
    return [times_to_target(records, kind) for records in pair.records]


def _row(pair: Aligned, metric: str, gate: bool) -> ComparisonRow:
    sides = _sides(pair, metric)
    name, value = target_of(pair.records[0]) or ("", math.nan)
    reached = [
        f"{which} {sum(time.reached for time in side)} of {len(side)}"
        for which, side in zip(("base", "head"), sides, strict=True)
    ]
    base, head = (median if math.isfinite(median := median_time(side).median) else math.nan for side in sides)
    return ComparisonRow(
        pair.cell, pair.label, "default", metric, "inconclusive",
        f"not all seeds reached {name} {value:g}: {', '.join(reached)}", base, head,
        seeds=(len(sides[0]), len(sides[1])), gate=gate, scale="ratio", method="gehan",
    )  # fmt: skip
