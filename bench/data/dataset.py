"""The data set type that every source returns: class names, colours and splits of (image, label) pairs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bench.core import IGNORE_INDEX, UsageError

Pair = tuple[np.ndarray, np.ndarray]


class Slice(NamedTuple):
    """The images of a split that have one value of a feature, such as time = night.

    Attributes:
        feature: its name.
        value: the value.
        positions: of the images in the split, ascending, int64 (n,).
    """

    feature: str
    value: str
    positions: np.ndarray


@dataclasses.dataclass(frozen=True)
class Split:
    """The keys of a split and a function that reads one. No pixels are held in memory.

    Attributes:
        keys: one per sample, N in all.
        reader: from a key to (image uint8 (H, W, 3), label uint8 (H, W)).
        version: splits with an equal, non-empty version read the same pixels for a key.
        stored: from a key to the encoded bytes of the image; None where there is no encoded image.
        background: id of the class that is not an object, see `Dataset.with_background`.
        present: which classes each image contains, bool (N, C); None if that is unknown without reading.
        pixels: number of pixels per image, int64 (N,); None if that is unknown without reading.
        features: what else is known of the images, by name: one value per image. Scores are reported per value.
    """

    keys: tuple[str, ...]
    reader: Callable[[str], Pair]
    version: str = ""
    stored: Callable[[str], bytes] | None = None
    background: int = 0
    present: np.ndarray | None = dataclasses.field(default=None, compare=False)
    pixels: np.ndarray | None = dataclasses.field(default=None, compare=False)
    features: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict, compare=False)

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, index: int) -> Pair:
        """Return image uint8 (H, W, 3) and label uint8 (H, W) at native size. Label 255 is void (ignore_index)."""
        return self.reader(self.keys[index])

    def limited(self, count: int | None) -> Split:
        """Return the split cut to the first `count` keys of a fixed shuffle, so a larger limit contains a smaller one.

        None, or a `count` of at least the number of keys, keeps the split as it is.
        """
        if count is None or count >= len(self):
            return self
        order = np.random.Generator(np.random.PCG64(0)).permutation(len(self))[:count]
        present, pixels = (None if known is None else known[order] for known in (self.present, self.pixels))
        keys, *columns = (tuple(column[i] for i in order) for column in (self.keys, *self.features.values()))
        features = dict(zip(self.features, columns, strict=True))
        return dataclasses.replace(self, keys=keys, present=present, pixels=pixels, features=features)

    def slices(self) -> list[Slice]:
        """Return the slices of all features, in their order, values in alphabetical order."""
        return [
            Slice(name, value, np.flatnonzero([one == value for one in column]))
            for name, column in self.features.items()
            for value in sorted(set(column))
        ]


def joined(parts: Mapping[str, Split]) -> Split:
    """Return the samples of several splits of one data set as one split, in order. Keys get the name of their split.

    It is to be trained on, so it has no features.
    """
    homes = {f"{name}/{key}": (split, key) for name, split in parts.items() for key in split.keys}
    splits = [*parts.values()]

    def reader(key: str) -> Pair:
        split, own = homes[key]
        return split.reader(own)

    def stored(key: str) -> bytes:
        split, own = homes[key]
        assert split.stored
        return split.stored(own)

    versions = [split.version for split in splits]
    return Split(
        keys=tuple(homes),
        reader=reader,
        version=" ".join(versions) if all(versions) else "",
        stored=stored if all(split.stored for split in splits) else None,
        background=splits[0].background,
        present=_stacked([split.present for split in splits]),
        pixels=_stacked([split.pixels for split in splits]),
    )


def _stacked(known: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Return arrays (N, ...) one after another; None if one is not known."""
    found = [array for array in known if array is not None]
    return np.concatenate(found) if len(found) == len(known) else None


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A checked data set.

    Attributes:
        name: name in tables and reports.
        class_names: one name per class; the index is the class id.
        colors: RGB 0..255, one colour per class.
        version: short fingerprint of the content. Equal versions have equal pixels and splits.
        splits: "train", "val" and perhaps "test".
        notes: messages for the user, one line each.
        faults: what was skipped because of a fault, one line each.
        ignore_index: label value of void pixels.
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
        """Return the data set with `Split.background` set to the class named background.

        The names that tools use are accepted too: `_background_` (labelme) and `__bg__` (Supervisely). In a data set
        without class names it is class 0.

        Raises:
            UsageError: no class has such a name.
        """
        names = [name.casefold().strip("_") for name in self.class_names]
        names = ["background" if name == "bg" else name for name in names]
        if "background" not in names and names[0] != "class_0":
            raise UsageError(
                f"{self.name}: no class is named background, and data.pixel_weights=unet needs one; "
                "set it to balanced or frequency"
            )
        background = names.index("background") if "background" in names else 0
        splits = {name: dataclasses.replace(split, background=background) for name, split in self.splits.items()}
        return dataclasses.replace(self, splits=splits)

    def training(self, names: Sequence[str]) -> Split:
        """Return the split that is trained on: one of the data set, or several joined.

        Args:
            names: of its parts, such as ("train",) or ("train", "val").
        """
        return self.splits[names[0]] if len(names) == 1 else joined({name: self.splits[name] for name in names})

    def described(self) -> dict[str, Any]:
        """Return the section of a record that tells of the data set."""
        return {
            "name": self.name,
            "version": self.version,
            "class_names": list(self.class_names),
            "colors": [list(color) for color in self.colors],
            "ignore_index": self.ignore_index,
            "images": {name: len(split) for name, split in self.splits.items()},
        }

    def limited(self, counts: Mapping[str, int | None]) -> Dataset:
        """Return the data set with each split cut to its count, see `Split.limited`. No count: the whole split."""
        splits = {name: split.limited(counts.get(name)) for name, split in self.splits.items()}
        return dataclasses.replace(self, splits=splits)
