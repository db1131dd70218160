"""What is known of images besides their pixels, such as site and time of day: `slices.csv`, or features of examples.

Scores are reported for the images of each value. So every image of a split has a value of a feature, or none has one.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.core import UsageError, nearest
from bench.data.dataset import Dataset
from bench.data.sources.layout import key_of, line_of, text_of
from results import counted

FILE = "slices.csv"
FEATURE = "image/slice/"
"""What the name of a feature of an example begins with, if it is one of these."""
MOST = 32
"""Most values of all features of the splits that are scored. A record holds a confusion matrix of each."""

Values = Mapping[str, Mapping[str, str]]
"""From key of an image to feature to value."""


def with_file(dataset: Dataset, root: Path, known: Collection[str] = ()) -> Dataset:
    """Return a data set with the features that `slices.csv` in its folder names; unchanged if there is none.

    Args:
        known: keys of images that the file may name although they are not in the set.

    Raises:
        UsageError: the file has a fault, see `with_features`; names a line where there is one.
    """
    path = root / FILE
    if not path.exists():
        return dataset
    keys = {*known, *(key for split in dataset.splits.values() for key in split.keys)}
    values = {}
    for place, key, row in _rows(path):
        if key not in keys:
            raise UsageError(f"{place}: no image has the key {key!r}{nearest(key, sorted(keys))}; remove the line")
        if key in values:
            raise UsageError(f"{place}: a second line of image {key!r}; keep one")
        values[key] = row
    if not any(values.values()):
        raise UsageError(f"{path}: no line names an image with a value; add them, or remove the file")
    return with_features(dataset, values, str(path))


def with_features(dataset: Dataset, values: Values, where: str) -> Dataset:
    """Return a data set with features of its images, and a note that names them; unchanged if there are none.

    Args:
        where: what holds the values, for messages.

    Raises:
        UsageError: an image of a split lacks a value that another has, no image of a split that is scored has one, or
            there are too many values.
    """
    names = [*dict.fromkeys(name for row in values.values() for name in row)]
    if not names:
        return dataset
    splits = {
        split: dataclasses.replace(part, features=_columns(part.keys, split, names, values, where))
        for split, part in dataset.splits.items()
    }
    scored = [part for split, part in splits.items() if split != "train"]
    distinct = {name: {value for part in scored for value in part.features.get(name, ())} for name in names}
    for name, found in distinct.items():
        if not found:
            raise UsageError(f"{where}: no image of val or test has a {name}, so nothing is scored by it; remove it")
    shown = ", ".join(f"{name} ({counted(len(found), 'value')})" for name, found in distinct.items())
    if sum(map(len, distinct.values())) > MOST:
        raise UsageError(f"{where}: {shown}; at most {MOST} values in all can be scored: merge some, or remove one")
    return dataclasses.replace(dataset, splits=splits, notes=(*dataset.notes, f"{where}: scored by {shown}"))


def value_of(feature: Any) -> str:
    """Return the value that a feature of an example holds.

    Raises:
        ValueError: it does not hold one text or one whole number.
    """
    texts = [value.decode("utf-8") for value in feature.bytes_list.value]
    (value,) = texts + [str(number) for number in feature.int64_list.value]
    if not value.strip():
        raise ValueError("an empty text")
    return value.strip()


def text(dataset: Dataset) -> str:
    """Return the content of `slices.csv` for a data set; empty if it has no features."""
    names = [*dict.fromkeys(name for split in dataset.splits.values() for name in split.features)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["image", *names])
    for split in dataset.splits.values():
        columns = [split.features.get(name, [""] * len(split)) for name in names]
        writer.writerows(zip(map(line_of, split.keys), *columns, strict=True) if split.features else ())
    return out.getvalue() if names else ""


def _columns(keys: tuple[str, ...], split: str, names: list[str], values: Values, where: str) -> dict[str, Any]:
    """Return the features that the images of a split have, a value per image."""
    found = {}
    for name in names:
        column = [values.get(key, {}).get(name, "") for key in keys]
        if any(column) and not all(column):
            lacking = keys[column.index("")]
            raise UsageError(
                f"{where}: image {lacking!r} of the split {split} has no {name}; give one to every image of a split, "
                "or to none"
            )
        if any(column):
            found[name] = tuple(column)
    return found


def _rows(path: Path) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Yield (place, key, {feature: value}) of each line of the file; a value that is missing is left out."""
    reader = csv.reader(io.StringIO(text_of(path)), strict=True)
    head: list[str] = []
    try:
        for row in reader:
            place, fields = f"{path}, line {reader.line_num}", [field.strip() for field in row]
            if not any(fields):
                continue
            if not head:
                head = _head(fields, place)
                continue
            if len(fields) != len(head):
                raise UsageError(f"{place}: {counted(len(fields), 'field')}, but the first line names {len(head)}")
            named = dict(zip(head[1:], fields[1:], strict=True))
            yield place, key_of(fields[0]), {name: value for name, value in named.items() if value}
    except csv.Error as error:
        raise UsageError(f"{path}, line {reader.line_num}: not CSV ({error}); correct the line") from None


def _head(fields: list[str], place: str) -> list[str]:
    if fields[0] != "image" or len(fields) < 2 or not all(fields) or len(set(fields)) < len(fields):
        raise UsageError(
            f"{place}: {','.join(fields)!r}; the first line is image,NAME,... with a name of each feature, such as "
            "image,site,time"
        )
    return fields
