"""Draw a sheet of examples, images above their labels, that shows a data set at a glance."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from bench.data.dataset import Dataset, Pair, Split
from bench.data.pipeline import Crops

if TYPE_CHECKING:
    from bench.spec import DataSpec

_GAP, _LINE = 4, 22


def sheet(dataset: Dataset, split: str = "train", columns: int = 6, rows: int = 3, cell: int = 160) -> Image.Image:
    """Draw up to columns x rows images spread over a split, each above its label, with a legend. Void is white.

    Args:
        cell: longest side of an image on the sheet, in pixels.

    Returns:
        An image of 256 colours, a third of the bytes of full colour. The colours of up to 126 classes are exact.
    """
    part = dataset.splits[split]
    places = np.linspace(0, len(part) - 1, min(columns * rows, len(part))).round()
    pairs = [part.read(int(place)) for place in places]
    colors = np.full((256, 3), 255, np.uint8)
    colors[: len(dataset.colors)] = dataset.colors
    tiles = [
        (_tile(image, cell, Image.Resampling.BILINEAR), _tile(colors[label], cell, Image.Resampling.NEAREST))
        for image, label in pairs
    ]
    across, down = cell + _GAP, max(tile.height for tile, _ in tiles) + _GAP
    width, top = columns * across + _GAP, 2 * math.ceil(len(pairs) / columns) * down + _GAP
    seen = np.unique(np.concatenate([np.unique(label) for _, label in pairs])).tolist()
    drawn = legend([(_name(dataset, one), (*colors[one].tolist(),)) for one in seen], width)
    page = Image.new("RGB", (width, top + drawn.height), "white")
    for place, both in enumerate(tiles):
        for below, tile in enumerate(both):
            page.paste(tile, (_GAP + place % columns * across, _GAP + (2 * (place // columns) + below) * down))
    page.paste(drawn, (0, top))
    return _compact(page, colors[seen])


def _tile(pixels: np.ndarray, cell: int, resampling: Image.Resampling) -> Image.Image:
    tile = Image.fromarray(pixels)
    tile.thumbnail((cell, cell), resampling)
    return tile


def _name(dataset: Dataset, index: int) -> str:
    return dataset.class_names[index] if index < len(dataset.class_names) else "void"


def legend(entries: list[tuple[str, tuple[int, ...]]], width: int) -> Image.Image:
    """Draw names beside their colours, in as many lines as they need.

    Args:
        entries: (name, colour in 0..255) each.
        width: of the image, in pixels.
    """
    page = Image.new("RGB", (width, _LINE * (len(entries) + 1)), "white")
    draw, left, top = ImageDraw.Draw(page), _GAP, 0
    for name, color in entries:
        extent = 34 + int(draw.textlength(name))
        if left > _GAP and left + extent > width:
            left, top = _GAP, top + _LINE
        draw.rectangle((left, top + 4, left + 13, top + 15), fill=color, outline="black")
        draw.text((left + 18, top + 3), name, fill="black")
        left += extent
    return page.crop((0, 0, width, top + _LINE))


def _compact(page: Image.Image, colors: np.ndarray) -> Image.Image:
    """Reduce a page to 256 colours, of which black, white and up to 126 of `colors` are exact."""
    exact = [0, 0, 0, 255, 255, 255, *colors[:126].ravel().tolist()]
    table = page.quantize(256 - len(exact) // 3).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette((exact + table)[: 3 * 256])
    return page.quantize(palette=palette, dither=Image.Dither.NONE)


def variations(dataset: Dataset, split: str, spec: DataSpec, columns: int, rows: int) -> Dataset:
    """Return a data set for `sheet`: `rows` images, each followed by samples augmented by the policy of `spec`."""
    chosen = dataset.splits[split].limited(max(rows, 24))  # more than are shown, as partners for mixing
    crops = Crops(chosen, spec.model_copy(update={"cache": "memory"}), 0)  # no training reuses this cache
    made: dict[str, Pair] = {}
    for row in range(min(rows, len(chosen))):
        made[f"{row}"] = chosen.read(row)
        made |= {f"{row} {number}": crops.variation(row, number) for number in range(1, columns)}
    return dataclasses.replace(dataset, splits={split: Split(tuple(made), made.__getitem__)})
