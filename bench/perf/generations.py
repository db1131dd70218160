"""Two environments side by side, such as TensorFlow 2.15 and 2.21: `python -m bench.perf.generations OTHER_PYTHON`.

    python -m bench.perf.generations ../other/.venv/bin/python [--backbone NAME] [--rounds 5] [--json FILE]

The interpreter of this process is "ours". Each round starts a fresh process of either, in turns. The process imports
TensorFlow, builds the model of a quick trial, traces and runs the first step, and then repeats it. Both run this copy
of the project.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.core import UsageError, command, start
from bench.perf.ratios import Ratio, report

HOME = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HOME)}
MEASURE = """
import json, sys, time
import bench.perf  # what every process sets before TensorFlow is imported
began = time.perf_counter()
import keras, tensorflow as tf
import models
from bench.core import peak_rss_mb
from bench.perf.models import Case, inference_step, training_step
from bench.perf.rounds import medians
imported = time.perf_counter()
case = Case(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), 8, "float32")
model = models.build(models.ModelSpec(backbone=case.backbone, output_stride=int(sys.argv[4])), case.classes)
step = training_step(model, case)
step()
first = time.perf_counter()
seconds = medians({"training": step, "inference": inference_step(model, case)}, 12, warm_up=2)
print(json.dumps({
    "import": imported - began, "build, trace and first step": first - imported,
    "training": case.batch / seconds["training"], "inference": case.batch / seconds["inference"],
    "peak of the process": peak_rss_mb(), "stack": f"TensorFlow {tf.__version__}, Keras {keras.__version__}",
}))
"""
UNITS = {
    "import": "s", "build, trace and first step": "s", "training": "images/s", "inference": "images/s",
    "peak of the process": "MiB",
}  # fmt: skip


def measure(python: str, arguments: list[str]) -> dict[str, float | str]:
    """Return the figures of one fresh process, by name.

    Raises:
        UsageError: the interpreter cannot run the measurement.
    """
    command_line = [python, "-c", MEASURE, *arguments]
    try:
        done = subprocess.run(command_line, env=ENVIRONMENT, capture_output=True, text=True, check=False, cwd=HOME)
    except OSError as error:
        raise UsageError(f"{python}: {error.strerror}") from None
    if done.returncode:
        raise UsageError(f"{python}: {(done.stderr.strip().splitlines() or ['it did not run'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


@command
def main(
    other: Annotated[Path, typer.Argument(help="The Python of the other environment.")],
    backbone: Annotated[str, typer.Option()] = "efficientnetlite_b0",
    size: Annotated[int, typer.Option(help="Pixels.")] = 128,
    batch: Annotated[int, typer.Option()] = 8,
    output_stride: Annotated[int, typer.Option(help="8, 16 or 32.")] = 32,
    rounds: Annotated[int, typer.Option(min=3)] = 5,
    out: Annotated[Path | None, typer.Option("--json", help="Write figures and machine here.")] = None,
) -> int:
    """Measure this environment against another one."""
    arguments = [backbone, str(size), str(batch), str(output_stride)]
    ours: list[dict[str, float | str]] = []
    others: list[dict[str, float | str]] = []
    # The path is not resolved: behind a symbolic link lies the interpreter without its environment.
    sides = [(sys.executable, ours), (os.path.abspath(other), others)]
    for number in range(rounds):
        for python, found in sides if number % 2 == 0 else reversed(sides):
            found.append(measure(python, arguments))
    case = f"{backbone}, {batch} x {size} px, stride {output_stride}"
    print(f"{case}: {ours[0]['stack']} against {others[0]['stack']}; medians of {rounds} processes each")
    ratios = [
        Ratio(name, unit, statistics.median(float(one[name]) for one in ours), str(others[0]["stack"]),
              statistics.median(float(one[name]) for one in others))
        for name, unit in UNITS.items()
    ]  # fmt: skip
    return report(ratios, out)


if __name__ == "__main__":
    start(main)
