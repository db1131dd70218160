"""Augmentation policies as plain data: which changes are made to a training image, how often and how strongly."""

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
    """A part of a policy. It is frozen and refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Normal(_Part):
    """A spread of values: normal around the neutral value, cut at three sigma.

    Attributes:
        sigma: standard deviation, at least 0.
        invert: take the value or its inverse, each with probability 1/2.
    """

    sigma: float = Field(ge=0)
    invert: bool = False

    def at(self, share: float, neutral: float) -> float:
        """Return the value at the quantile `share`, which lies in 0..1."""
        if self.invert:
            share, inverse = share * 2 % 1, share >= 0.5
        deviate = NormalDist().inv_cdf(min(max(share, 0.00135), 0.99865))
        value = neutral + self.sigma * deviate
        return 1 / max(value, 0.1) if self.invert and inverse else value


def _ordered(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise ValueError(f"[{ends[0]:g}, {ends[1]:g}]: the lower end must come first")
    return ends


Ends = Annotated[tuple[float, float], AfterValidator(_ordered)]
Spread = Ends | Normal


def at(spread: Spread | None, share: float, neutral: float) -> float:
    """Return the value of a spread at the quantile `share`, or the neutral value if there is no spread.

    Args:
        spread: (low, high) of a uniform distribution, or a normal one.
        share: a uniform number in 0..1.
        neutral: the value that changes nothing.
    """
    if spread is None:
        return neutral
    if isinstance(spread, Normal):
        return spread.at(share, neutral)
    return spread[0] + (spread[1] - spread[0]) * share


def _within(low: float, high: float) -> AfterValidator:
    def check(spread: Spread | None) -> Spread | None:
        if isinstance(spread, tuple) and not low <= spread[0] <= spread[1] <= high:
            raise ValueError(f"[{spread[0]:g}, {spread[1]:g}]: values must lie in {low:g}..{high:g}")
        return spread

    return AfterValidator(check)


class Blur(_Part):
    """Blur by a Gaussian whose standard deviation is drawn from `sigma`, in pixels."""

    probability: Share = 1.0
    sigma: Annotated[Ends, _within(0, 8)] = (0.3, 1.5)


class Clahe(_Part):
    """Contrast limited adaptive histogram equalisation (Zuiderveld 1994) of the luma, in tiles x tiles regions.

    With `evaluation` the images of an evaluation are equalised, too: a network needs at evaluation what it was always
    given in training.
    """

    clip: float = Field(2.0, gt=0)
    tiles: int = Field(8, ge=1, le=64)
    evaluation: bool = True


class Cutout(_Part):
    """Fill a square with the mean colour and mark it as void (DeVries and Taylor 2017, arXiv 1708.04552).

    `side` is the side of the square as a share of the crop, 0..1.
    """

    probability: Share = 1.0
    side: Annotated[Ends, _within(0, 1)] = (0.1, 0.4)


def _off(default: Any = None) -> Any:
    """Declare a change that is off by default. While it is off, it is left out of the hash of a cell."""
    return added_later(default)


class AugmentationPolicy(_Part):
    """The changes that are made to training images. Probabilities lie in 0..1 and are drawn per image.

    Attributes:
        flip, vertical_flip: probability of mirroring left to right, and top to bottom.
        scale: factor of the image's size.
        rotate: angle in degrees, around the centre of the crop.
        translate: the crop is moved by up to this share of its side, either way, on each axis.
        blur: see `Blur`.
        gamma: exponent of the share of full brightness.
        brightness: share of full brightness that is added.
        contrast: factor of the distance from middle grey.
        hue: turns of the colour circle.
        saturation: factor of the colourfulness.
        clahe, cutout: see `Clahe` and `Cutout`.
        cutmix: probability that a rectangle of another sample is pasted in (Yun et al. 2019, arXiv 1905.04899).
        classmix: probability that half of the classes of another sample are pasted in (Olsson et al. 2021,
            arXiv 2007.07936).
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
    """Return the policies of policies.yaml by name."""
    table = yaml.safe_load(Path(__file__).with_name("policies.yaml").read_text())
    return {name: AugmentationPolicy.model_validate(values) for name, values in table.items()}
