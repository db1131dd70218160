"""Read the values that a mask stores, and the color in which a viewer shows each.

Pillow decodes for viewing: it stretches greys of 2 and 4 bits to 0..255, inverts a TIFF in which 0 is white, and drops
further channels and pages. Such changes are undone here, or the mask is refused.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from bench.core import IGNORE_INDEX, UsageError
from bench.data.image_io import JPEG, Source, eight_bits, orientation_of, pages
from results import counted

_FORMATS = ("BMP", "GIF", "PNG", "TIFF")
_BITS, _PHOTOMETRIC, _CHANNELS, _COLOR_MAP, _SAMPLE_FORMAT = 258, 262, 277, 320, 339
_SIGNED, _YCBCR = 2, 6
_NAMED = 5  # colors in a message


class Stored(NamedTuple):
    """A mask of one channel.

    Attributes:
        values: the values in the file, uint8 (H, W).
        shown: RGB in which each value is shown, uint8 (N, 3). None: each value is shown as its own grey.
        palette: whether `shown` is a palette of the file; otherwise it follows from the number of bits.
        ids: whether the values may be class ids. Those of a GIF in colors may not: its writer chose the numbers.
        hidden: values whose color is uncertain because the palette makes them transparent.
    """

    values: np.ndarray
    shown: np.ndarray | None = None
    palette: bool = False
    ids: bool = True
    hidden: tuple[int, ...] = ()

    def used(self) -> list[int]:
        """Return the values that occur in the mask, sorted."""
        return np.flatnonzero(np.bincount(self.values.ravel(), minlength=256)).tolist()

    def color(self, value: int) -> tuple[int, int, int] | None:
        """Return the RGB color of a value; None if the palette does not define it."""
        if self.shown is None:
            return value, value, value
        if value >= len(self.shown) or value in self.hidden:
            return None
        red, green, blue = self.shown[value].tolist()
        return red, green, blue

    def greys(self, source: Source) -> np.ndarray:
        """Return the greys that are shown, uint8 (H, W).

        Raises:
            UsageError: a color is shown that is not grey, or that is not defined.
        """
        rgb = self.rgb(source)
        if (rgb != rgb[..., :1]).any():
            raise UsageError(
                f"{source}: a mask in colors, but the other masks of the set are grey; save it as they are"
            )
        return rgb[..., 0]

    def rgb(self, source: Source) -> np.ndarray:
        """Return the colors that are shown, uint8 (H, W, 3).

        Raises:
            UsageError: the palette does not define the color of a value in use.
        """
        if self.shown is None:
            return np.repeat(self.values[..., None], 3, axis=-1)
        if unknown := [value for value in self.used() if self.color(value) is None]:
            why = "is transparent in" if unknown[0] in self.hidden else "has no color in"
            raise UsageError(f"{source}: index {unknown[0]} {why} its palette; save the mask without transparency")
        return self.shown[self.values]


def is_colors(image: Image.Image) -> bool:
    """Return whether a mask has several channels, not counting opacity."""
    return len(image.getbands()) - _alpha(image) > 1


def shows_otherwise(image: Image.Image) -> bool:
    """Return whether a mask of one channel, not yet loaded, may show a value in a color other than its own grey."""
    return image.mode in ("P", "PA") or _bits(image) < 8


def one_channel(image: Image.Image, source: Source) -> Stored:
    """Read a mask of one channel, or of three that are equal in every pixel.

    Raises:
        UsageError: it has more channels, contains values that are not class ids (0..255), or is ambiguous.
    """
    bits = _bits(image)
    tags: Any = getattr(image, "tag_v2", {})
    # Pillow drops further channels of a TIFF if the file does not say what they mean.
    count = max(len(image.getbands()), int(tags.get(_CHANNELS, 1))) - _alpha(image)
    if count == 3 and image.mode in ("RGB", "RGBA"):
        return Stored(_equal_channels(image, source))
    _checked(image, source)
    if count != 1:
        raise UsageError(
            f"{source}: the mask has {count} channels; it needs one, of class ids (255 = void), or "
            "a classes.yaml with the color of every class"
        )
    if image.format == "TIFF" and tags.get(_PHOTOMETRIC, 0) == 0:
        raise UsageError(
            f"{source}: a TIFF in which 0 is white (PhotometricInterpretation 0), so programs disagree on whether its "
            "values are meant or their complements; save the mask as PNG"
        )
    values: Any = np.asarray(image)
    if _alpha(image):
        _opaque(values[..., -1], source)
        values = values[..., 0]
    if image.mode in ("P", "PA"):
        return _of_palette(image, source, values)
    if image.mode == "L" and _SIGNED in tags.get(_SAMPLE_FORMAT, ()):
        values = values.view(np.int8)
    if values.dtype.itemsize > 1 or values.dtype == np.int8:
        _ids(values, source)
    values = values.astype(np.uint8)
    if bits == 8:
        return Stored(values)
    ramp = np.arange(1 << bits, dtype=np.uint8) * (IGNORE_INDEX // ((1 << bits) - 1))
    return Stored(values if bits == 1 else values // ramp[1], np.repeat(ramp[:, None], 3, axis=1))


def _equal_channels(image: Image.Image, source: Source) -> np.ndarray:
    """Return the values of a mask in RGB whose three channels are equal, uint8 (H, W).

    Raises:
        UsageError: they differ, so that it shows colors, or are not opaque values of 8 bits.
    """
    rgb = in_colors(image, source)
    if (rgb == rgb[..., :1]).all():
        return rgb[..., 0]
    colors = np.unique(rgb.reshape(-1, 3), axis=0).tolist()
    more = f" and {len(colors) - _NAMED} more" if len(colors) > _NAMED else ""
    raise UsageError(
        f"{source}: the mask has 3 channels, with the colors {', '.join(map(str, colors[:_NAMED]))}{more}; it needs "
        "one, of class ids (255 = void), or a classes.yaml with the color of every class"
    )


def in_colors(image: Image.Image, source: Source) -> np.ndarray:
    """Read a mask as RGB, uint8 (H, W, 3).

    Raises:
        UsageError: its colors are not stored as RGB of 8 bits, or some are hidden by transparency.
    """
    if not is_colors(image):
        return one_channel(image, source).rgb(source)
    multiplied = "RGBa" in _raw_mode(image)
    eight_bits(image, source)
    _checked(image, source)
    photometric = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC)
    if image.mode not in ("RGB", "RGBA") or photometric == _YCBCR:
        mode = "YCbCr" if photometric == _YCBCR else image.mode
        raise UsageError(f"{source}: colors in {mode}, which conversion to RGB changes; save the mask as PNG in RGB")
    values = np.asarray(image)
    if _alpha(image):
        if multiplied:
            _opaque(values[..., 3], source)
        _nothing_hidden(values[..., :3], values[..., 3], source)
    return values[..., :3]


def _checked(image: Image.Image, source: Source) -> None:
    """Refuse a mask that is not a single upright image in a lossless format.

    Call it before the mask is loaded, because loading discards how the mask is stored.

    Raises:
        UsageError: it is not such an image.
    """
    within = str(image.info.get("compression", "")) if image.format == "TIFF" else ""
    if image.format in JPEG or "jpeg" in within:
        raise UsageError(f"{source}: the mask is a JPEG, which invents class ids; draw it again as PNG")
    if image.format not in _FORMATS or within == "webp":
        raise UsageError(f"{source}: the mask is a {within or image.format}, which may change values; save it as PNG")
    if (count := pages(image)) > 1:
        raise UsageError(f"{source}: {count} images in one file; keep the one that is the mask")
    if image.format == "GIF" and [tile.extents for tile in _tiles(image)] != [(0, 0, *image.size)]:
        raise UsageError(f"{source}: a GIF that paints a part of its area only; save the mask as PNG")
    upright(image, source)


def upright(image: Image.Image, source: Source) -> None:
    """Refuse a mask with an orientation tag. Pillow applies it in a TIFF and not in a PNG; other readers differ.

    Raises:
        UsageError: its orientation is not upright.
    """
    if (orientation := orientation_of(image)) != 1:
        raise UsageError(
            f"{source}: the mask is stored turned or mirrored (orientation {orientation}), which some programs "
            "ignore; save it upright and without that tag"
        )


def _alpha(image: Image.Image) -> bool:
    return image.getbands()[-1] in ("A", "a")


def _raw_mode(image: Image.Image) -> str:
    """Return the raw mode of Pillow's decoder, such as "L;4". It is known only until the image is loaded."""
    for tile in _tiles(image):
        return str(tile.args[0] if isinstance(tile.args, tuple) else tile.args)
    return ""


