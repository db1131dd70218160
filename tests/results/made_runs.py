"""Writes small run folders whose numbers a test chooses: {label: {seed: (mIoU, images/s)}}."""

import hashlib
import json
from pathlib import Path

import results

MACHINE = {
    "python": "3.12.1", "tensorflow": "2.21.0", "processor": "AMD EPYC", "instructions": "avx512f", "onednn": "1",
    "cores": 2, "gpus": [], "gpu_names": [], "device": "cpu", "replicas": 1, "precision": "float32",
}  # fmt: skip
HOW = {"deterministic": False, "jit_compile": False, "steps_per_execution": 1, "eager": False}


def made_run(folder: Path, cells, machine=MACHINE, version="v1", planned=None, grid="losses", epochs=3, **more) -> Path:
    """A value of None instead of the pair makes a trial that diverged; `more` are further fields of every record."""
    for label, seeds in cells.items():
        for seed, pair in seeds.items():
            results.write(
                folder / "trials" / f"{label}-s{seed}", record(label, seed, pair, machine, version, epochs, **more)
            )
    manifest = {"grid": grid, "command": f"python -m bench.run --grid {grid}", "cells": [
        {"cell": key(label, epochs), "label": label, "seeds": list((planned or {}).get(label, seeds))}
        for label, seeds in {**cells, **(planned or {})}.items()
    ]}  # fmt: skip
    (folder / "run.json").write_text(json.dumps(manifest))
    return folder


def key(label, epochs=3):
    return hashlib.sha256(f"{label} {epochs}".encode()).hexdigest()[:12]


def record(label, seed, pair, machine=MACHINE, version="v1", epochs=3, **more):
    base = {
        "trial": f"{label}-s{seed}",
        "cell": key(label, epochs),
        "label": label,
        "axes": {"loss": label},
        "seed": seed,
    }
    base["dataset"] = {"name": "d", "version": version, "class_names": ["a", "b"], "colors": [(0, 0, 0), (9, 9, 9)]}
    base["environment"] = machine
    base["spec"] = {"loss": {"name": label}, "train": {"epochs": epochs, "steps_per_epoch": 5, "batch_size": 8, **HOW}}
    base["spec"]["placement"] = {"cpus": 2}
    if pair is None:
        error = {"kind": "Diverged", "message": "NaN at step 3"}
        return results.Record(**base, status="diverged", error=error, **more)
    miou, rate = pair
    base["views"] = [{"images": 3, "miou": miou, "iou": [miou, miou]}]
    base["throughput"] = {"images_per_second": rate, "windows": [rate] * 3, "comparable": rate is not None}
    base["throughput"]["reason"] = None if rate is not None else "the rate had not settled"
    base["memory"], base["clocks"] = {"peak_rss_mb": 1000.0 + seed}, {"compile_s": 10.0 + 0.1 * seed, "train_s": 9.0}
    return results.Record(**{**base, "status": "ok", **more})
