"""Records as pandas frames, and a run's tables on disk (Parquet and CSV).

A failed trial is a row with its status and empty metrics; nothing is dropped.
"""

import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from results import hand_over
from results.record import Published, Record, Target, ViewScores
from results.scores import mean_iou
from results.store import Run, Stored, StrPath, find, iterate, locate, read_run, refuse_release, release_of, write_bytes

_IDENTITY = ("trial", "cell", "label", "seed", "status", "error")
_NUMBERS = (
    "miou",
    "mean_dice",
    "pixel_accuracy",
    "mean_image_iou",
    "boundary_iou",
    *Published.model_fields,
    "loss_value",
    "eval_images_per_second",
    "images_per_second",
    "images_per_100_gflop",
    "input_share",
    "init_s",
    "compile_s",
    "start_s",
    "train_s",
    "eval_s",
    "io_s",
    "total_s",
    "cpu_s",
    "peak_rss_mb",
    "peak_gpu_mb",
    "best_miou",
    "target_value",
    "target_steps",
    "target_seconds",
    "target_cpu_seconds",
    "gradient_scale",
    "gradient_scale_at_margin_3",
    "parameters",
    "forward_gflop",
)
# The numbers that can be compared: those of a view, then those of the trial.
VIEW_METRICS = _NUMBERS[: _NUMBERS.index("images_per_second")]
METRICS = _NUMBERS
_FLAGS = ("throughput_comparable", "throughput_reason", "target_reached", "target_metric")
_COUNTS = ("images", "epochs", "best_epoch", "target_epoch", "batch_size", "replicas", "scoring")
# From this number of records on, the table of a folder is cached beside them.
_WORTH_KEEPING = 500
# A trial that measured nothing is listed under the view that it should have measured, so that selecting a split does
# not hide it.
_OWED = ("default", "val")


def load(path: StrPath | Sequence[StrPath]) -> pd.DataFrame:
    """Load the records of `path` as a table: one row per (trial, view), failed trials included.

    Args:
        path: a run folder, a trial folder, a `record.json`, a folder of runs, a glob, or a list of these.

    Returns:
        A table of these columns:

        - `trial, cell, label`, one column per axis of the grid (an axis with the name of another column becomes
          `axis_NAME`), and `seed, status, error, view, split`.
        - Fractions of the view: `miou`, `mean_dice`, `pixel_accuracy`, `mean_image_iou`, `boundary_iou`, and, computed
          as others published them, `soft_iou`, `class_recall`, `soft_dice`.
        - Other numbers of the view: `loss_value`, `eval_images_per_second`, `images`.
        - Numbers of the trial: `images_per_second` in training and `images_per_100_gflop`, the same relative to its
          reference, `throughput_comparable`, `input_share`, seconds `*_s` (`start_s`: until the first step is over),
          peaks in MiB, `gradient_scale`, `parameters` of the model, `forward_gflop` of one training image, ...
          `scoring` is the version of the scores; scores are comparable within one version only.
        - The time to the target score `target_value` of `target_metric`, in trials that reached it:
          `target_epoch`, `target_steps`, `target_seconds` and `target_cpu_seconds` of training. `target_reached` is
          false in the others.

        Values that were not measured are NaN or NA.

    Raises:
        ValueError: there is no record, or one cannot be read; one line names the file and the reason.
    """
    folder = locate(path) if isinstance(path, str | os.PathLike) else None
    files = find(path)
    if folder is None or not folder.is_dir() or release_of(folder) or len(files) < _WORTH_KEEPING:
        return trials(iterate(path))
    kept = folder / ".cache" / f"{_fingerprint(files)}.parquet"
    if not kept.is_file():
        out = io.BytesIO()
        trials(iterate(path)).to_parquet(out, index=False)
        try:
            for old in kept.parent.glob("*.parquet"):
                old.unlink()
            write_bytes(kept, out.getvalue())
        except OSError:
            return pd.read_parquet(out)  # a folder that cannot be written can still be read
    return pd.read_parquet(kept)


def _fingerprint(files: Sequence[Path]) -> str:
    """Return a digest that changes if a record is added, lost or rewritten, or if the code that reads them changes."""
    digest = hashlib.sha256()
    for source in ("record.py", "table.py", "hand_over.py"):
        digest.update(Path(__file__).with_name(source).read_bytes())
    for file in files:
        stat = file.stat()
        digest.update(f"{file.parent.name} {stat.st_mtime_ns} {stat.st_size} {stat.st_ino}\n".encode())
    return digest.hexdigest()[:16]


