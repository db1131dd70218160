"""Decode one image or one mask from its bytes, within stated size limits. A fault is one line (`UsageError`)."""

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
# Exactly the formats of these suffixes: without a list, Pillow would start Ghostscript for an EPS of any name.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
JPEG = ("JPEG", "MPO")  # MPO is Pillow's name for a JPEG followed by further images
MAX_SIDE = 16_384
MAX_PIXELS = 80_000_000
MAX_BYTES = 256 << 20
_LIMITS = f"at most {MAX_SIDE} per side and {MAX_PIXELS // 1_000_000} million are read; make it smaller or cut it up"
_REPLACE = "replace or remove the file"
_EXIF_ORIENTATION = 0x0112
_TIFF_BITS, _TIFF_SUBFILE = 258, 254
_REDUCED, _OPACITY = 1, 4  # of NewSubfileType: a smaller copy of another page, or its transparency mask
_OS2_HEADER = 12
# Our limit, `MAX_PIXELS`, is lower and raises an error.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

Found = TypeVar("Found")


class Source(Protocol):
    """A source of encoded bytes: a file, or a field of a record.

    Messages name it by its `str()`. `name` is the file name or key. `read_bytes` may raise OSError or UsageError.
    """

    def read_bytes(self) -> bytes: ...

    @property
    def name(self) -> str: ...


def encoded(source: Source) -> bytes:
    """Return the bytes of a source.

    Raises:
        UsageError: the source cannot be read, or is a file larger than `MAX_BYTES`.
    """
    try:
        if isinstance(source, Path) and (size := source.stat().st_size) > MAX_BYTES:
            raise UsageError(
                f"{source}: {size >> 20} MiB; at most {MAX_BYTES >> 20} MiB are read; replace or remove the file"
            )
        return source.read_bytes()
    except OSError as error:
        raise UsageError(f"{source}: cannot be read ({error.strerror or error}); replace or remove the file") from None


