"""A first grid for a folder that was looked at, as commented YAML: its settings and the reasons for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from bench.data import Dataset, look
from bench.plan.grid_schema import PATH
from results import counted

RARE = 0.05
"""Share of the labelled training pixels below which a class counts as rare."""
STEP = 32  # the largest output stride
FIRST = 160  # pixels: the longest side at which two cores answer in minutes (bench/plan/presets.yaml)


@dataclass(frozen=True)
class Look:
    """What a data set is like.

    Attributes:
        root: its folder.
        settings: fields of `data` that it needs to be read, by dotted name.
        shares: {class: share of the labelled training pixels, 0 to 1}.
        images: {split: number of images}.
        longest: longest side of the smallest and of the largest image, in pixels.
    """

    root: str
    settings: Mapping[str, str]
    shares: Mapping[str, float]
    images: Mapping[str, int]
    longest: tuple[int, int]


def look_at(dataset: Dataset, root: str, settings: Mapping[str, str]) -> Look:
    """Read a data set and return what it is like.

    Args:
        dataset: the set.
        root: its folder.
        settings: fields of `data` that it needs to be read, by dotted name.
    """
    found = look(dataset)
    pixels = found.pixels["train"][:-1]  # without void
    sizes = [max(size) for both in found.sizes.values() for size in both]
    return Look(
        root=root,
        settings=settings,
        shares=dict(zip(dataset.class_names, (pixels / pixels.sum()).tolist(), strict=True)),
        images={name: len(split) for name, split in dataset.splits.items()},
        longest=(min(sizes), max(sizes)),
    )


def starter_grid(facts: Look) -> str:
    """Return the text of a grid file that suits a data set."""
    size = _multiple(min(FIRST, facts.longest[1]))
    batch = min(8, 2 ** (max(1, facts.images["train"]).bit_length() - 1))
    counts = ", ".join(f"{count} to {_USES[split]}" for split, count in facts.images.items())
    shown = ", ".join(f"{name} {100 * share:.1f} %" for name, share in _largest_first(facts.shares))
    settings = "".join(f"  {name}: {json.dumps(value)}\n" for name, value in facts.settings.items())
    small = "" if facts.longest[1] <= 2 * size else (
        f"\n  # Small objects may vanish at this size: the images have up to {facts.longest[1]} pixels. On a GPU, 512."
    )  # fmt: skip
    losses, reason = _losses(facts.shares)
    return f"""\
# yaml-language-server: $schema={PATH}
description: Which loss for {_last(facts.root)}?
# {counts}; {counted(len(facts.shares), "class", "classes")}, as shares of the labelled training pixels: {shown}
base:
  data.root: {json.dumps(facts.root)}
{settings}  model.weights: imagenet{small}
  data.size: {size}      # longest side in pixels, as the model sees an image
  data.crop: {_multiple(0.8 * size)}      # side of the training crops
  train.batch_size: {batch}
axes:
  # {reason}
  loss: [{", ".join(losses)}]
  # model.backbone: [efficientnetlite_b0, efficientnetlite_b1]      # a further axis: all combinations are trained
# search: {{field: train.learning_rate, log: [1.0e-4, 1.0e-2, 5], epochs: 2}}      # tune the rate of each cell first
"""


_USES = {"train": "train", "val": "validate", "test": "test"}


def _losses(shares: Mapping[str, float]) -> tuple[list[str], str]:
    """Return the losses to begin with, and why, in one sentence."""
    rarest, share = min(shares.items(), key=lambda item: item[1])
    if share < RARE:
        reason = f"{rarest} has {100 * share:.1f} % of the pixels: overlap losses may serve rare classes better."
        return ["cross_entropy", "dice", "tversky", "lovasz_softmax", "dice_cross_entropy"], reason
    if len(shares) == 2:
        return ["cross_entropy", "dice", "dice_bce", "focal"], "Two classes, both frequent."
    return ["cross_entropy", "dice", "dice_cross_entropy", "lovasz_softmax"], "No class is rare."


def _multiple(side: float) -> int:
    return max(STEP, int(side) // STEP * STEP)


def _largest_first(shares: Mapping[str, float], count: int = 12) -> list[tuple[str, float]]:
    return sorted(shares.items(), key=lambda item: -item[1])[:count]


def _last(root: str) -> str:
    return root.rstrip("/").rpartition("/")[2]
