"""How the masks of a set say their classes: by values, through a table, by colours, or in a MATLAB file.

A code turns the encoded mask into class ids uint8 (H, W), 255 = void. Its text tells sets of equal bytes and different
classes apart.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from PIL import Image

from bench.core import UsageError
from bench.data.image_io import Source, decoded, encoded
from bench.data.sources.stored import Stored, in_colors, is_colors, one_channel

_MATLAB_BYTES = 1 << 20  # compressed a thousand to one this is still no bomb
Color = tuple[int, int, int]


class MaskCode(Protocol):
    def __call__(self, source: Source, data: bytes) -> np.ndarray: ...


@dataclasses.dataclass(frozen=True)
class Values:
    """One channel of values; `table` maps value -> class id, None = as it is. Values that it lacks are faults."""

    table: Mapping[int, int] | None = None

    def __call__(self, source: Source, data: bytes) -> np.ndarray:
        return self.of(source, decoded(source, data, one_channel))

    def of(self, source: Source, stored: Stored) -> np.ndarray:
        if not stored.ids:
            raise UsageError(
                f"{source}: a GIF in colors, whose indices are no class ids; save the mask as PNG, or set "
                "data.mask_values=colors (with a classes.yaml that has the color of every class)"
            )
        return self.ids(source, stored.values)

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
class Shown:
    """The greys that are shown, whatever the values behind them."""

    def __call__(self, source: Source, data: bytes) -> np.ndarray:
        return self.of(source, decoded(source, data, one_channel))

    def of(self, source: Source, stored: Stored) -> np.ndarray:
        return stored.greys(source)

    def __str__(self) -> str:
        return "greys as shown"


@dataclasses.dataclass(frozen=True)
class ValuesOrColors:
    """For a set whose classes have colors: masks of several channels hold those, and others if `grey` or `palette`.

    Attributes:
        grey: whether files of grey values are read by color.
        palette: whether files with a palette are.
        values: how the rest is read.
        any_color: whether any mask of the set is read by color.
    """

    colors: Colors
    grey: bool = False
    palette: bool = False
    values: Values | Shown = Values()
    any_color: bool = True

    def __call__(self, source: Source, data: bytes) -> np.ndarray:
        def read(image: Image.Image, source: Source) -> np.ndarray:
            if is_colors(image):
                return self.colors.of(source, in_colors(image, source))
            stored = one_channel(image, source)
            if self.palette if stored.palette else self.grey:
                return self.colors.of(source, stored.rgb(source))
            return self.values.of(source, stored)

        return decoded(source, data, read)

    def __str__(self) -> str:
        kinds = f"{'grey or ' if self.grey else ''}{'palettes or ' if self.palette else ''}"
        return f"ids or {kinds}{self.colors}{f', {self.values}' if str(self.values) else ''}"


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
