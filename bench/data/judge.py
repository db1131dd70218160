"""Check before training, from the classes in its images, that the splits of a data set can train and be scored."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bench.core import UsageError
from bench.data.dataset import Dataset, Split
from results import counted

_NAMES = 10  # names per line


def judged(dataset: Dataset, trained: Sequence[str] = ("train",)) -> Dataset:
    """Return the data set with notes on classes that are scored but never trained, and the other way round.

    A split is not checked if its classes are unknown without reading its images.

    Args:
        dataset: all splits.
        trained: names of the splits that are trained on.

    Raises:
        UsageError: a split has no labelled pixel, or labelled pixels of one class only.
    """
    for name, split in dataset.splits.items():
        _refuse(dataset, name, split)
    notes = (*_never_trained(dataset, trained), *_never_scored(dataset, trained))
    return dataclasses.replace(dataset, notes=(*dataset.notes, *notes))


def _refuse(dataset: Dataset, name: str, split: Split) -> None:
    if split.present is None:
        return
    ids = np.flatnonzero(split.present.any(axis=0))
    where = f"{dataset.name}: the split {name} ({counted(len(split), 'image')})"
    if not ids.size:
        raise UsageError(f"{where} has no labelled pixel, all are void (255); {_remedy(name)}")
    if ids.size == 1:
        only = f"{dataset.class_names[ids[0]]!r} (id {ids[0]})"
        what = "there is nothing to learn" if name == "train" else "predicting it everywhere scores 1"
        raise UsageError(f"{where} has only one class, {only}, so {what}; {_remedy(name)}")


def _remedy(name: str) -> str:
    remedy = f"give it images with labels of two classes or more, or raise data.{name}_limit if that cut it"
    return f"{remedy}, or leave the split out" if name == "test" else remedy


def _never_trained(dataset: Dataset, on: Sequence[str]) -> tuple[str, ...]:
    """Return one note per split that has classes which the splits that are trained on lack."""
    known = [classes for name in on if (classes := _classes(dataset.splits, name)) is not None]
    if len(known) < len(on):
        return ()
    trained, lack = np.any(known, axis=0), "train lacks" if len(on) == 1 else f"{' and '.join(on)} lack"
    notes = []
    for name in dataset.splits:
        present = _classes(dataset.splits, name)
        if present is not None and (only := np.flatnonzero(present & ~trained)).size:
            names = shortened(f"{dataset.class_names[index]} (id {index})" for index in only)
            notes.append(
                f"{dataset.name}: {name} has classes that {lack}, so their IoU stays 0 and lowers mIoU: {names}; "
                "move some of these images to train"
            )
    return tuple(notes)


def _never_scored(dataset: Dataset, on: Sequence[str]) -> tuple[str, ...]:
    """Return one note per split that is scored and lacks classes that are trained."""
    known = [classes for name in on if (classes := _classes(dataset.splits, name)) is not None]
    notes = []
    for name in dataset.splits:
        present = _classes(dataset.splits, name)
        if name in on or present is None or not known:
            continue
        if (lacking := np.flatnonzero(np.any(known, axis=0) & ~present)).size:
            names = shortened(f"{dataset.class_names[index]} (id {index})" for index in lacking)
            notes.append(
                f"{dataset.name}: {name} has no pixel of {names}; such a class counts in mIoU, with an IoU of 0, only "
                f"if a model predicts it somewhere in {name}; move some images with it to {name}"
            )
    return tuple(notes)


def _classes(splits: Mapping[str, Split], name: str) -> np.ndarray | None:
    split = splits.get(name)
    return None if split is None or split.present is None else split.present.any(axis=0)


def shortened(names: Iterable[str]) -> str:
    """Return names joined by commas: the first ten, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - _NAMES} more" if len(every) > _NAMES else ""
    return ", ".join(every[:_NAMES]) + more
