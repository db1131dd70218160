"""One picture or one mask from its bytes, within stated limits, or one line that says what is wrong with it."""

from __future__ import annotations

import io
import re
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
# What these suffixes stand for, and no more: Pillow would start Ghostscript for an EPS, whatever its name.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_JPEG = ("JPEG", "MPO")  # the second is what Pillow calls a JPEG that more pictures follow
MAX_SIDE = 16_384
MAX_PIXELS = 80_000_000
MAX_BYTES = 256 << 20
_LIMITS = f"at most {MAX_SIDE} a side and {MAX_PIXELS // 1_000_000} million are read, make it smaller or cut it up"
_EXIF_ORIENTATION = 0x0112
_TIFF_BITS = 258
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
    image.draft("RGB", (max(1, size[0] // 8), max(1, size[1] // 8)))
    image.load()
    if image.format not in _JPEG:
        size = image.size  # a TIFF is turned upright while it is loaded, and has lost its tag then
    return size[::-1] if _orientation(image) in (5, 6, 7, 8) else size


def _orientation(image: Image.Image) -> int:
    """1 is upright; so is what EXIF does not define."""
    found: int = image.getexif().get(_EXIF_ORIENTATION, 1)
    return found if found in range(2, 9) else 1


def plain_format(data: bytes) -> str | None:
    """The format ("png") of a picture that any decoder reads as it is read here: in RGB and upright; of others None."""
    image = Image.open(io.BytesIO(data), formats=_FORMATS)
    if image.format is None or image.mode != "RGB" or _orientation(image) != 1:
        return None
    return "jpeg" if image.format in _JPEG else image.format.lower()


def _eight_bits(image: Image.Image, source: Source) -> None:
    # Pillow cuts what has several channels down to 8 bits without a word: only its raw mode tells, "RGB;16B", the
    # largest value of a PPM, and of a TIFF the tag. The "BGR;16" of a BMP is 16 bits a pixel.
    cut = any(
        re.search(r";16[BLN]", str(args)) or (codec.startswith("ppm") and isinstance(args, tuple) and args[1] > VOID)
        for codec, _, _, args in getattr(image, "tile", ())
    )
    bits = getattr(image, "tag_v2", {}).get(_TIFF_BITS, ())
    if image.mode.startswith(("I", "F")) or cut or max(bits, default=8) > 8:
        raise UsageError(f"{source}: more than 8 bits a channel; convert the image to 8 bits")


def is_grey(image: Image.Image) -> bool:
    """Whether a mask shows greys: the indices of a palette are no colours, but a GIF has nothing else."""
    return image.mode == "L" or image.format == "GIF"


def in_colors(image: Image.Image, source: Source) -> np.ndarray:
    """A mask as uint8 RGB (H, W, 3)."""
    _exact(image, source)
    return np.asarray(image.convert("RGB"))


def one_channel(image: Image.Image, source: Source) -> np.ndarray:
    """The values of a mask as uint8 (H, W); a palette is left aside, its indices are the values (but of a GIF)."""
    _exact(image, source)
    if len(image.getbands()) != 1:
        raise UsageError(
            f"{source}: the mask has {len(image.getbands())} channels; it needs one, of class ids (255 = void), or "
            "a classes.yaml with the color of every class"
        )
    values: Any = _greys(image, source) if image.format == "GIF" else np.asarray(image)
    if values.dtype.itemsize > 1:
        _ids(values, source)
    return values.astype(np.uint8)


def _exact(image: Image.Image, source: Source) -> None:
    """A mask's values are those that were drawn; a JPEG invents some, under any name and within a TIFF."""
    within = str(image.info.get("compression", "")) if image.format == "TIFF" else ""
    if image.format in _JPEG or "jpeg" in within:
        raise UsageError(f"{source}: the mask is a JPEG, which invents class ids; draw it again as PNG")


def _ids(values: np.ndarray, source: Source) -> None:
    wrong = values[~((values >= 0) & (values <= VOID) & (values == np.floor(values)))]  # NaN, too
    if wrong.size:
        raise UsageError(
            f"{source}: the mask holds the value {wrong[0]}; class ids are whole numbers, 0..254, and 255 is void"
        )


def _greys(image: Image.Image, source: Source) -> np.ndarray:
    """What a GIF shows: whoever writes one may number its colours anew, as Pillow does, so indices are no ids."""
    rgb = np.asarray(image.convert("RGB"))
    if (rgb != rgb[..., :1]).any():
        raise UsageError(
            f"{source}: a GIF in colors, whose indices are no class ids; save the mask as PNG, or set "
            "data.mask_values=colors (with a classes.yaml that has the color of every class)"
        )
    return rgb[..., 0]
