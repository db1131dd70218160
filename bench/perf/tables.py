"""`python -m bench.perf.tables`: the cost of reading many records and of reporting a large run.

Records of an invented run, as large as those of a real one of 7 classes and 30 epochs, are read into a table: first
from JSON with validation, then from the table that was kept beside them. A run with fewer trials is made into a report.
Each number is that of a fresh process; the peak is the resident set of the whole process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

import results
from bench.core import command, start
from bench.perf.ratios import Ratio, report

RECORDS, CLASSES, EPOCHS, SEEDS = 10_000, 7, 30, 3
REPORTED = 1_000
_MEASURE = """
import json, resource, sys, time
import results, reports
what, folder = sys.argv[1:]
began = time.perf_counter()
results.load(folder) if what == "load" else (results.write_tables(folder), reports.write(folder))
seconds = time.perf_counter() - began
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def made(folder: Path, trials: int) -> Path:
    """Write an invented run of so many trials, `SEEDS` per cell, and return its folder."""
    rng = np.random.default_rng(0)
    cells = []
    for index in range(trials // SEEDS):
        key, label = f"{index:012x}", f"cell {index}"
        cells.append({"cell": key, "label": label, "seeds": list(range(SEEDS))})
        for seed in range(SEEDS):
            record = invented(key, label, seed, 0.4 + 0.3 * index * SEEDS / trials + 0.01 * rng.normal(), rng)
            # Without fsync, because the time to write ten thousand files is not measured.
            path = folder / "trials" / record.trial / "record.json"
            path.parent.mkdir(parents=True)
            path.write_text(record.model_dump_json())
    manifest = {"name": "invented", "grid": "invented", "command": "python -m bench.perf.tables", "cells": cells}
    (folder / "run.json").write_text(json.dumps(manifest))
    return folder


def invented(key: str, label: str, seed: int, miou: float, rng: np.random.Generator) -> results.Record:
    """Return the record of an invented trial."""
    iou = np.clip(miou + np.linspace(0.2, -0.2, CLASSES), 0, 1).tolist()
    scores = {"miou": miou, "mean_dice": miou, "pixel_accuracy": 0.9, "boundary_iou": miou / 2, "loss": 0.5}
    history = [
        {
            "epoch": epoch, "step": 30 * epoch, "images": 240 * epoch, "learning_rate": 1e-3, "seconds": 12.5,
            "images_per_second": 19.2, "train": {"loss": 1 / epoch, "miou": miou, "pixel_accuracy": 0.9},
            "val": {**scores, "miou": miou * (1 - 0.8**epoch), "mean_image_iou": miou},
        }
        for epoch in range(1, EPOCHS + 1)
    ]  # fmt: skip
    names = [f"class {index}" for index in range(CLASSES)]
    rate = float(40 * np.exp(0.02 * rng.normal()))
    return results.Record.model_validate({
        "trial": f"{key}-s{seed}", "cell": key, "label": label, "axes": {"loss": label}, "seed": seed, "status": "ok",
        "spec": {"loss": {"name": label}, "train": {"epochs": EPOCHS, "steps_per_epoch": 30, "batch_size": 8}},
        "dataset": {
            "name": "invented", "version": "1", "class_names": names, "colors": [[30 * i, 0, 0] for i in range(CLASSES)]
        },
        "environment": {"tensorflow": "2.21.0", "processor": "invented", "cores": 2, "device": "cpu"},
        "history": history,
        "views": [
            {
                "images": 96, **scores, "iou": iou, "dice": iou, "boundary": iou,
                "confusion": (np.eye(CLASSES, dtype=int) * 90_000 + 900).tolist(),
            }
        ],
        "throughput": {"images_per_second": rate, "windows": [rate] * 20, "batch_size": 8, "replicas": 1,
                       "comparable": True},
        "clocks": {"init_s": 5.0, "compile_s": 20.0, "train_s": 90.0, "eval_s": 10.0, "total_s": 125.0},
        "memory": {"peak_rss_mb": 2000.0}, "best": {"epoch": EPOCHS, "miou": miou},
    })  # fmt: skip


def measured(what: str, folder: Path) -> tuple[float, float]:
    """Return the seconds and the peak of the process in MiB of "load" or "report", in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, what, str(folder)], check=True, capture_output=True, text=True,
        cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    seconds, peak = json.loads(done.stdout.splitlines()[-1])
    return seconds, peak


@command
def main(
    records: Annotated[int, typer.Option(min=60, help="Trials that are read.")] = RECORDS,
    reported: Annotated[int, typer.Option(min=60, help="Trials of the report.")] = REPORTED,
    out: Annotated[Path | None, typer.Option("--json", help="Write figures and machine here.")] = None,
) -> int:
    """Time reading many records and reporting a large run; exit status 1 when a bar is missed."""
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        many, few = made(Path(scratch) / "many", records), made(Path(scratch) / "few", reported)
        size = sum(path.stat().st_size for path in (many / "trials").glob("*/record.json")) / records
        read = f"{records} records of {size / 1000:.0f} kB"
        for name, limit in [(f"{read} into a table", 10), (f"{read}, the table that was kept", 1)]:
            seconds, _ = measured("load", many)
            found.append(Ratio(name, "s", seconds, "its limit", limit * records / RECORDS, at_most=1))
        seconds, peak = measured("report", few)
        name = f"tables and report of {reported} trials"  # of 10 000 within three minutes and 1900 MiB
        found.append(Ratio(name, "s", seconds, "its limit", max(6, 0.018 * reported), at_most=1))
        found.append(Ratio(f"{name}, peak", "MiB", peak, "its limit", max(1024, 0.19 * reported), at_most=1))
    return report(found, out)


if __name__ == "__main__":
    start(main)
