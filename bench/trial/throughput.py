"""Images per second in the steady state, and the share of a step that waits for input."""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import results
from bench.spec import TrialSpec
from bench.trial import disturbances
from bench.trial.clocks import PhaseTimer
from bench.trial.machine_reference import VERSION, reference
from bench.trial.monitor import TrainingHistory
from bench.trial.setup import Prepared
from bench.trial.strategy import distribute

DRIFT = 0.05
"""Relative difference between the two halves of the windows above which they may drift."""
ONE_WAY = 0.1
"""Significance level of the test for a monotonic trend of the rates."""
FEWEST = 3
"""Number of windows without which a median says nothing."""


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
    if len(kept) < 2:  # one window has no halves
        return kept.tolist()
    early, late = kept[: len(kept) // 2].mean(), kept[len(kept) // 2 :].mean()
    apart = abs(late - early) > DRIFT * max(early, late)
    return [] if apart and _one_way(kept) else kept.tolist()


def _one_way(rates: np.ndarray) -> bool:
    """Return whether rates have a monotonic trend; always true for fewer than four."""
    from scipy import stats  # imported here, because most trials do not need it, and it takes most of a second

    # With three windows no order is rare enough to be significant.
    return len(rates) < 4 or float(stats.kendalltau(np.arange(len(rates)), rates).pvalue) < ONE_WAY


def steps_per_second(
    model: keras.Model, dataset: tf.distribute.DistributedDataset | tf.data.Dataset, steps: int, at_once: int
) -> float:
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


def is_timed(spec: TrialSpec, shared: bool) -> bool:
    """Return whether the speed of a trial can be worth a measurement of its own.

    It is not if trials share the cores, if steps are not compiled, or if the training is shorter than four windows.
    """
    long_enough = spec.train.epochs * spec.train.steps_per_epoch >= 4 * spec.eval.window_steps
    return long_enough and not shared and not spec.train.eager


def measure_reference(spec: TrialSpec, timer: PhaseTimer, shared: bool) -> list[dict[str, float]]:
    """Return one measurement of the reference on the devices of the trial, or an empty list if it is not timed."""
    if not is_timed(spec, shared):
        return []
    with timer.part("reference"):
        return [reference(spec.placement)]


def resident_rate(prepared: Prepared, timer: PhaseTimer, shared: bool) -> float | None:
    """Measure images/s of the training step on one batch held in memory, which has no cost of input.

    This changes the weights of the model. Returns None if the trial is not timed.
    """
    spec = prepared.spec
    if not is_timed(spec, shared):
        return None
    with timer.part("resident"):
        batch = distribute(prepared.batches(1).cache().repeat(), prepared.strategy)
        steps = steps_per_second(prepared.training_model, batch, spec.eval.window_steps, spec.train.steps_per_execution)
    return spec.train.batch_size * steps


def throughput(
    spec: TrialSpec, history: TrainingHistory, resident: float | None, shared: bool, cores: int | None = None
) -> dict[str, Any]:
    """Return the record's throughput: median of the undisturbed steady windows, and the share that waits for input.

    If fewer than three windows were left undisturbed, the median is that of all, and it cannot be compared.

    Args:
        history: windows of the training with their states, and the measurements of the reference.
        resident: images/s of the same step on one batch kept in memory; None if not measured.
        shared: whether other trials ran on the same cores.
        cores: number of cores that the trial could use when it began; default: when its first window ended.
    """
    states = [results.WindowState(**state) for state in history.states]
    measured = results.Reference(version=VERSION, **_columns(history.references)) if history.references else None
    found = disturbances.find(states, cores, [value or 0.0 for value in measured.gflops] if measured else [])
    kept = [rate for rate, one in zip(history.windows, found, strict=True) if one is None]
    steady = steady_windows(kept if len(kept) >= FEWEST else history.windows)
    rate = float(np.median(steady)) if steady else None
    reason = _why_not_comparable(spec, shared, steady, len(kept), disturbances.why_left_out(found))
    return {
        "images_per_second": rate,
        "images_per_100_gflop": _relative(rate, measured),
        "windows": history.windows,
        "states": [
            state.model_copy(update={"disturbed": one and str(one)}) for state, one in zip(states, found, strict=True)
        ],
        "window_steps": spec.eval.window_steps,
        "batch_size": spec.train.batch_size,
        "replicas": spec.placement.replicas,
        "hand_over_ns": results.hand_over.usual(
            time
            for state, one in zip(states, found, strict=True)
            if one is None or len(kept) < FEWEST
            for time in disturbances.known(state)
        ),
        "input_share": max(0.0, 1 - rate / resident) if rate and resident else None,
        "reference": measured,
        "comparable": reason is None,
        "reason": reason,
    }


def _why_not_comparable(spec: TrialSpec, shared: bool, steady: list[float], kept: int, disturbed: str) -> str | None:
    """Return why a throughput cannot be compared; None if it can.

    Args:
        steady: rates of the steady windows.
        kept: number of undisturbed windows.
        disturbed: what disturbed the others; empty if there are none.
    """
    of = f" of {results.counted(spec.eval.window_steps, 'step')}"
    if spec.train.eager:
        return "steps were not compiled (train.eager)"
    if shared:
        return "trials ran side by side on the same cores"
    if kept < FEWEST and disturbed:
        return disturbed
    if not steady:
        return f"the rate had not settled after {results.counted(kept, 'window')}{of}"
    return f"only {results.counted(len(steady), 'steady window')}{of}" if len(steady) < FEWEST else None


def _columns(measured: list[dict[str, float]]) -> dict[str, list[float]]:
    """Return the measurements of the reference by the name of their rates."""
    return {name: [one[name] for one in measured] for name in ("gflops", "convolution", "product")}


def _relative(rate: float | None, measured: results.Reference | None) -> float | None:
    """Return the images that are trained while the reference computes 100 GFLOP; None if either is not known."""
    known = [value for value in measured.gflops if value] if measured else []
    return 100 * rate / float(np.mean(known)) if rate and known else None
