"""What every data set is, whatever its source: names, colours and splits of (image, label) pairs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from bench.core import IGNORE_INDEX, UsageError

Pair = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Split:
    """Keys and a way to read them. Nothing is held in memory. Splits of one `version`, if they have any, read alike.

    `stored` gives a picture as it was encoded, where there is such a thing. `background` is the class that is no
    object, see `Dataset.with_background`. `present` says which class ids each picture has, bool (N, C), and `pixels`
    how many pixels, int64 (N,), where that is known without reading."""

    keys: tuple[str, ...]
    reader: Callable[[str], Pair]
    version: str = ""
    stored: Callable[[str], bytes] | None = None
    background: int = 0
    present: np.ndarray | None = dataclasses.field(default=None, compare=False)
    pixels: np.ndarray | None = dataclasses.field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, index: int) -> Pair:
        """Image uint8 (H, W, 3) and label uint8 (H, W) at native size; label 255 is void."""
        return self.reader(self.keys[index])

    def limited(self, count: int | None) -> Split:
        """The first `count` keys of a shuffle that never changes, so that a larger limit contains a smaller one."""
        if count is None or count >= len(self):
            return self
        order = np.random.Generator(np.random.PCG64(0)).permutation(len(self))[:count]
        present, pixels = (None if known is None else known[order] for known in (self.present, self.pixels))
        return dataclasses.replace(self, keys=tuple(self.keys[i] for i in order), present=present, pixels=pixels)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A checked data set.

    Attributes:
        name: for tables and reports.
        class_names: index is the class id.
        colors: RGB 0..255 a class.
        version: short fingerprint of the content; equal versions hold equal pixels and splits.
        splits: "train", "val" and perhaps "test".
        notes: what a user should be told, one line each.
        faults: what was left out, one line each.
    """

    name: str
    class_names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    version: str
    splits: Mapping[str, Split]
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    ignore_index: int = IGNORE_INDEX

    def with_background(self) -> Dataset:
        """The same with splits that know the class named background; in a set without class names that is class 0.

        It may be called as tools call it, `_background_` (labelme) or `__bg__` (Supervisely).

        Raises:
            UsageError: no class is named so.
        """
        names = [name.casefold().strip("_") for name in self.class_names]
        names = ["background" if name == "bg" else name for name in names]
        if "background" not in names and names[0] != "class_0":
            raise UsageError(
                f"{self.name}: no class is named background, so nothing lies between objects for "
                "data.pixel_weights=unet; set it to balanced or frequency"
            )
        background = names.index("background") if "background" in names else 0
        splits = {name: dataclasses.replace(split, background=background) for name, split in self.splits.items()}
        return dataclasses.replace(self, splits=splits)

    def limited(self, counts: Mapping[str, int | None]) -> Dataset:
        splits = {name: split.limited(counts.get(name)) for name, split in self.splits.items()}
        return dataclasses.replace(self, splits=splits)
