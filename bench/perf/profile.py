"""Where a trial's time goes: `python -m bench.perf.profile [--preset quick] [--set FIELD=VALUE]`.

It runs one trial in this process and prints the time of each phase, from the start of the process until the record is
written, and the time in none of them. The time of a steady step is printed as well; `bench.perf.step` divides it.
"""

from __future__ import annotations

import importlib
import tempfile
import time
from pathlib import Path
from typing import Annotated

import psutil
import typer

from bench.core import UsageError, command, start
from bench.plan import default_precision, single
from bench.spec import TrialSpec
from bench.trial import PhaseTimer, run

PARTS = {
    "data": ("init", "data: listed, checked, ready to be read"),
    "model": ("init", "model, weights, loss, optimiser"),
    "resident": (None, "the step again on resident data, for the input's share"),
    "reference": (None, "the fixed reference, before and after training"),
    "weights": ("io", "weights written"),
    "pictures": ("io", "pictures"),
}
"""Parts that a trial's timer measures: the phase that contains each, and its name in the table."""
PHASES = {
    "init": "the rest of what comes before the first step",
    "compile": "evaluation and training traced, with their first batches",
    "train": "steady steps",
    "eval": "evaluation",
    "io": "state of every epoch, and what else is written",
}
"""Phases of any trial, and their names in the table, where the time of their parts is not included."""


def profile(spec: TrialSpec) -> tuple[dict[str, float], dict[str, float]]:
    """Run a trial and measure its phases.

    Returns:
        The seconds of its phases by their names in the table; and of a steady step {"step": milliseconds,
        "input": percent}, empty if there was no steady state.

    Raises:
        UsageError: the trial failed.
    """
    timer, seconds = PhaseTimer(), {}
    seconds["interpreter and the command's own imports"] = time.time() - psutil.Process().create_time()
    for name in ("TensorFlow", "Keras", "KerasCV"):
        with timer.phase(name):
            importlib.import_module({"KerasCV": "keras_cv"}.get(name, name.lower()))
        seconds[f"import of {name}"] = timer.elapsed(name)
    with timer.phase("suite"):
        import losses.core.registry  # noqa: F401
        import models.builder  # noqa: F401
        from bench.data import pipeline  # noqa: F401
        from bench.trial import artefacts, fit, setup, throughput, trial  # noqa: F401
    seconds["import of the suite"] = timer.elapsed("suite")

    with tempfile.TemporaryDirectory() as folder:
        record = run(spec, Path(folder), timer=timer)
    whole = time.time() - psutil.Process().create_time()
    if record.error:
        raise UsageError(f"the trial failed: {record.error.message}")
    seconds |= {label: timer.of_part(name) for name, (_, label) in PARTS.items()}
    for phase, label in PHASES.items():
        inside = sum(timer.of_part(name) for name, (around, _) in PARTS.items() if around == phase)
        seconds[label] = timer.elapsed(phase) - inside
    seconds["in none of these"] = whole - sum(seconds.values())
    speed = record.throughput
    rate = speed.images_per_second if speed else None
    if speed is None or rate is None:
        return seconds, {}
    return seconds, {"step": 1e3 * spec.train.batch_size / rate, "input": 100 * (speed.input_share or 0)}


@command
def main(
    set_: Annotated[list[str] | None, typer.Option("--set", help="field=value, any field of the spec.")] = None,
    preset: Annotated[str, typer.Option(help="smoke, quick, study or full.")] = "quick",
) -> int:
    """Print where the time of one trial goes."""
    spec = single(set_ or [], preset, default_precision(0, []))
    seconds, step = profile(spec)
    whole = sum(seconds.values())
    print("| phase | s | share |\n|---|--:|--:|")
    for name, spent in seconds.items():
        print(f"| {name} | {spent:.1f} | {spent / whole:.0%} |")
    if step:
        print(f"\nA steady step: {step['step']:.0f} ms, of which the input {step['input']:.1f} %.")
    return 0


if __name__ == "__main__":
    start(main)
