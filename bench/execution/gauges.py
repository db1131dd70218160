"""Numbers of a run for Ray's own exporter of Prometheus metrics, on clusters that a run joins.

They are of the run as a whole: a series per trial would stay with the exporter after the trial, for each of thousands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from bench.execution.standing import Standing

EVERY = 5.0
"""Shortest time between two values, in seconds; Ray sends them on every 10 s."""
_STATES = ("waiting", "running", "done", "failed")


class Gauges:
    """Shows where a run stands.

    Args:
        run: name of the run, the value of the tag `run`.
        finished: number of trials that were complete before this session.
        gauge: makes a gauge of a name and a description, with `tag_keys`; its `set` takes a value and tags.
    """

    def __init__(self, run: str, finished: int, gauge: Callable[..., Any]) -> None:
        self._run, self._finished, self._shown = run, finished, float("-inf")
        self._trials = gauge("segbench_trials", "Trials of a run by state.", tag_keys=("run", "state"))
        self._one = {
            "images": gauge("segbench_images_per_second", "Of all trials that train now.", tag_keys=("run",)),
            "miou": gauge("segbench_best_validation_miou", "Highest of a trial so far, 0 to 1.", tag_keys=("run",)),
            "left": gauge("segbench_seconds_left", "Typical; absent before a trial is complete.", tag_keys=("run",)),
        }

    def show(self, standing: Standing, at_once: bool = False) -> None:
        """Set the gauges, unless that was done a moment ago.

        Args:
            standing: of the trials.
            at_once: however short ago it was.
        """
        if not at_once and time.monotonic() - self._shown < EVERY:
            return
        self._shown = time.monotonic()
        for state in _STATES:
            count = standing.count(state) + self._finished * (state == "done")
            self._trials.set(count, {"run": self._run, "state": state})
        for name, value in _numbers(standing).items():
            self._one[name].set(value, {"run": self._run})


def _numbers(standing: Standing) -> Mapping[str, float]:
    """Return the numbers that are known."""
    scores = [row.miou for row in standing.rows.values() if row.miou is not None]
    left = standing.time_left()
    return {
        "images": sum(row.rate or 0.0 for row in standing.running.values()),
        **({"miou": max(scores)} if scores else {}),
        **({"left": left.typical} if left else {}),
    }
