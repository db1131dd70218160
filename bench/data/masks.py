"""How the masks of a set say their classes: by values, through a table, by colours, or in a MATLAB file.

A code turns the encoded mask into class ids uint8 (H, W), 255 = void. Its text tells sets of equal bytes and different
classes apart.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
from PIL import Image

from bench.data.reading import Source, decoded, encoded, in_colors, is_grey, one_channel
from bench.errors import UsageError

_MATLAB_BYTES = 1 << 20  # compressed a thousand to one this is still no bomb
Color = tuple[int, int, int]


class MaskCode(Protocol):
    def __call__(self, source: Source, data: bytes) -> np.ndarray: ...


@dataclasses.dataclass(frozen=True)
class Values:
    """One channel of values; `table` maps value -> class id, None = as it is. Values that it lacks are faults."""

    table: Mapping[int, int] | None = None

    def __call__(self, source: Source, data: bytes) -> np.ndarray:
        return self.ids(source, decoded(source, data, one_channel))

    def ids(self, source: Source, values: np.ndarray) -> np.ndarray:
        if self.table is None:
            return values
        lookup = np.full(256, -1, np.int16)
        lookup[list(self.table)] = list(self.table.values())
        ids = lookup[values]
        if (ids < 0).any():
            wrong = values[ids < 0]
            raise UsageError(
                f"{source}: value {wrong[0]} on {len(wrong)} pixels, which this set does not have; correct the mask"
            )
        return ids.astype(np.uint8)

    def __str__(self) -> str:
        return "" if self.table is None else f"values {sorted(self.table.items())}"


@dataclasses.dataclass(frozen=True)
class Colors:
    """RGB colours, one or more a class id."""

    ids: Mapping[Color, int]

    def __call__(self, source: Source, data: bytes) -> np.ndarray:
        return self.of(source, decoded(source, data, in_colors))

    def of(self, source: Source, rgb: np.ndarray) -> np.ndarray:
        packed = (rgb.astype(np.uint32) * np.array([1 << 16, 1 << 8, 1], np.uint32)).sum(axis=-1, dtype=np.uint32)
        known = np.array(sorted(_packed(color) for color in self.ids), np.uint32)
        values = {_packed(color): value for color, value in self.ids.items()}
        place = np.minimum(np.searchsorted(known, packed), len(known) - 1)
        if (wrong := packed[known[place] != packed]).size:
            color = [int(wrong[0] >> 16), int(wrong[0] >> 8 & 255), int(wrong[0] & 255)]
            raise UsageError(
                f"{source}: color {color} on {(wrong == wrong[0]).sum()} pixels is no class; name it in classes.yaml "
                "(under 255 if it is void) or correct the mask"
            )
        return np.array([values[int(one)] for one in known], np.uint8)[place]

    def __str__(self) -> str:
        return f"colors {sorted(self.ids.items())}"


@dataclasses.dataclass(frozen=True)
class ValuesOrColors:
    """For a user's folder: a mask of one channel holds ids, or colours if it is grey and `grey`; any other colours."""

    colors: Colors
    grey: bool = False

    def __call__(self, source: Source, data: bytes) -> np.ndarray:
        def read(image: Image.Image, source: Source) -> np.ndarray:
            if len(image.getbands()) > 1 or (self.grey and is_grey(image)):
                return self.colors.of(source, in_colors(image, source))
            return one_channel(image, source)

        return decoded(source, data, read)

    def __str__(self) -> str:
        return f"ids or {'grey or ' if self.grey else ''}{self.colors}"


def grey_in_colors(masks: Iterable[Source], colors: Colors) -> bool:
    """Whether the grey masks of a set, if it has any, hold nothing but greys that are colours of classes.

    It takes the whole set: one mask of 0 may be class 0 or black. All masks of ids show other values than declared
    greys, unless ids and greys are the same numbers.
    """
    greys = {red for red, green, blue in colors.ids if red == green == blue}
    found = False
    for source in masks if greys else ():
        try:
            values = decoded(source, encoded(source), _values_if_grey)
        except UsageError:  # told when the pairs are examined
            continue
        if not greys.issuperset(values):
            return False
        found |= bool(values)
    return found


def _values_if_grey(image: Image.Image, source: Source) -> list[int]:
    if not is_grey(image):
        return []
    return np.flatnonzero(np.bincount(one_channel(image, source).ravel(), minlength=256)).tolist()


@dataclasses.dataclass(frozen=True)
class Matlab:
    """The MATLAB files of the Semantic Boundaries Dataset: ids in GTcls.Segmentation."""

    def __call__(self, source: Source, data: bytes) -> np.ndarray:
        from scipy.io import loadmat

        try:
            if len(data) > _MATLAB_BYTES:
                raise ValueError(f"more than {_MATLAB_BYTES >> 20} MiB")
            return np.asarray(loadmat(io.BytesIO(data))["GTcls"]["Segmentation"][0, 0], np.uint8)
        except Exception as error:  # loadmat raises ValueError, KeyError, TypeError, zlib.error, ...
            raise UsageError(
                f"{source}: cannot be read as a mask of SBD ({error}); replace or remove the file"
            ) from None

    def __str__(self) -> str:
        return "matlab"


@dataclasses.dataclass(frozen=True)
class ByKey:
    """A table of its own for each mask, found by the name of its file: breeds of pets."""

    tables: Mapping[str, Values]

    def __call__(self, source: Source, data: bytes) -> np.ndarray:
        return self.tables[source.name.partition(".")[0]](source, data)

    def __str__(self) -> str:
        return f"by key {sorted((key, str(code)) for key, code in self.tables.items())}"


def label_of(source: Source, code: MaskCode) -> np.ndarray:
    """The class ids of a mask, uint8 (H, W)."""
    return code(source, encoded(source))


def _packed(color: Sequence[int]) -> int:
    return color[0] << 16 | color[1] << 8 | color[2]
