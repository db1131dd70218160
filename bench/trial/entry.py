"""The entry point of a scheduled trial, called in a separate process."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import results
from bench.core import ATTEMPTS_FILE, prepare_process
from bench.spec import parse
from bench.trial.facts import Emit
from bench.trial.trial import now, run


def worker(payload: dict[str, Any], emit: Emit) -> None:
    """Run the scheduled trial of a payload in this process, which runs no other.

    Args:
        payload: plain data of `bench.execution.runner`: specification, folder, CPUs and what the record says besides.
        emit: called with progress events, and with "result" at the end.
    """
    prepare_process(payload["cpus"])
    spec = parse(payload["spec"], f"trial {payload['trial']}")
    names = {name: payload[name] for name in ("trial", "label", "axes", "shared", "tuning")}
    folder = Path(payload["folder"])
    code = [Path(place) for place in payload["code"]]
    record = run(spec, folder, **names, attempt=_attempt(folder), code=code, emit=emit)
    emit({"event": "result", **_numbers(record)})


def _numbers(record: results.Record) -> dict[str, Any]:
    """Return the final numbers of a trial that a tracker shows."""
    last = record.history[-1] if record.history else None
    found: dict[str, Any] = {"epoch": last and last.epoch, "step": last.step if last else 0}
    if record.views:
        scores = ("miou", "mean_dice", "mean_image_iou", "boundary_iou", "pixel_accuracy")
        found |= {f"final_{name}": getattr(record.views[0], name) for name in scores}
    found |= {"final_images_per_second": record.throughput.images_per_second if record.throughput else None}
    found |= record.memory.model_dump()
    return {name: value for name, value in found.items() if value is not None}


def _attempt(folder: Path) -> int:
    """Add a line for this start of the trial's process to the file of attempts, and return the number of lines."""
    path = folder / ATTEMPTS_FILE
    with open(path, "a") as file:
        file.write(f"{now()} {platform.node()} {os.getpid()}\n")
    return len(path.read_text().splitlines())