def trials(stored: Iterable[Stored], usually: hand_over.Levels | None = None) -> pd.DataFrame:
    """Make the table of `load` from records that are read already.

    Args:
        stored: the records.
        usually: where the cores of each machine usually were; a trial that ran with them placed otherwise has no
            comparable throughput. Default: where they were in most of these records.
    """
    # Keep rows with their axes, not the records: thousands of whole records would fill the memory.
    found: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = []
    placed: list[tuple[dict[str, Any], hand_over.Cores]] = []
    for record in (one.record for one in stored):
        row = _of_trial(record)
        placed.append((row, hand_over.cores_of(record)))
        found += [(record.axes, row, _of_view(record, view)) for view in (record.views or (None,))]
    _compare_alike(placed, usually)
    taken = {*_IDENTITY, *_NUMBERS, *_COUNTS, *_FLAGS, "view", "split", "folder"}
    axes = {key: f"axis_{key}" if key in taken else key for values, *_ in found for key in values}
    rows = [{**row, **view, **{name: of.get(key) for key, name in axes.items()}} for of, row, view in found]
    order = [*_IDENTITY[:3], *axes.values(), *_IDENTITY[3:], "view", "split", *_NUMBERS, *_COUNTS]
    frame = pd.DataFrame(rows, columns=[*order, *_FLAGS])
    for name in axes.values():
        if len({type(value) for value in frame[name] if value is not None and value == value}) > 1:
            frame[name] = [None if value is None else str(value) for value in frame[name]]
    types = {
        **dict.fromkeys(_NUMBERS, "float64"),
        **dict.fromkeys(_COUNTS, "Int64"),
        "throughput_comparable": "boolean",
        "target_reached": "boolean",
    }
    return frame.astype({"seed": "int64", **types})


def _compare_alike(placed: Sequence[tuple[dict[str, Any], hand_over.Cores]], usually: hand_over.Levels | None) -> None:
    """Mark the rows of trials whose cores were placed otherwise than usual: their throughput cannot be compared."""
    if usually is None:
        usually = hand_over.levels(one for _, one in placed)
    for row, one in placed:
        if reason := hand_over.placed_otherwise(one, usually):
            row.update(throughput_comparable=False, throughput_reason=reason)


def judged_split(frame: pd.DataFrame) -> str:
    """Return the split on which the cells of a table are judged: val, or test if nothing was scored on val."""
    scored = frame.loc[frame["miou"].notna(), "split"]
    return "test" if len(scored) and not (scored == "val").any() else "val"


def _of_trial(record: Record) -> dict[str, Any]:
    throughput, target, best = record.throughput, record.target, record.best
    return {
        **{name: getattr(record, name) for name in ("trial", "cell", "label", "seed", "status")},
        "error": record.error and record.error.message,
        "scoring": record.scoring,
        "images_per_second": throughput and throughput.images_per_second,
        "images_per_100_gflop": throughput and throughput.images_per_100_gflop,
        "throughput_comparable": throughput and throughput.comparable,
        "throughput_reason": throughput and throughput.reason,
        "input_share": throughput and throughput.input_share,
        "batch_size": throughput and throughput.batch_size,
        "replicas": throughput and throughput.replicas,
        **record.clocks.model_dump(),
        "start_s": record.clocks.start_s,
        **record.memory.model_dump(),
        "epochs": len(record.history),
        "best_epoch": best and best.epoch,
        "best_miou": best and best.miou,
        **_of_target(target),
        "gradient_scale": record.objective and record.objective.gradient_scale.initial,
        "gradient_scale_at_margin_3": record.objective and record.objective.gradient_scale.at_margin_3,
        "parameters": record.cost and record.cost.parameters,
        "forward_gflop": record.cost and record.cost.forward_gflop,
    }


def _of_target(target: Target | None) -> dict[str, Any]:
    """Return the columns of a target. When a training ended without it is no time to it, and is left out."""
    times = ("epoch", "steps", "seconds", "cpu_seconds")
    return {
        "target_metric": target and target.metric,
        "target_value": target and target.value,
        "target_reached": target and target.reached,
        **{f"target_{name}": getattr(target, name) for name in times if target and target.reached},
    }


def _of_view(record: Record, view: ViewScores | None) -> dict[str, Any]:
    if view is None:
        return dict(zip(("view", "split"), _OWED, strict=True))
    names = ("view", "split", "images", "miou", "mean_dice", "pixel_accuracy", "mean_image_iou", "boundary_iou")
    return {
        **{name: getattr(view, name) for name in names},
        **(view.published.model_dump() if view.published else {}),
        "loss_value": view.loss,
        "eval_images_per_second": view.images_per_second,
    }


