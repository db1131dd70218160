"""Masks that are no pictures of ids as they lie there, handed on as such: arrays, JPEGs, drawn shapes."""

from __future__ import annotations

import dataclasses
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from bench.core import IGNORE_INDEX, UsageError
from bench.data.image_io import MAX_BYTES, Source, decoded
from bench.data.sources.stored import upright

OTHER_MASK_SUFFIXES = (".jpg", ".jpeg", ".npy")
"""What else may lie in a mask folder: arrays are read, and JPEGs where they are black and white."""
_MIDDLE = 128
_BLOCK = 0xFFFF  # bytes of a stored block of deflate


@dataclasses.dataclass(frozen=True)
class Made:
    """A mask that `make` makes of the bytes of a file: class ids, uint8 (H, W). Its text is the file."""

    path: Path
    make: Callable[[Path, bytes], np.ndarray]

    @property
    def name(self) -> str:
        return self.path.name

    def __str__(self) -> str:
        return str(self.path)

    def read_bytes(self) -> bytes:
        """The ids as a PNG.

        Raises:
            UsageError: the file is too large, or no such mask.
        """
        if (size := self.path.stat().st_size) > MAX_BYTES:
            raise UsageError(f"{self.path}: {size >> 20} MiB; at most {MAX_BYTES >> 20} are read, remove the file")
        return plain_png(self.make(self.path, self.path.read_bytes()))


def mask_of(path: Path, black_and_white: bool) -> Source:
    """A file of a mask folder as a picture of ids; `black_and_white` says that JPEGs may be read by a threshold."""
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return Made(path, _array)
    if suffix in OTHER_MASK_SUFFIXES:
        return Made(path, _threshold if black_and_white else _refused)
    return path


def plain_png(ids: np.ndarray) -> bytes:
    """uint8 (H, W) as a grey PNG, not compressed: the same bytes on every machine, so that versions of a set agree."""
    height, width = ids.shape
    rows = np.insert(ids, 0, 0, axis=1).tobytes()  # each row after the number of its filter
    blocks = [rows[at : at + _BLOCK] for at in range(0, len(rows), _BLOCK)]
    stored = b"".join(
        struct.pack("<BHH", at == len(blocks) - 1, len(block), len(block) ^ 0xFFFF) + block
        for at, block in enumerate(blocks)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", b"\x78\x01" + stored + struct.pack(">I", zlib.adler32(rows)))
        + chunk(b"IEND", b"")
    )


def _array(path: Path, data: bytes) -> np.ndarray:
    """A NumPy file of class ids (H, W), of any type; -1, as labelme writes it, is void."""
    try:
        values = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, OSError, EOFError, MemoryError) as error:
        raise UsageError(f"{path}: cannot be read as an array ({error}); replace or remove the file") from None
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "biuf":
        shape = getattr(values, "shape", "several arrays")
        raise UsageError(f"{path}: a mask is an array of numbers (height, width), this is {shape}; save the class ids")
    ids = np.where(values == -1, IGNORE_INDEX, values)
    if (wrong := ids[~((ids >= 0) & (ids <= IGNORE_INDEX) & (ids == np.floor(ids)))]).size:  # NaN, too
        raise UsageError(
            f"{path}: the mask holds the value {wrong[0]}; class ids are whole numbers, 0..254, 255 is void"
        )
    return ids.astype(np.uint8)


def _refused(path: Path, data: bytes) -> np.ndarray:
    raise UsageError(
        f"{path}: the mask is a JPEG, which invents class ids along every edge; export the masks as PNG, or where they "
        "are black and white set data.mask_values=binary (--mask-values binary)"
    )


def _threshold(path: Path, data: bytes) -> np.ndarray:
    """Black and white as 0 and 255: JPEG has greys about the edges, which go to the nearer of both."""

    def read(image: Image.Image, source: Source) -> np.ndarray:
        upright(image, source)
        return np.where(np.asarray(image.convert("L")) < _MIDDLE, 0, IGNORE_INDEX).astype(np.uint8)

    return decoded(path, data, read)
