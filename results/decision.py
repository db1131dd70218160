"""What a run has to decide: the plan that its manifest holds, and where the plan stands by the run's records."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from results.record import Record
from results.statistics.sequential import Look, Plan, Scores, look

KEY = "until"
"""The key of a plan in `run.json`."""


@dataclass(frozen=True)
class Decision:
    """A plan with its cells, fixed before the first trial.

    Attributes:
        plan: the question, the looks, the chance of error, the budget.
        cells: {key: label}, in the order of the plan.
        against: name of the release that `base` comes from; empty if the question is not that of a release.
        base: {cell: {seed: mIoU}} of the release, a fraction.
    """

    plan: Plan
    cells: Mapping[str, str]
    against: str = ""
    base: Mapping[str, Mapping[int, float]] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return the part of the manifest that keeps it."""
        plan = self.plan
        kept = {
            "question": plan.question, "metric": "miou", "margin": plan.margin, "seeds": [plan.first, plan.last],
            "alpha": plan.alpha, "budget": plan.budget, "hours": plan.hours, "cells": dict(self.cells),
            "against": self.against,
            "base": {cell: {str(seed): value for seed, value in of.items()} for cell, of in self.base.items()},
        }  # fmt: skip
        return {KEY: kept}

    def look(self, records: Iterable[Record], given_up: Collection[str] | None = None) -> Look:
        """Return where the plan stands.

        Args:
            records: of the run, in any order.
            given_up: names of the trials whose failure counts; any other failed trial is to be run again. None if all
                failures count. A trial that was interrupted is always to be run again.
        """
        scores: dict[str, dict[int, float | None]] = {cell: {} for cell in self.cells}
        hours: dict[tuple[str, int], float] = {}
        for record in records:
            if record.cell not in scores or record.status == "interrupted":
                continue
            score = validation_miou(record)
            if score is None and given_up is not None and record.trial not in given_up:
                continue
            scores[record.cell][record.seed] = self._judged(record.cell, record.seed, score)
            devices = max(1, int(record.spec.get("placement", {}).get("gpus") or 0))
            hours[record.cell, record.seed] = (record.clocks.total_s or 0.0) / 3600 * devices
        judged: Scores = scores
        return look(self.plan, judged, hours)

    def _judged(self, cell: str, seed: int, score: float | None) -> float | None:
        """Return what the plan judges: the score, or its change from that of the release."""
        if not self.against or score is None:
            return score
        base = self.base[cell].get(seed)
        return None if base is None else score - base


def validation_miou(record: Record) -> float | None:
    """Return the mIoU of a trial's weights on the validation split; None for a trial that did not end well."""
    if record.status != "ok":
        return None
    return next((one.miou for one in record.views if (one.view, one.split) == ("default", "val")), None)


def decision_of(manifest: Mapping[str, Any]) -> Decision | None:
    """Return what a run has to decide; None for a run with a fixed number of seeds.

    Raises:
        ValueError: the manifest holds no valid plan; one line.
    """
    kept = manifest.get(KEY)
    if not kept:
        return None
    try:
        first, last = map(int, kept["seeds"])
        plan = Plan(
            kept["question"], float(kept["margin"]), first, last, float(kept["alpha"]), kept["budget"], kept["hours"]
        )
        base = {str(cell): {int(seed): float(value) for seed, value in of.items()} for cell, of in kept["base"].items()}
        return Decision(plan, dict(kept["cells"]), str(kept["against"]), base)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"run.json: {KEY}: not the plan of a run: {error!r}") from None