def history(stored: Iterable[Stored]) -> pd.DataFrame:
    """Make the table of learning curves, one row per (trial, epoch).

    Columns `train_*` are running values over the epoch, `val_*` are the values after it.
    """
    rows = []
    for record in (one.record for one in stored):
        for epoch in record.history:
            row = epoch.model_dump(exclude={"train", "val"})
            row |= {f"train_{name}": value for name, value in epoch.train.model_dump().items()}
            row |= {f"val_{name}": value for name, value in epoch.val.model_dump(exclude={"iou"}).items()}
            rows.append({name: getattr(record, name) for name in ("trial", "cell", "label", "seed")} | row)
    whole = ["epoch", "step", "images"]
    real = ["learning_rate", "seconds", "images_per_second", "train_loss", "train_miou", "train_pixel_accuracy"]
    real += ["val_loss", "val_miou", "val_pixel_accuracy", "val_mean_dice", "val_mean_image_iou", "val_boundary_iou"]
    frame = pd.DataFrame(rows, columns=["trial", "cell", "label", "seed", *whole, *real])
    return frame.astype({"seed": "int64", **dict.fromkeys(whole, "int64"), **dict.fromkeys(real, "float64")})


def classes(stored: Iterable[Stored]) -> pd.DataFrame:
    """Make the table per class, one row per (trial, view, class); `pixels` counts the class's pixels in the truth."""
    rows = [
        {name: getattr(record, name) for name in ("trial", "cell", "label", "seed")} | row
        for record in (one.record for one in stored)
        for view in record.views
        for row in _of_classes(record, view)
    ]
    real = ["iou", "dice", "boundary"]
    columns = ["trial", "cell", "label", "seed", "view", "split", "class_id", "class_name", *real, "pixels"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype({"seed": "int64", "class_id": "int64", "pixels": "Int64", **dict.fromkeys(real, "float64")})


def _of_classes(record: Record, view: ViewScores) -> Iterator[dict[str, Any]]:
    names = record.dataset.class_names if record.dataset else []
    for index in range(max(len(view.iou), len(view.confusion))):
        yield {
            "view": view.view,
            "split": view.split,
            "class_id": index,
            "class_name": names[index] if index < len(names) else f"class {index}",
            "pixels": sum(view.confusion[index]) if view.confusion else None,
            **{name: values[index] for name in ("iou", "dice", "boundary") if (values := getattr(view, name))},
        }


def slices(stored: Iterable[Stored]) -> pd.DataFrame:
    """Make the table per slice, one row per (trial, split, feature, value), of the weights as they were trained.

    Columns: `trial, cell, label, seed, split, feature, value`, `images`, `pixels` (labelled ones), `miou` (a fraction,
    over the classes that occur in the slice), `scoring`.
    """
    rows = [
        {
            **{name: getattr(record, name) for name in ("trial", "cell", "label", "seed")}, "split": view.split,
            "feature": one.feature, "value": one.value, "images": one.images, "pixels": sum(map(sum, one.confusion)),
            "miou": mean_iou(np.array(one.confusion)), "scoring": record.scoring,
        }
        for record in (one.record for one in stored)
        for view in record.views
        for one in view.slices
    ]  # fmt: skip
    columns = ["trial", "cell", "label", "seed", "split", "feature", "value", "images", "pixels", "miou", "scoring"]
    whole = dict.fromkeys(("seed", "images", "pixels", "scoring"), "int64")
    return pd.DataFrame(rows, columns=columns).astype({**whole, "miou": "float64"})


def write_tables(run: StrPath | Run) -> list[Path]:
    """Write the tables of a run folder as Parquet and CSV, each atomically, and return their paths.

    They are `tables/trials`, `history` and `classes`, and `slices` if a trial has some. Equal records give equal bytes.

    Raises:
        ValueError: no readable record, or the folder is a published release; one line.
    """
    run = run if isinstance(run, Run) else read_run(run)
    refuse_release(run.folder)
    paths = []
    per_slice = slices(run.trials)
    for name, frame in (
        ("trials", trials(run.trials)),
        ("history", history(run.trials)),
        ("classes", classes(run.trials)),
        *([("slices", per_slice)] if len(per_slice) else []),
    ):
        parquet = io.BytesIO()
        frame.to_parquet(parquet, index=False)
        paths.append(write_bytes(run.folder / "tables" / f"{name}.parquet", parquet.getvalue()))
        paths.append(write_bytes(run.folder / "tables" / f"{name}.csv", frame.to_csv(index=False).encode()))
    return paths
