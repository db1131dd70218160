"""A sheet of examples, pictures over their labels, to see at a glance what a data set asks for."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from bench.data.dataset import Dataset, Pair, Split
from bench.data.pipeline import Crops

if TYPE_CHECKING:
    from bench.spec import DataSpec

_GAP, _LEGEND = 4, 22


def sheet(dataset: Dataset, split: str = "train", columns: int = 6, rows: int = 3, cell: int = 160) -> Image.Image:
    """The first columns x rows images of a split, each over its label (void in white), and a legend at the end."""
    step = cell + _GAP
    page = Image.new("RGB", (columns * step + _GAP, 2 * rows * step + _GAP + _LEGEND), "white")
    colors = np.full((256, 3), 255, np.uint8)
    colors[: len(dataset.colors)] = dataset.colors
    for i in range(min(columns * rows, len(dataset.splits[split]))):
        image, label = dataset.splits[split].read(i)
        left, top = _GAP + i % columns * step, _GAP + i // columns * 2 * step
        for down, pixels, resampling in (
            (0, image, Image.Resampling.BILINEAR),
            (step, colors[label], Image.Resampling.NEAREST),
        ):
            tile = Image.fromarray(pixels)
            tile.thumbnail((cell, cell), resampling)
            page.paste(tile, (left, top + down))
    _legend(ImageDraw.Draw(page), dataset, page.height - _LEGEND)
    return page


def variations(dataset: Dataset, split: str, spec: DataSpec, columns: int, rows: int) -> Dataset:
    """A set to be drawn: `rows` images, each followed by training samples that the policy of `spec` makes of it."""
    chosen = dataset.splits[split].limited(max(rows, 24))  # more than are shown, for what is mixed in
    crops = Crops(chosen, spec, 0)
    made: dict[str, Pair] = {}
    for row in range(min(rows, len(chosen))):
        made[f"{row}"] = chosen.read(row)
        made |= {f"{row} {number}": crops.variation(row, number) for number in range(1, columns)}
    return dataclasses.replace(dataset, splits={split: Split(tuple(made), made.__getitem__)})


def compact(page: Image.Image, dataset: Dataset) -> Image.Image:
    """The sheet in 256 colours, a third of the bytes, with the class colours exact."""
    exact = [0, 0, 0, 255, 255, 255, *(part for color in dataset.colors for part in color)][: 3 * 128]
    table = page.quantize(256 - len(exact) // 3).getpalette() or []
    colors = Image.new("P", (1, 1))
    colors.putpalette((exact + table)[: 3 * 256])
    return page.quantize(palette=colors, dither=Image.Dither.NONE)


def _legend(draw: ImageDraw.ImageDraw, dataset: Dataset, top: int) -> None:
    left = _GAP
    for name, color in zip(dataset.class_names, dataset.colors, strict=True):
        draw.rectangle((left, top + 4, left + 13, top + 15), fill=color, outline="black")
        draw.text((left + 18, top + 3), name, fill="black")
        left += 34 + int(draw.textlength(name))
