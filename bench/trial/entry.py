"""The entry point of a scheduled trial, called in a process of its own."""

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
    """Run the scheduled trial of a payload, in a process of its own."""
    prepare_process(payload["cpus"])
    spec = parse(payload["spec"], f"trial {payload['trial']}")
    names = {name: payload[name] for name in ("trial", "label", "axes", "shared", "tuning")}
    folder = Path(payload["folder"])
    record = run(spec, folder, **names, attempt=_attempt(folder), emit=emit)
    emit({"event": "result", **_numbers(record)})


def _numbers(record: results.Record) -> dict[str, Any]:
    """Return what a tracker should show of a trial in the end."""
    last = record.history[-1] if record.history else None
    found: dict[str, Any] = {"epoch": last and last.epoch, "step": last.step if last else 0}
    if record.views:
        scores = ("miou", "mean_dice", "mean_image_iou", "boundary_iou", "pixel_accuracy")
        found |= {f"final_{name}": getattr(record.views[0], name) for name in scores}
    found |= {"final_images_per_second": record.throughput.images_per_second if record.throughput else None}
    found |= record.memory.model_dump()
    return {name: value for name, value in found.items() if value is not None}


def _attempt(folder: Path) -> int:
    """Count the starts of this trial's process, this one included; every start leaves a line."""
    path = folder / ATTEMPTS_FILE
    with open(path, "a") as file:
        file.write(f"{now()} {platform.node()} {os.getpid()}\n")
    return len(path.read_text().splitlines())
