"""Images and masks that are computed from a file: masks stored as arrays, JPEGs or shapes, images embedded in JSON."""

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
from bench.data.image_io import Source, decoded, encoded
from bench.data.sources.stored import upright

OTHER_MASK_SUFFIXES = (".jpg", ".jpeg", ".npy")
"""Further suffixes in a mask folder. Arrays are read; JPEGs are read only as black and white."""
_MIDDLE = 128
_BLOCK = 0xFFFF  # largest stored block of deflate, in bytes


@dataclasses.dataclass(frozen=True)
class DerivedFile:
    """An image or a mask that `derive` computes from a file. Its `str()` is the path of the file.

    Attributes:
        path: the file.
        derive: computes from path and bytes of the file either an encoded image (bytes) or class ids uint8 (H, W).
    """

    path: Path
    derive: Callable[[Path, bytes], bytes | np.ndarray]

    @property
    def name(self) -> str:
        return self.path.name

    def __str__(self) -> str:
        return str(self.path)

    def read_bytes(self) -> bytes:
        """Return the encoded image; class ids are encoded as a grey PNG.

        Raises:
            UsageError: the file cannot be read, is larger than `MAX_BYTES`, or `derive` refuses it.
        """
        derived = self.derive(self.path, encoded(self.path))
        return derived if isinstance(derived, bytes) else plain_png(derived)


def mask_of(path: Path, black_and_white: bool) -> Source:
    """Return a mask file as a source of an image of class ids.

    Args:
        black_and_white: whether JPEGs may be read by a threshold; otherwise reading one raises UsageError.
    """
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return DerivedFile(path, _array)
    if suffix in OTHER_MASK_SUFFIXES:
        return DerivedFile(path, _threshold if black_and_white else _refused)
    return path


def plain_png(ids: np.ndarray) -> bytes:
    """Return class ids uint8 (H, W) as an uncompressed grey PNG.

    It has the same bytes on every machine, so versions of a data set agree.
    """
    height, width = ids.shape
    rows = np.insert(ids, 0, 0, axis=1).tobytes()  # each row starts with its filter type, 0
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
    """Read a NumPy file of class ids (H, W), of any numeric type. -1, as labelme writes it, is void.

    Raises:
        UsageError: it is not such an array, or has a value other than -1 and 0..255.
    """
    try:
        values = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, OSError, EOFError, MemoryError) as error:
        raise UsageError(f"{path}: cannot be read as an array ({error}); replace or remove the file") from None
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "biuf":
        shape = getattr(values, "shape", "several arrays")
        raise UsageError(f"{path}: a mask is an array of numbers (height, width), this is {shape}; save the class ids")
    ids = np.where(values == -1, IGNORE_INDEX, values)
    if (wrong := ids[~((ids >= 0) & (ids <= IGNORE_INDEX) & (ids == np.floor(ids)))]).size:  # includes NaN
        raise UsageError(
            f"{path}: the mask holds the value {wrong[0]}; class ids are whole numbers, 0..254, 255 is void"
        )
    return ids.astype(np.uint8)


def _refused(path: Path, data: bytes) -> np.ndarray:
    raise UsageError(
        f"{path}: the mask is a JPEG, which invents class ids along every edge; export the masks as PNG, or, if they "
        "are black and white, give --mask-values binary (in a run: --set data.mask_values=binary)"
    )


def _threshold(path: Path, data: bytes) -> np.ndarray:
    """Read black and white as 0 and 255. Greys, which JPEG adds at edges, become the nearer of both."""

    def read(image: Image.Image, source: Source) -> np.ndarray:
        upright(image, source)
        return np.where(np.asarray(image.convert("L")) < _MIDDLE, 0, IGNORE_INDEX).astype(np.uint8)

    return decoded(path, data, read)
