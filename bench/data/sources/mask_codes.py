"""Codes that read masks: by values, through a table, by colours, or from a MATLAB file.

A code turns an encoded mask into class ids uint8 (H, W), 255 = void. Its `str()` is part of the version of a data set,
so data sets with equal bytes and different classes differ.
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
from results import counted

_MATLAB_BYTES = 1 << 20  # even compressed a thousand to one, the content fits into memory
Color = tuple[int, int, int]


class MaskCode(Protocol):
    """From a source (for messages) and its encoded bytes to class ids uint8 (H, W). Raises UsageError on a fault."""

    def __call__(self, source: Source, data: bytes) -> np.ndarray: ...


@dataclasses.dataclass(frozen=True)
class Values:
    """Masks of one channel. `table` maps value to class id; other values are faults. None: values are class ids."""

    table: Mapping[int, int] | None = None

    def __call__(self, source: Source, data: bytes) -> np.ndarray:
        return self.of(source, decoded(source, data, one_channel))

    def of(self, source: Source, stored: Stored) -> np.ndarray:
        """Return the class ids, uint8 (H, W), of a mask of one channel.

        Raises:
            UsageError: a GIF in colors, or a value that `table` lacks.
        """
        if not stored.ids:
            raise UsageError(
                f"{source}: a GIF in colors, whose indices are no class ids; save the mask as PNG, or set "
                "data.mask_values=colors (with a classes.yaml that has the color of every class)"
            )
        return self.ids(source, stored.values)

    def ids(self, source: Source, values: np.ndarray) -> np.ndarray:
        """Return the class ids of values, both uint8 (H, W).

        Raises:
            UsageError: a value that `table` lacks.
        """
        if self.table is None:
            return values
        lookup = np.full(256, -1, np.int16)
        lookup[list(self.table)] = list(self.table.values())
        ids = lookup[values]
        if (ids < 0).any():
            wrong = values[ids < 0]
            raise UsageError(
                f"{source}: value {wrong[0]} on {counted(len(wrong), 'pixel')}, which this set does not have; "
                "correct the mask"
            )
        return ids.astype(np.uint8)

    def __str__(self) -> str:
        return "" if self.table is None else f"values {sorted(self.table.items())}"


@dataclasses.dataclass(frozen=True)
class Colors:
    """Masks in RGB. `ids` maps colour to class id; a class may have several colours. Other colours are faults."""

    ids: Mapping[Color, int]

    def __call__(self, source: Source, data: bytes) -> np.ndarray:
        return self.of(source, decoded(source, data, in_colors))

    def of(self, source: Source, rgb: np.ndarray) -> np.ndarray:
        """Return the class ids, uint8 (H, W), of colours uint8 (H, W, 3).

        Raises:
            UsageError: a colour that is no class.
        """
        packed = (rgb.astype(np.uint32) * np.array([1 << 16, 1 << 8, 1], np.uint32)).sum(axis=-1, dtype=np.uint32)
        known = np.array(sorted(_packed(color) for color in self.ids), np.uint32)
        values = {_packed(color): value for color, value in self.ids.items()}
        place = np.minimum(np.searchsorted(known, packed), len(known) - 1)
        if (wrong := packed[known[place] != packed]).size:
            color = [int(wrong[0] >> 16), int(wrong[0] >> 8 & 255), int(wrong[0] & 255)]
            number = counted((wrong == wrong[0]).sum(), "pixel")
            raise UsageError(
                f"{source}: color {color} on {number} is no class; name it in classes.yaml "
                "(under 255 if it is void) or correct the mask"
            )
        return np.array([values[int(one)] for one in known], np.uint8)[place]

    def __str__(self) -> str:
        return f"colors {sorted(self.ids.items())}"


@dataclasses.dataclass(frozen=True)
class Shown:
    """Masks of one channel, read by the grey that is shown for a value instead of the value."""

    def __call__(self, source: Source, data: bytes) -> np.ndarray:
        return self.of(source, decoded(source, data, one_channel))

    def of(self, source: Source, stored: Stored) -> np.ndarray:
        """Return the shown greys, uint8 (H, W), as class ids.

        Raises:
            UsageError: a color is shown that is not grey, or that is not defined.
        """
        return stored.greys(source)

    def __str__(self) -> str:
        return "greys as shown"


@dataclasses.dataclass(frozen=True)
class ValuesOrColors:
    """Masks of a data set whose classes have colors. Masks of several channels are read by color.

    Attributes:
        colors: class id per color.
        grey: whether grey files are read by color, too.
        palette: whether files with a palette are read by color, too.
        values: how all other files are read.
        any_color: whether any mask of the data set is read by color.
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
    """MATLAB files of the Semantic Boundaries Dataset (SBD), with class ids in GTcls.Segmentation."""

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
    """Masks that each have their own table, found by file name: the breeds of Oxford-IIIT Pet."""

    tables: Mapping[str, Values]

    def __call__(self, source: Source, data: bytes) -> np.ndarray:
        return self.tables[source.name.partition(".")[0]](source, data)

    def __str__(self) -> str:
        return f"by key {sorted((key, str(code)) for key, code in self.tables.items())}"


def label_of(source: Source, code: MaskCode) -> np.ndarray:
    """Read a mask and return its class ids, uint8 (H, W).

    Raises:
        UsageError: it cannot be read, or has a value or colour that is no class.
    """
    return code(source, encoded(source))


def _packed(color: Sequence[int]) -> int:
    return color[0] << 16 | color[1] << 8 | color[2]
