"""Where a trial's time goes: `python -m bench.perf.profile [--preset quick] [--set FIELD=VALUE]`.

One trial in this process, phase by phase, from the start of the process to the last file that it writes.
A steady step stands beside the whole.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import psutil
import typer

from bench.cli import command, start
from bench.environment import prepare_process
from bench.grid import single
from bench.plan import default_precision
from bench.spec import TrialSpec


class Profile:
    """Seconds of named phases, in the order in which they were met."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


def profile(spec: TrialSpec) -> tuple[Profile, dict[str, float]]:
    """Run a trial; its phases in seconds, and of a steady step {"step", "input": milliseconds}."""
    found = Profile()
    found.seconds["interpreter and the command's own imports"] = time.time() - psutil.Process().create_time()
    with found.phase("import of TensorFlow"):
        import tensorflow  # noqa: F401
    with found.phase("import of Keras"):
        import keras  # noqa: F401
    with found.phase("import of KerasCV"):
        import keras_cv  # noqa: F401
    with found.phase("import of the suite"):
        import losses.registry  # noqa: F401
        import models.builder  # noqa: F401
        from bench import evaluation, objective, optimizers, training  # noqa: F401
        from bench.data import pipeline  # noqa: F401
        from bench.trial import Body

    class Timed(Body):
        def _load_data(self) -> None:
            with found.phase("data: listed, checked, ready to be read"):
                super()._load_data()

        def _build(self) -> None:
            with found.phase("model, weights, loss, optimiser"):
                super()._build()

        def _resident_rate(self) -> float | None:
            with found.phase("the step again on resident data, for the input's share"):
                return super()._resident_rate()

        def _keep_checkpoint(self) -> None:
            with found.phase("weights written"):
                super()._keep_checkpoint()

        def _draw(self) -> None:
            with found.phase("pictures"):
                super()._draw()

    with tempfile.TemporaryDirectory() as folder:
        body = Timed(spec, Path(folder), False, lambda event: None)
        kept = body.run()
    clocks = body.clocks.as_dict()
    found.seconds["evaluation and training traced, with their first batches"] = clocks["compile_s"]
    found.seconds["steady steps"] = clocks["train_s"]
    again = found.seconds.pop("the step again on resident data, for the input's share")
    found.seconds["the step again on resident data, for the input's share"] = again
    found.seconds["evaluation"] = clocks["eval_s"]
    speed = kept["throughput"]
    rate = speed["images_per_second"]
    step = {"step": 1e3 * spec.train.batch_size / rate, "input": 100 * (speed["input_share"] or 0)} if rate else {}
    return found, step


@command
def main(
    set_: Annotated[list[str] | None, typer.Option("--set", help="field=value, any field of the spec.")] = None,
    preset: Annotated[str, typer.Option(help="smoke, quick, study or full.")] = "quick",
) -> int:
    """Print where the time of one trial goes."""
    prepare_process()
    spec = single(set_ or [], preset, default_precision(0, []))
    found, step = profile(spec)
    whole = sum(found.seconds.values())
    print("| phase | s | share |\n|---|--:|--:|")
    for name, seconds in found.seconds.items():
        print(f"| {name} | {seconds:.1f} | {seconds / whole:.0%} |")
    if step:
        print(f"\nA steady step: {step['step']:.0f} ms, of which the input {step['input']:.1f} %.")
    return 0


if __name__ == "__main__":
    start(main)