def decoded(source: Source, data: bytes, read: Callable[[Image.Image, Source], Found]) -> Found:
    """Open the image in `data` and return what `read` returns for it.

    Raises:
        UsageError: the data is not an image, is damaged, or exceeds `MAX_SIDE` or `MAX_PIXELS`; then it is not decoded.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        _within_limits(source, image.size)
        return read(_bitmap(image, data), source)
    except UsageError:
        raise
    except Image.DecompressionBombError:  # Pillow applies its own limit before ours is checked
        raise UsageError(f"{source}: too many pixels; {_LIMITS}") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        unknown = isinstance(error, Image.UnidentifiedImageError)
        reason, todo = _no_image(data) if unknown else (error, _REPLACE)
        raise UsageError(f"{source}: cannot be read ({reason}); {todo}") from None


def _no_image(data: bytes) -> tuple[str, str]:
    """Return what data is that is no image of a known format, and what to do about the file."""
    if not data:
        return "the file is empty", _REPLACE
    if data.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not the image", "fetch it with `git lfs pull`"
    if data[4:8] == b"ftyp":
        return "HEIC, AVIF or a video under another name", "convert it to JPEG or PNG"
    if data.lstrip()[:9].lower() in (b"<!doctype", b"<html>") or data.lstrip()[:5].lower() == b"<html":
        return "a web page, not an image", "download it again"
    return "not an image, or of an unknown kind", _REPLACE


def _bitmap(image: Image.Image, data: bytes) -> Image.Image:
    """Return the image. A grey BMP that Pillow would misread is returned as palette indices.

    Whatever its header says, Pillow 13 reads a BMP with a black and white palette as 1 bit per pixel and one with a
    grey palette as 8 bits per pixel.
    """
    if not isinstance(image, BmpImagePlugin.BmpImageFile) or image.mode not in ("1", "L"):
        return image
    bits = int.from_bytes(data[24:26] if data[14] == _OS2_HEADER else data[28:30], "little")
    if bits == (1 if image.mode == "1" else 8):
        return image
    codec, _, offset, args = image.tile[0]
    raw = {1: "P;1", 4: "P;4", 8: "P"}.get(bits)
    if codec != "raw" or not isinstance(args, tuple) or raw is None:
        if image.mode == "L":  # the run-length decoder writes one byte per pixel
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
    """Return an image file as uint8 RGB (H, W, 3), upright.

    Raises:
        UsageError: it cannot be read.
    """
    return image_of(path)


def image_of(source: Source) -> np.ndarray:
    """Return an image as uint8 RGB (H, W, 3), upright.

    Raises:
        UsageError: it cannot be read.
    """
    return np.asarray(decoded(source, encoded(source), _upright))


def check_image(path: Path) -> None:
    """Decode an image (a JPEG at 1/8 of its size) and discard it.

    Raises:
        UsageError: it cannot be read.
    """
    decoded(path, encoded(path), upright_size)


def _upright(image: Image.Image, source: Source) -> Image.Image:
    eight_bits(image, source)
    return ImageOps.exif_transpose(image).convert("RGB")


def upright_size(image: Image.Image, source: Source) -> tuple[int, int]:
    """Return width and height in pixels after EXIF rotation.

    The whole file is decoded (a JPEG at 1/8 of its size), so a truncated file is detected.

    Raises:
        UsageError: it has more than 8 bits per channel, or the file holds several images.
    """
    eight_bits(image, source)
    if image.format not in JPEG and (count := pages(image, _REDUCED | _OPACITY)) > 1:
        raise UsageError(f"{source}: {count} images in one file; keep the one that is meant")
    size = image.size
    image.draft("RGB", (max(1, size[0] // 8), max(1, size[1] // 8)))
    image.load()
    if image.format not in JPEG:
        size = image.size  # Pillow rotates a TIFF while loading it and drops the tag
    return size[::-1] if orientation_of(image) in (5, 6, 7, 8) else size


def pages(image: Image.Image, ignored: int = _REDUCED) -> int:
    """Return the number of images in a file that is not loaded yet.

    Args:
        ignored: bits of a TIFF's NewSubfileType; pages with one of them do not count.
    """
    count: int = getattr(image, "n_frames", 1)
    if image.format != "TIFF" or count == 1:
        return count
    full = 1
    for page in range(1, count):
        image.seek(page)
        full += not image.tag_v2.get(_TIFF_SUBFILE, 0) & ignored  # type: ignore[attr-defined]
    image.seek(0)
    return full


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1..8. Upright, 1, also stands for values that EXIF does not define."""
    found: int = image.getexif().get(_EXIF_ORIENTATION, 1)
    return found if found in range(2, 9) else 1


def plain_format(data: bytes) -> str | None:
    """Return the format, such as "png", of an upright RGB image, which every decoder reads alike. None for others."""
    image = Image.open(io.BytesIO(data), formats=_FORMATS)
    if image.format is None or image.mode != "RGB" or orientation_of(image) != 1:
        return None
    return "jpeg" if image.format in JPEG else image.format.lower()


def eight_bits(image: Image.Image, source: Source) -> None:
    """Refuse an image with more than 8 bits per channel.

    Raises:
        UsageError: it has more.
    """
    # Pillow silently reduces images of several channels to 8 bits. The depth shows only in the raw mode ("RGB;16B"),
    # in the largest value of a PPM, and in a tag of a TIFF. "BGR;16" of a BMP means 16 bits per pixel.
    cut = any(
        re.search(r";16[BLN]", str(args))
        or (codec.startswith("ppm") and isinstance(args, tuple) and args[1] > IGNORE_INDEX)
        for codec, _, _, args in getattr(image, "tile", ())
    )
    bits = getattr(image, "tag_v2", {}).get(_TIFF_BITS, ())
    if image.mode.startswith(("I", "F")) or cut or max(bits, default=8) > 8:
        raise UsageError(f"{source}: more than 8 bits per channel; convert the image to 8 bits")
