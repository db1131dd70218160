"""What is audited: the record's matrix, the trial's SavedModel, and the split that it was scored on, as shards."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import results
from bench.core import UsageError
from bench.data import Dataset, load, write_shards
from bench.export import FORMATS, Source, Views, checked, write
from bench.spec import TrialSpec

TFX = FORMATS["tfx"]


@dataclass(frozen=True)
class Material:
    """What the referee gets, and what its counts are compared with.

    Attributes:
        confusion: of the record, (C, C) int64, rows = truth.
        names: of the classes.
        model: folder of the SavedModel.
        shards: pattern of the shards' paths.
    """

    confusion: np.ndarray
    names: tuple[str, ...]
    model: Path
    shards: str


def checked_record(source: Source, split: str, root: Path | None) -> tuple[TrialSpec, np.ndarray]:
    """Return the specification of a trial and its confusion matrix on a split, without importing TensorFlow.

    Args:
        root: folder of the data set, if it has moved.

    Raises:
        UsageError: the trial has no weights or no matrix of the split, or no SavedModel of it takes Examples.
    """
    spec, _ = checked(source, [TFX], Views())
    record = source.trial.record
    view = next((one for one in record.views if (one.view, one.split) == ("default", split)), None)
    if view is None or not view.confusion:
        known = [one.split for one in record.views if one.view == "default" and one.confusion]
        raise UsageError(
            f"{source.trial.folder}: trial {record.trial} has no confusion matrix of the split {split}"
            + (f"; it has one of {' and '.join(known)}" if known else "")
        )
    if root is not None:
        spec = spec.model_copy(update={"data": spec.data.model_copy(update={"root": str(root)})})
    return spec, np.array(view.confusion, np.int64)


def gathered(source: Source, spec: TrialSpec, confusion: np.ndarray, split: str, home: Path) -> Material:
    """Write the SavedModel of a trial and the shards of a split into a folder.

    The model has the precision of the trial, as its evaluation had.

    Args:
        source: the trial.
        spec, confusion: of `checked_record`.
        split: val or test.
        home: an empty folder.

    Raises:
        UsageError: the data are not those of the record, or the model cannot be written.
    """
    dataset = _same_data(source.trial.record, load(spec.data), split)
    import keras

    keras.mixed_precision.set_global_policy(spec.train.precision)
    (written,) = write(source, [TFX], Views(), home / "model")
    for _ in write_shards(dataset, home / "shards", 1000):
        pass
    return Material(confusion, dataset.class_names, written.path, str(home / "shards" / f"{split}-*.tfrecord"))


def _same_data(record: results.Record, dataset: Dataset, split: str) -> Dataset:
    """Return a data set cut to one split.

    Raises:
        UsageError: its content is another than that of the record.
    """
    known = record.dataset
    assert known is not None  # a trial with a confusion matrix has read its data
    if known.version != dataset.version:
        raise UsageError(
            f"{dataset.name}: the data have the version {dataset.version}, the record {known.version}; name the folder "
            "of the record's data with --data-root"
        )
    return replace(dataset, splits={split: dataset.splits[split]})
