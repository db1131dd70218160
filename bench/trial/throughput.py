"""Images per second in the steady state, and the share of a step that waits for input."""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bench.spec import TrialSpec
from bench.trial.clocks import PhaseTimer
from bench.trial.setup import Prepared
from bench.trial.strategy import distribute

DRIFT = 0.05
"""Relative difference between the two halves of the windows above which they may drift."""
ONE_WAY = 0.1
"""Significance level of the test for a monotonic trend of the rates."""


def steady_windows(rates: list[float]) -> list[float]:
    """Return the windows of the steady state, without warm-up windows, by MSER (White 1997, Simulation 69(6)).

    The first d windows are dropped, at most half. d minimises the squared standard error of the mean of the rest,
    s^2(d) / (n - d). If the rest still drifts, there is no steady state, and the list is empty. It drifts if its halves
    differ by more than 5 % and the rates have a trend (Kendall's tau, Mann 1945, p below 10 %). The difference alone is
    not enough: if windows vary by 8 %, the halves of nine windows differ by more than 5 % in over a quarter of cases.

    Args:
        rates: images/s of consecutive windows.
    """
    values = np.asarray(rates, float)
    if len(values) < 2:
        return []
    errors = [values[cut:].var() / (len(values) - cut) for cut in range(len(values) // 2 + 1)]
    kept = values[int(np.argmin(errors)) :]
    early, late = kept[: len(kept) // 2].mean(), kept[len(kept) // 2 :].mean()
    apart = abs(late - early) > DRIFT * max(early, late)
    return [] if apart and _one_way(kept) else kept.tolist()


def _one_way(rates: np.ndarray) -> bool:
    """Return whether rates have a monotonic trend; always true for fewer than four."""
    from scipy import stats  # imported here, because most trials do not need it, and it takes most of a second

    # With three windows no order is rare enough to be significant.
    return len(rates) < 4 or float(stats.kendalltau(np.arange(len(rates)), rates).pvalue) < ONE_WAY


def steps_per_second(model: keras.Model, dataset: tf.distribute.DistributedDataset, steps: int, at_once: int) -> float:
    """Measure training steps per second, by another `fit` of the compiled model, which changes its weights.

    Args:
        model: compiled.
        dataset: enough global batches for `steps` steps and a first execution that is not timed.
        steps: number of steps to time, rounded up to a multiple of `at_once`.
        at_once: steps per execution.
    """
    executions = -(-steps // at_once)
    times: list[float] = []

    class Stopwatch(keras.callbacks.Callback):
        _supports_tf_logs = True
        done = 0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.done in (0, executions):
                float(np.asarray(logs["loss"]))
                times.append(time.perf_counter())
            self.done += 1

    model.fit(dataset, steps_per_epoch=(executions + 1) * at_once, epochs=1, callbacks=[Stopwatch()], verbose=0)
    first, last = times
    return executions * at_once / (last - first)


def resident_rate(prepared: Prepared, timer: PhaseTimer, shared: bool) -> float | None:
    """Measure images/s of the training step on one batch held in memory, which has no cost of input.

    This changes the weights of the model. Returns None if other trials share the cores, or if the training is shorter
    than four windows.
    """
    spec = prepared.spec
    if shared or spec.train.epochs * spec.train.steps_per_epoch < 4 * spec.eval.window_steps:
        return None
    with timer.part("resident"):
        batch = distribute(prepared.batches(1).cache().repeat(), prepared.strategy)
        steps = steps_per_second(prepared.training_model, batch, spec.eval.window_steps, spec.train.steps_per_execution)
    return spec.train.batch_size * steps


def throughput(spec: TrialSpec, windows: list[float], resident: float | None, shared: bool) -> dict[str, Any]:
    """Return the record's throughput: median of the steady windows, and the share of a step that waits for input.

    Args:
        windows: images/s of each window of the training, in order.
        resident: images/s of the same step on one batch kept in memory; None if not measured.
        shared: whether other trials ran on the same cores.
    """
    steady = steady_windows(windows)
    rate = float(np.median(steady)) if steady else None
    reason = None
    if spec.train.eager:
        reason = "steps were not compiled (train.eager)"
    elif shared:
        reason = "trials ran side by side on the same cores"
    elif not steady:
        reason = f"the rate had not settled after {len(windows)} windows of {spec.eval.window_steps} steps"
    elif len(steady) < 3:
        reason = f"only {len(steady)} steady windows of {spec.eval.window_steps} steps"
    return {
        "images_per_second": rate,
        "windows": windows,
        "window_steps": spec.eval.window_steps,
        "batch_size": spec.train.batch_size,
        "replicas": spec.placement.replicas,
        "input_share": max(0.0, 1 - rate / resident) if rate and resident else None,
        "comparable": reason is None,
        "reason": reason,
    }
