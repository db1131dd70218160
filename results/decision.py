"""What a run has to decide: the plan that its manifest holds, and where the plan stands by the run's records."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from results.record import Record
from results.statistics.sequential import Look, Plan, Scores, look

KEYS = {"miou": "until", "images_per_second": "until_speed"}
"""The key of a plan in `run.json` by its metric."""


@dataclass(frozen=True)
class Decision:
    """A plan with its cells, fixed before the first trial.

    Attributes:
        plan: the question, the looks, the chance of error, the budget.
        cells: {key: label}, in the order of the plan.
        against: name of the release that `base` comes from; empty if the question is not that of a release.
        base: {cell: {seed: score}} of the release; None for a trial without one. In a comparison in turns, of the
            trials so far.
        metric: "miou", a fraction, or "images_per_second", as its logarithm.
    """

    plan: Plan
    cells: Mapping[str, str]
    against: str = ""
    base: Scores = field(default_factory=dict)
    metric: str = "miou"

    def plain(self) -> dict[str, Any]:
        """Return the part of the manifest that keeps it."""
        plan = self.plan
        kept = {
            "question": plan.question, "metric": self.metric, "margin": plan.margin, "seeds": [plan.first, plan.last],
            "alpha": plan.alpha, "budget": plan.budget, "hours": plan.hours, "metrics": plan.metrics,
            "cells": dict(self.cells), "against": self.against,
            "base": {cell: {str(seed): value for seed, value in of.items()} for cell, of in self.base.items()},
        }  # fmt: skip
        return {KEYS[self.metric]: kept}

    def look(self, records: Iterable[Record], given_up: Collection[str] | None = None) -> Look:
        """Return where the plan stands.

        Args:
            records: of the run, in any order.
            given_up: see `scores`.
        """
        found = [*records]
        hours = {
            (one.cell, one.seed): (one.clocks.total_s or 0.0) / 3600
            * max(1, int(one.spec.get("placement", {}).get("gpus") or 0))
            for one in found
        }  # fmt: skip
        return self.of_scores(self.scores(found, given_up), hours)

    def of_scores(self, scores: Scores, hours: Mapping[tuple[str, int], float] | None = None) -> Look:
        """Return where the plan stands by the scores of its cells; device-hours are those of each trial."""
        return look(self.plan, self._judged(scores), hours)

    def scores(
        self, records: Iterable[Record], given_up: Collection[str] | None = None
    ) -> dict[str, dict[int, float | None]]:
        """Return the scores of the plan's cells, None for a trial that ended without one.

        Args:
            records: in any order.
            given_up: names of the trials whose failure counts; any other failed trial is to be run again. None if all
                failures count. A trial that was interrupted is always to be run again.
        """
        found: dict[str, dict[int, float | None]] = {cell: {} for cell in self.cells}
        for record in records:
            if record.cell not in found or record.status == "interrupted":
                continue
            value = score(record, self.metric)
            again = record.status != "ok" and given_up is not None and record.trial not in given_up
            if value is not None or not (again or record.seed in found[record.cell]):
                found[record.cell][record.seed] = value
        return found

    def _judged(self, scores: Scores) -> Scores:
        """Return what the plan judges: the scores, or their changes from those of the release, of the seeds it has."""
        if not self.against:
            return scores
        return {
            cell: {
                seed: None if value is None or (before := self.base[cell][seed]) is None else value - before
                for seed, value in of.items()
                if seed in self.base.get(cell, {})
            }
            for cell, of in scores.items()
        }


def score(record: Record, metric: str) -> float | None:
    """Return what a plan judges of a trial; None for a trial that did not end well, or without a comparable speed."""
    if metric == "miou":
        return validation_miou(record)
    speed = record.throughput
    if record.status != "ok" or speed is None or not speed.comparable or not speed.images_per_second:
        return None
    return math.log(speed.images_per_second)


def validation_miou(record: Record) -> float | None:
    """Return the mIoU of a trial's weights on the validation split; None for a trial that did not end well."""
    if record.status != "ok":
        return None
    return next((one.miou for one in record.views if (one.view, one.split) == ("default", "val")), None)


def decision_of(manifest: Mapping[str, Any], metric: str = "miou") -> Decision | None:
    """Return what a run has to decide about a metric; None for a run with a fixed number of seeds.

    Raises:
        ValueError: the manifest holds no valid plan; one line.
    """
    kept = manifest.get(KEYS[metric])
    if not kept:
        return None
    try:
        first, last = map(int, kept["seeds"])
        plan = Plan(
            kept["question"], float(kept["margin"]), first, last, float(kept["alpha"]), kept["budget"], kept["hours"],
            int(kept.get("metrics", 1)),
        )  # fmt: skip
        base = {
            str(cell): {int(seed): None if value is None else float(value) for seed, value in of.items()}
            for cell, of in kept["base"].items()
        }
        return Decision(plan, dict(kept["cells"]), str(kept["against"]), base, metric)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"run.json: {KEYS[metric]}: not the plan of a run: {error!r}") from None
