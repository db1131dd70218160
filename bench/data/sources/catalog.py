"""The catalog of data sets by name, read from catalog.yaml. Imports no NumPy."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from bench.data.sources import palette


class Entry(NamedTuple):
    """A data set as its source describes it.

    Attributes:
        name: name for `--dataset`.
        title: full name.
        licence: licence as its source states it.
        source: where it can be obtained.
        layout: how its folders have to be arranged.
        splits: number of images per published split; empty for the user's own data.
        classes, colors: name and RGB 0..255 per class; empty if the files define them.
        download: the tensorflow-datasets builder that can fetch it; None if there is none.
        absent: mask values between the class ids that belong to no class.
        ignore_index: label value of void after reading, equal for all data sets.
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
    """Return the data sets of catalog.yaml by name."""
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
