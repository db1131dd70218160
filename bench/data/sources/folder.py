"""Load a data set from a local folder in any layout that bench.data.sources.exports knows (docs/data.md)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.core import IGNORE_INDEX, UsageError
from bench.data.dataset import Dataset
from bench.data.sources import examination, exports, slices
from bench.data.sources.agreement import agreed, code_of, sparse
from bench.data.sources.classes import Declared, unnamed
from bench.data.sources.examination import Classes, Faults
from bench.data.sources.layout import root_of
from bench.data.sources.mask_codes import MaskCode, ValuesOrColors
from bench.data.sources.palette import colors
from bench.data.sources.set_notes import absent
from results import counted

if TYPE_CHECKING:
    from bench.spec import DataSpec

_GAPS = 8  # tolerated number of unused ids below the largest id in use
_MIDDLE = IGNORE_INDEX // 2
_VOID_NAMES = ("void", "ignore", "ignored", "unlabeled", "unlabelled", "unlabeled area")
_USES = {"train": "train", "val": "validate", "test": "test"}


def load(spec: DataSpec, division: tuple[float, int] = (0.2, 0)) -> Dataset:
    """Find, pair, read and check every file of `spec.root`.

    Args:
        division: share of the images used for validation, in (0, 1), and seed of that choice. Used if the layout has no
            splits.

    Raises:
        UsageError: the first fault, with its file and what to do. With `spec.on_error` skip: only a fault of the data
            set as a whole.
    """
    faults = Faults(spec.on_error == "stop")
    root = root_of("folder", spec.root)
    export = exports.read(root, exports.Request(faults, spec.masks, spec.mask_values == "binary", *division))
    code, notes = export.code, export.notes
    masks = [pair.mask for part in export.splits.values() for pair in part.values()]
    if code is None:
        code, more = code_of(root, masks, export.known.coded if export.known else None, spec.mask_values)
        notes += more
    else:
        agreed(root, (mask for mask in masks if isinstance(mask, Path)))
        spec = spec.model_copy(update={"mask_values": "ids"})
    found = checked(root, spec, examination.examine(export.splits, code, faults), export.known, notes)
    found = slices.with_file(found, root, {key for part in export.splits.values() for key in part})
    return _named(root, export, found) if export.kind else found


def _named(root: Path, export: exports.Export, found: Dataset) -> Dataset:
    """Return the data set with a note on the layout that was read."""
    counts = ", ".join(f"{len(split)} to {_USES[name]}" for name, split in found.splits.items())
    said = f"{root}: read as {export.kind}: {counted(len(found.class_names), 'class', 'classes')}, {counts}"
    return dataclasses.replace(found, notes=(said, *found.notes))


def checked(
    root: Path, spec: DataSpec, found: examination.Examined, known: Declared | None, notes: tuple[str, ...] = ()
) -> Dataset:
    """Return the data set of a user's pairs. Its classes are those declared, else those found in the masks.

    Args:
        known: the class list; None if there is none.
        notes: notes so far; those made here are appended.

    Raises:
        UsageError: the first fault, if faults stop; an empty split; fewer than two classes; masks whose values cannot
            be taken for class ids; or masks declared binary with other than two classes.
    """
    examination.something_left(root, found)
    pixels = np.sum([facts.values for facts in found.facts.values()], axis=0, dtype=np.int64)
    values = np.flatnonzero(pixels)
    binary = _is_binary(spec.mask_values, {int(value) for value in values}, known, found.code)
    if known is None and spec.mask_values == "auto":
        notes += _soft_edges(root, pixels)
        no_greys(root, found)
    if binary and spec.mask_values == "auto":
        notes += (
            f"{root}: the masks hold only 0 and 255, read as background and foreground; "
            "if 255 is void there, set data.mask_values=ids",
        )
    classes = known.classes if known else _classes_found(values, binary)
    if binary and len(classes.names) != 2:
        raise UsageError(
            f"{root}: data.mask_values=binary has two classes, but {len(classes.names)} are declared; set it to ids"
        )
    if len(classes.names) < 2:
        raise UsageError(
            f"{root}: one class alone, {classes.names[0]!r}, so there is nothing to learn; the masks need two"
        )
    if binary:
        _only_binary(found)
    else:
        grey = "; if the values are greys, or colors turned grey, give each class its grey as color in classes.yaml"
        examination.in_range(found, len(classes.names), grey if sparse(values.tolist()) else "")
    examination.something_left(root, found)
    if not binary:
        gaps = "" if known else "; if the ids have gaps, docs/data.md says how to close them"
        notes += absent(root, found, classes.names, gaps)
        notes += _called_void(root, pixels, classes.names)
    name = spec.name or root.name
    return examination.dataset(root, name, found, classes, finish=as_foreground if binary else None, notes=notes)


def _called_void(root: Path, pixels: np.ndarray, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return a note if a class with pixels bears a name for pixels that do not count."""
    found = [id for id, name in enumerate(names) if name.strip("_ ").lower() in _VOID_NAMES and pixels[id]]
    if not found:
        return ()
    return (
        f"{root}: class {names[found[0]]!r} (id {found[0]}) is trained and scored like any other; if its pixels are "
        "not to count, docs/data.md says how they become void (255)",
    )


