"""Augmentation policies: which changes happen to a training picture, how often and how strongly. Plain data."""

from __future__ import annotations

import functools
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bench.spec.base import added_later

Share = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Normal(_Part):
    """A normal deviate about the neutral value, cut at three sigma; with `invert` it or its inverse, by a coin."""

    sigma: float = Field(ge=0)
    invert: bool = False

    def at(self, share: float, neutral: float) -> float:
        if self.invert:
            share, inverse = share * 2 % 1, share >= 0.5
        deviate = NormalDist().inv_cdf(min(max(share, 0.00135), 0.99865))
        value = neutral + self.sigma * deviate
        return 1 / max(value, 0.1) if self.invert and inverse else value


def _ordered(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise ValueError(f"[{ends[0]:g}, {ends[1]:g}]: the lower end comes first")
    return ends


Ends = Annotated[tuple[float, float], AfterValidator(_ordered)]
Spread = Ends | Normal


def at(spread: Spread | None, share: float, neutral: float) -> float:
    """The value of a spread at a uniform `share` in 0..1; neutral when there is none."""
    if spread is None:
        return neutral
    if isinstance(spread, Normal):
        return spread.at(share, neutral)
    return spread[0] + (spread[1] - spread[0]) * share


def _within(low: float, high: float) -> AfterValidator:
    def check(spread: Spread | None) -> Spread | None:
        if isinstance(spread, tuple) and not low <= spread[0] <= spread[1] <= high:
            raise ValueError(f"[{spread[0]:g}, {spread[1]:g}]: wanted values in {low:g}..{high:g}")
        return spread

    return AfterValidator(check)


class Blur(_Part):
    """A Gaussian of `sigma` pixels."""

    probability: Share = 1.0
    sigma: Annotated[Ends, _within(0, 8)] = (0.3, 1.5)


class Clahe(_Part):
    """Contrast limited adaptive histogram equalisation (Zuiderveld 1994) of the luma, in tiles x tiles regions.

    With `evaluation` pictures are treated so when they are scored, too: what a network always sees it must always get.
    """

    clip: float = Field(2.0, gt=0)
    tiles: int = Field(8, ge=1, le=64)
    evaluation: bool = True


class Cutout(_Part):
    """A square of `side` (share of the crop) is mean colour and void (DeVries and Taylor 2017, arXiv 1708.04552)."""

    probability: Share = 1.0
    side: Annotated[Ends, _within(0, 1)] = (0.1, 0.4)


def _off(default: Any = None) -> Any:
    """A change that does not happen unless asked for; unasked for it takes no part in a cell's hash."""
    return added_later(default)


class AugmentationPolicy(_Part):
    """What happens to training pictures. Probabilities are shares of the pictures.

    Attributes:
        flip, vertical_flip: probability of a mirror image.
        scale: factor of the picture's size.
        rotate: degrees, about the middle of the crop.
        translate: the crop is moved by up to this share of its side, either way, on each axis.
        blur: see `Blur`.
        gamma: exponent of the share of full brightness.
        brightness: share of full brightness that is added.
        contrast: factor of the distance from middle grey.
        hue: turns of the colour circle.
        saturation: factor of the colourfulness.
        clahe, cutout: see there.
        cutmix: probability that a rectangle of another sample is pasted in (Yun et al. 2019, arXiv 1905.04899).
        classmix: probability that half of the classes of another sample are (Olsson et al. 2021, arXiv 2007.07936).
    """

    flip: Share = _off(0.0)
    vertical_flip: Share = _off(0.0)
    scale: Annotated[Spread | None, _within(0.1, 10)] = _off()
    rotate: Annotated[Spread | None, _within(-180, 180)] = _off()
    translate: Share = _off(0.0)
    blur: Blur | None = _off()
    gamma: Annotated[Spread | None, _within(0.1, 10)] = _off()
    brightness: Annotated[Spread | None, _within(-1, 1)] = _off()
    contrast: Annotated[Spread | None, _within(0, 10)] = _off()
    hue: Annotated[Spread | None, _within(-0.5, 0.5)] = _off()
    saturation: Annotated[Spread | None, _within(0, 4)] = _off()
    clahe: Clahe | None = _off()
    cutout: Cutout | None = _off()
    cutmix: Share = _off(0.0)
    classmix: Share = _off(0.0)


@functools.cache
def named() -> dict[str, AugmentationPolicy]:
    """The policies of policies.yaml."""
    table = yaml.safe_load(Path(__file__).with_name("policies.yaml").read_text())
    return {name: AugmentationPolicy.model_validate(values) for name, values in table.items()}