def _tiles(image: Image.Image) -> list[Any]:
    return getattr(image, "tile", [])


def _bits(image: Image.Image) -> int:
    """Return the bits per grey value: 1, 2, 4, or 8 for 8 and more."""
    if image.mode == "1":
        return 1
    found = re.match(r"L;([24])", _raw_mode(image))
    return int(found[1]) if found else 8


def _of_palette(image: Image.Image, source: Source, indices: np.ndarray) -> Stored:
    table = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    if image.format == "TIFF" and max(colors := image.tag_v2[_COLOR_MAP]) <= IGNORE_INDEX:  # type: ignore[attr-defined]
        table = np.array(colors, np.uint8).reshape(3, -1).T  # written with 8 bits per color instead of 16
    found = Stored(indices, table, palette=True)
    if (opacity := image.info.get("transparency")) is not None:
        found = found._replace(hidden=_hidden(table, opacity, found.used()))
    if image.format != "GIF":
        return found
    # A GIF writer may renumber the colors, as Pillow does, so the indices are not ids. The greys may be.
    used = found.used()
    grey = all((color := found.color(value)) is not None and len(set(color)) == 1 for value in used)
    return Stored(found.greys(source)) if grey else found._replace(ids=False)


def _hidden(table: np.ndarray, opacity: int | bytes, used: list[int]) -> tuple[int, ...]:
    """Return the used values that are not opaque, except fully transparent ones whose color no opaque value has."""
    alpha = np.full(256, IGNORE_INDEX, np.uint8)
    if isinstance(opacity, bytes):
        alpha[: len(opacity)] = np.frombuffer(opacity, np.uint8)[:256]
    else:
        alpha[opacity] = 0
    used = [value for value in used if value < len(table)]
    opaque = {tuple(table[value]) for value in used if alpha[value] == IGNORE_INDEX}
    return tuple(v for v in used if alpha[v] < IGNORE_INDEX and (alpha[v] or tuple(table[v]) in opaque))


def _ids(values: np.ndarray, source: Source) -> None:
    wrong = values[~((values >= 0) & (values <= IGNORE_INDEX) & (values == np.floor(values)))]  # includes NaN
    if wrong.size:
        raise UsageError(
            f"{source}: the mask holds the value {wrong[0]}; class ids are whole numbers, 0..254, and 255 is void"
        )


def _opaque(alpha: np.ndarray, source: Source) -> None:
    if count := int((alpha != IGNORE_INDEX).sum()):
        some = counted(count, "pixel of the mask is", "pixels of the mask are")
        raise UsageError(f"{source}: {some} not opaque, so the values are ambiguous; save it without transparency")


def _nothing_hidden(rgb: np.ndarray, alpha: np.ndarray, source: Source) -> None:
    """Refuse a mask with hidden colors.

    Every pixel has to be opaque or fully transparent. The transparent ones need a color that no opaque pixel has, so
    that colors alone tell them apart.

    Raises:
        UsageError: it has hidden colors.
    """
    clear = alpha == 0
    if clear.any() and clear.sum() + (alpha == IGNORE_INDEX).sum() == alpha.size:
        packed = rgb.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
        if not np.intersect1d(packed[clear], packed[~clear]).size:
            return
    _opaque(alpha, source)
