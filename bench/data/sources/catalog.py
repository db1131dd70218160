"""What is known of the data sets by name: plain data, without NumPy."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from bench.data.sources import palette


class Entry(NamedTuple):
    """A data set as its source states it.

    Attributes:
        splits: images of each as published; none for a set of the user's own.
        classes, colors: empty where the files say.
        download: the builder of tensorflow-datasets that can fetch it.
        absent: values of the masks, between the ids of classes, that no class has.
        ignore_index: the id of void once read, in every set.
    """

    name: str
    title: str
    licence: str
    source: str
    layout: str
    splits: Mapping[str, int]
    classes: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    download: str | None
    absent: tuple[int, ...]
    ignore_index: int = 255


@functools.cache
def entries() -> dict[str, Entry]:
    """The sets of catalog.yaml, by name."""
    table = yaml.safe_load(Path(__file__).with_name("catalog.yaml").read_text())
    return {name: _entry(name, row) for name, row in table.items()}


def _entry(name: str, row: Mapping[str, Any]) -> Entry:
    classes = tuple(row["classes"].split(", ")) if "classes" in row else ()
    colors = tuple((int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16)) for code in row.get("colors", "").split())
    assert not colors or len(colors) == len(classes), name
    return Entry(
        name=name,
        title=row["title"],
        licence=row["licence"],
        source=row["source"],
        layout=row["layout"],
        splits=row.get("splits", {}),
        classes=classes,
        colors=colors or palette.colors(len(classes)),
        download=row.get("download"),
        absent=tuple(map(int, str(row.get("absent", "")).split())),
    )
