"""One picture or one mask from its bytes, within stated limits, or one line that says what is wrong with it."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from PIL import BmpImagePlugin, Image, ImageOps

from bench.core import IGNORE_INDEX, UsageError

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
MASK_SUFFIXES = (".png", ".bmp", ".gif", ".tif", ".tiff")  # lossless only: JPEG invents class ids
# What these suffixes stand for, and no more: Pillow would start Ghostscript for an EPS, whatever its name.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
JPEG = ("JPEG", "MPO")  # the second is what Pillow calls a JPEG that more pictures follow
MAX_SIDE = 16_384
MAX_PIXELS = 80_000_000
MAX_BYTES = 256 << 20
_LIMITS = f"at most {MAX_SIDE} a side and {MAX_PIXELS // 1_000_000} million are read, make it smaller or cut it up"
_EXIF_ORIENTATION = 0x0112
_TIFF_BITS = 258
_OS2_HEADER = 12
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
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        _within_limits(source, image.size)
        return read(_bitmap(image, data), source)
    except UsageError:
        raise
    except Image.DecompressionBombError:  # Pillow's own limit comes before ours can be asked
        raise UsageError(f"{source}: too many pixels; {_LIMITS}") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        unknown = isinstance(error, Image.UnidentifiedImageError)
        reason = "not an image, or of an unknown kind" if unknown else error
        raise UsageError(f"{source}: cannot be read ({reason}); replace or remove the file") from None


def _bitmap(image: Image.Image, data: bytes) -> Image.Image:
    """The picture, or what a bitmap in greys truly holds.

    Whatever its header says, Pillow 13 takes a palette of black and white for 1 bit a pixel and other greys for 8 bits.
    """
    if not isinstance(image, BmpImagePlugin.BmpImageFile) or image.mode not in ("1", "L"):
        return image
    bits = int.from_bytes(data[24:26] if data[14] == _OS2_HEADER else data[28:30], "little")
    if bits == (1 if image.mode == "1" else 8):
        return image
    codec, _, offset, args = image.tile[0]
    raw = {1: "P;1", 4: "P;4", 8: "P"}.get(bits)
    if codec != "raw" or not isinstance(args, tuple) or raw is None:
        if image.mode == "L":  # the decoder of runs writes a byte a pixel
            return image
        raise ValueError("a black and white bitmap in runs")
    found = Image.frombytes("P", image.size, data[offset:], "raw", raw, *args[1:])
    ramp = (0, 255) if image.mode == "1" else range(256)
    found.putpalette([grey for grey in ramp for _ in range(3)])
    found.format = image.format
    return found


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
    eight_bits(image, source)
    return ImageOps.exif_transpose(image).convert("RGB")


def upright_size(image: Image.Image, source: Source) -> tuple[int, int]:
    """Width and height once upright. The whole file is decoded, so that a truncated one is found, a JPEG at 1/8."""
    eight_bits(image, source)
    size = image.size
    image.draft("RGB", (max(1, size[0] // 8), max(1, size[1] // 8)))
    image.load()
    if image.format not in JPEG:
        size = image.size  # a TIFF is turned upright while it is loaded, and has lost its tag then
    return size[::-1] if orientation_of(image) in (5, 6, 7, 8) else size


def orientation_of(image: Image.Image) -> int:
    """1 is upright; so is what EXIF does not define."""
    found: int = image.getexif().get(_EXIF_ORIENTATION, 1)
    return found if found in range(2, 9) else 1


def plain_format(data: bytes) -> str | None:
    """The format ("png") of a picture that any decoder reads as it is read here: in RGB and upright; of others None."""
    image = Image.open(io.BytesIO(data), formats=_FORMATS)
    if image.format is None or image.mode != "RGB" or orientation_of(image) != 1:
        return None
    return "jpeg" if image.format in JPEG else image.format.lower()


def eight_bits(image: Image.Image, source: Source) -> None:
    # Pillow cuts what has several channels down to 8 bits without a word: only its raw mode tells, "RGB;16B", the
    # largest value of a PPM, and of a TIFF the tag. The "BGR;16" of a BMP is 16 bits a pixel.
    cut = any(
        re.search(r";16[BLN]", str(args))
        or (codec.startswith("ppm") and isinstance(args, tuple) and args[1] > IGNORE_INDEX)
        for codec, _, _, args in getattr(image, "tile", ())
    )
    bits = getattr(image, "tag_v2", {}).get(_TIFF_BITS, ())
    if image.mode.startswith(("I", "F")) or cut or max(bits, default=8) > 8:
        raise UsageError(f"{source}: more than 8 bits a channel; convert the image to 8 bits")
