"""A run of scored label maps: one record per call, in a folder that reports and comparisons read like any run."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import results
from bench import data
from bench.core import UsageError, describe
from bench.data import Dataset
from bench.scoring.maps import label_maps
from bench.spec import DataSpec, identity

MARK = "scored"
"""Key of the manifest of such a run."""


@dataclass(frozen=True)
class ScoreRequest:
    """Label maps to score.

    Attributes:
        predictions: folder of the label maps.
        data: the data set.
        split: of it.
        label: name of what predicted: a model with its settings.
        seed: of its training.
        out: the run's folder; made if missing.
        command: the command line, for the manifest.
    """

    predictions: Path
    data: DataSpec
    split: Literal["val", "test"]
    label: str
    seed: int
    out: Path
    command: str = ""


def score(request: ScoreRequest) -> tuple[Path, results.Record]:
    """Score label maps and add their record to the run; return the trial's folder and the record.

    Raises:
        UsageError: the data set or a label map has a fault, or the run holds this label and seed, other data, or
            trials of another kind.
    """
    if not request.label.strip() or not request.label.isprintable():
        raise UsageError(f"--label {request.label!r}: name what predicted, in one line; tables and reports show it")
    cell = _cell(request)
    trial = f"{re.sub(r'[^A-Za-z0-9._-]+', '-', request.label).strip('-.') or 'scored'}-{cell[:6]}-s{request.seed}"
    _check_run(request, trial)
    dataset = data.load(request.data)
    if request.split not in dataset.splits:
        raise UsageError(
            f"{dataset.name}: no split {request.split}; choose one with --split: {', '.join(dataset.splits)}"
        )
    _check_data(request, dataset)
    started, classes = _now(), len(dataset.class_names)
    pairs = label_maps(request.predictions, dataset.splits[request.split], request.split, classes)
    from bench.trial import score_label_maps  # imports TensorFlow

    slices = dataset.splits[request.split].slices()
    scores = score_label_maps(pairs, classes, slices).as_dict(dataset.class_names, slices)
    record = results.Record(
        trial=trial, cell=cell, label=request.label, axes={"method": request.label}, seed=request.seed, status="ok",
        spec={
            "data": request.data.model_dump(mode="json"), "seed": request.seed,
            MARK: {"label": request.label, "split": request.split},
        },
        dataset=dataset.described(), environment=dict(describe()), started=started, finished=_now(),
        views=[{"view": "default", "split": request.split, **scores}],
    )  # fmt: skip
    folder = request.out / "trials" / trial
    try:
        results.write(folder, record)
        _write_manifest(request)
    except OSError as error:
        raise UsageError(f"--out {request.out}: cannot write there: {error.strerror}") from None
    return folder, record


def _cell(request: ScoreRequest) -> str:
    """Return the hash of the cell: of the label, the data set and the split."""
    what = {"data": identity(request.data), MARK: {"label": request.label, "split": request.split}}
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]


def _check_run(request: ScoreRequest, trial: str) -> None:
    """Refuse a folder that holds something else than scored label maps, or this label and seed.

    Raises:
        UsageError: names the folder and what to do.
    """
    out = request.out
    try:
        manifest = results.read_manifest(out)
    except ValueError as error:
        raise UsageError(f"--out {error}") from None
    if not manifest.get(MARK) and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"--out {out}: holds other things than scored label maps; name a new folder")
    if (out / "trials" / trial).exists():
        raise UsageError(
            f"--out {out}: holds the label maps of {request.label!r}, seed {request.seed} already; give another --seed "
            f"or --label, or remove {out / 'trials' / trial}"
        )


def _check_data(request: ScoreRequest, dataset: Dataset) -> None:
    """Refuse a run whose records are of other pictures: they could not stand in one table.

    Raises:
        UsageError: names both.
    """
    for record in _records(request.out):
        split = record.spec.get(MARK, {}).get("split")
        known = record.dataset.version if record.dataset else ""
        if (split, known) != (request.split, dataset.version):
            raise UsageError(
                f"--out {request.out}: holds scores of the split {split} of version {known}, not of the split "
                f"{request.split} of version {dataset.version}; name another folder"
            )


def _records(out: Path) -> list[results.Record]:
    """Return the records of a run in the order of their trials."""
    files = sorted(out.glob("trials/*/record.json"))
    try:
        return [results.read(file) for file in files]
    except ValueError as error:
        raise UsageError(str(error)) from None


def _write_manifest(request: ScoreRequest) -> None:
    """Write run.json with the cells and seeds of all records."""
    cells: dict[str, dict[str, Any]] = {}
    for record in sorted(_records(request.out), key=lambda one: one.seed):
        cell = {"cell": record.cell, "label": record.label, "axes": record.axes, "seeds": [], "replicas": 1}
        cells.setdefault(record.cell, cell)["seeds"].append(record.seed)
    before = results.read_manifest(request.out)
    manifest: dict[str, Any] = {
        "schema_version": 1, "name": request.out.name, "grid": None, MARK: True, "options": {}, "policy": {},
        "command": " && ".join(filter(None, [before.get("command"), request.command])),
        "created": before.get("created") or _now(), "status": "complete", "cells": [*cells.values()],
    }  # fmt: skip
    results.write_bytes(request.out / "run.json", (json.dumps(manifest, indent=2) + "\n").encode())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
