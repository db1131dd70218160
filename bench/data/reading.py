"""One picture or one mask from its bytes, within stated limits, or one line that says what is wrong with it."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from PIL import Image, ImageOps

from bench.data.dataset import VOID
from bench.errors import UsageError

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
MASK_SUFFIXES = (".png", ".bmp", ".gif", ".tif", ".tiff")  # lossless only: JPEG invents class ids
MAX_SIDE = 16_384
MAX_PIXELS = 80_000_000
MAX_BYTES = 256 << 20
_LIMITS = f"at most {MAX_SIDE} a side and {MAX_PIXELS // 1_000_000} million are read, make it smaller or cut it up"
_EXIF_ORIENTATION = 0x0112
# The limit here is lower and is an error.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

Found = TypeVar("Found")


class Source(Protocol):
    """Where encoded bytes come from: a file, or a field of a record. Its text names it in messages."""

    def read_bytes(self) -> bytes: ...

    @property
    def name(self) -> str: ...


def encoded(source: Source) -> bytes:
    """The bytes of a file that is not too large to be a picture.

    Raises:
        UsageError: it cannot be read, or is larger than `MAX_BYTES`.
    """
    try:
        if isinstance(source, Path) and (size := source.stat().st_size) > MAX_BYTES:
            raise UsageError(
                f"{source}: {size >> 20} MiB; at most {MAX_BYTES >> 20} are read, replace or remove the file"
            )
        return source.read_bytes()
    except OSError as error:
        raise UsageError(f"{source}: cannot be read ({error.strerror or error}); replace or remove the file") from None


def decoded(source: Source, data: bytes, read: Callable[[Image.Image, Source], Found]) -> Found:
    """What `read` makes of the picture in `data`.

    Raises:
        UsageError: no picture, a damaged one, or one beyond the limits, which is not decoded.
    """
    try:
        image = Image.open(io.BytesIO(data))
        _within_limits(source, image.size)
        return read(image, source)
    except UsageError:
        raise
    except Image.DecompressionBombError:  # Pillow's own limit comes before ours can be asked
        raise UsageError(f"{source}: too many pixels; {_LIMITS}") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        unknown = isinstance(error, Image.UnidentifiedImageError)
        reason = "not an image, or of an unknown kind" if unknown else error
        raise UsageError(f"{source}: cannot be read ({reason}); replace or remove the file") from None


def _within_limits(source: Source, size: tuple[int, int]) -> None:
    width, height = size
    if max(size) > MAX_SIDE or width * height > MAX_PIXELS:
        raise UsageError(f"{source}: {width}x{height} pixels; {_LIMITS}")


def read_image(path: Path) -> np.ndarray:
    """A picture as uint8 RGB (H, W, 3), upright. UsageError when it cannot be read."""
    return image_of(path)


def image_of(source: Source) -> np.ndarray:
    """A picture as uint8 RGB (H, W, 3), upright. UsageError when it cannot be read."""
    return np.asarray(decoded(source, encoded(source), _upright))


def check_image(path: Path) -> None:
    """Decode a picture, a JPEG at 1/8, and forget it. UsageError when it cannot be read."""
    decoded(path, encoded(path), upright_size)


def _upright(image: Image.Image, source: Source) -> Image.Image:
    _eight_bits(image, source)
    return ImageOps.exif_transpose(image).convert("RGB")


def upright_size(image: Image.Image, source: Source) -> tuple[int, int]:
    """Width and height once upright. The whole file is decoded, so that a truncated one is found, a JPEG at 1/8."""
    _eight_bits(image, source)
    size = image.size
    swapped = image.getexif().get(_EXIF_ORIENTATION, 1) >= 5
    image.draft("RGB", (max(1, size[0] // 8), max(1, size[1] // 8)))
    image.load()
    return size[::-1] if swapped else size


def _eight_bits(image: Image.Image, source: Source) -> None:
    if image.mode.startswith(("I", "F")):
        raise UsageError(f"{source}: more than 8 bits a channel; convert the image to 8 bits")


def one_channel(image: Image.Image, source: Source) -> np.ndarray:
    """The values of a mask as uint8 (H, W); a palette is left aside, its indices are the values."""
    if len(image.getbands()) != 1:
        raise UsageError(
            f"{source}: the mask has {len(image.getbands())} channels; it needs one, of class ids (255 = void), or "
            "a classes.yaml with the color of every class"
        )
    values: Any = np.asarray(image)
    if values.size and (values.min() < 0 or values.max() > VOID):
        raise UsageError(f"{source}: the mask holds the value {values.max()}; class ids are 0..254, and 255 is void")
    return values.astype(np.uint8)