def as_foreground(values: np.ndarray) -> np.ndarray:
    """Map 1 and 255 of a binary mask to class 1; 0 stays class 0."""
    return np.minimum(values, 1)


def _is_binary(mask_values: str, found: set[int], known: Declared | None, code: MaskCode) -> bool:
    """Return whether 255 is the foreground of a data set of two classes, instead of void."""
    if isinstance(code, ValuesOrColors) and code.any_color:
        return False
    two_classes = known is None or len(known.classes.names) == 2
    return mask_values == "binary" or (mask_values == "auto" and found == {0, IGNORE_INDEX} and two_classes)


def _soft_edges(root: Path, pixels: np.ndarray) -> tuple[str, ...]:
    """Return a note if values between 0 and 255 may be the soft edges of a black and white mask.

    Class ids may have gaps, and void may cover a large area. But if values reach the middle grey, 127, and 255 covers
    more pixels than all values between, then 255 is the foreground and not void.

    Raises:
        UsageError: 255 is the foreground, so the values between are soft edges.
    """
    between = np.flatnonzero(pixels[1:IGNORE_INDEX]) + 1
    if not (between.size and pixels[0] and pixels[IGNORE_INDEX]):
        return ()
    largest, count = int(between[-1]), between.size
    if largest < _MIDDLE and largest - count <= _GAPS:
        return ()
    held = f"{root}: the masks hold {counted(count, 'value')} besides 0 and 255, up to {largest}"
    todo = "threshold them, name the classes in classes.txt, or set data.mask_values=ids"
    if largest >= _MIDDLE and pixels[IGNORE_INDEX] > pixels[between].sum():
        raise UsageError(f"{held}, on fewer pixels than 255: these are soft edges, not class ids; {todo}")
    return (f"{held}, read as class ids; if they are soft edges, {todo}",)


def no_greys(root: Path, found: examination.Examined) -> None:
    """Refuse grey levels, or colors converted to grey, that would be read as undeclared class ids.

    Raises:
        UsageError: the values are too few compared with the largest, see `sparse`.
    """
    ids = np.flatnonzero(np.sum([facts.values[:IGNORE_INDEX] for facts in found.facts.values()], axis=0)).tolist()
    if not sparse(ids):
        return
    shown = f"{', '.join(map(str, ids[:10]))}{', ...' if len(ids) > 10 else ''}"
    grey = f"color: [{ids[-1]}, {ids[-1]}, {ids[-1]}]"
    raise UsageError(
        f"{root}: the masks hold {shown}: {ids[-1] + 1} classes if these are class ids, but only {len(ids)} are there; "
        f"if they are greys, or colors turned grey, write a classes.yaml with each as the color of a class ({grey}); "
        "if they are ids, set data.mask_values=ids or name the classes in classes.txt"
    )


def _only_binary(found: examination.Examined) -> None:
    for key, facts in list(found.facts.items()):
        present = np.flatnonzero(facts.values)
        if (wrong := present[(present > 1) & (present < IGNORE_INDEX)]).size:
            pair = next(split[key] for split in found.splits.values() if key in split)
            found.drop(
                key,
                f"{pair.mask}: value {wrong[0]} in a binary mask; it may hold 0, 1 and 255, else set "
                "data.mask_values=ids",
            )


def _classes_found(values: np.ndarray, binary: bool) -> Classes:
    if binary:
        return Classes(("background", "foreground"), colors(2))
    return unnamed(int(max(values[values < IGNORE_INDEX], default=0)) + 1)
