"""The decoder of DeepLabV3+ (Chen et al. 2018, arXiv 1802.02611), and its counterpart in DeepLabV3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from models.layers.blocks import ResizeLike, convolution, normalise
from models.spec import ModelSpec


def decoder(context: Any, low_level: Any, skips: Mapping[int, Any], spec: ModelSpec) -> Any:
    """Fuse context (B, h, w, A) and low-level features (B, H/4, W/4, P) into (B, H/4, W/4, spec.decoder_channels).

    The low-level features are projected to few channels, so that they do not outweigh the context. So is each map of
    `skips`, by its stride, which lies between the two. Two 3x3 convolutions refine the result.
    """
    low_level = _projected(low_level, "low_level", spec)
    joined = [ResizeLike(name="context_resize")([context, low_level]), low_level]
    for stride, skip in skips.items():
        projected = _projected(skip, f"skip_{stride}", spec)
        joined.append(ResizeLike(name=f"skip_{stride}_resize")([projected, low_level]))
    x = keras.layers.Concatenate(name="decoder_join")(joined)
    for name in ("decoder_1", "decoder_2"):
        x = convolution(x, spec.decoder_channels, name, kernel=3, separable=spec.separable)
        x = normalise(x, name, spec)
    return x


def _projected(features: Any, name: str, spec: ModelSpec) -> Any:
    return normalise(convolution(features, spec.low_level_channels, name), name, spec)


def refine(context: Any, spec: ModelSpec) -> Any:
    """Refine context (B, h, w, A) to (B, h, w, spec.decoder_channels) by one 3x3 convolution: the tail of DeepLabV3."""
    x = convolution(context, spec.decoder_channels, "refine", kernel=3, separable=spec.separable)
    return normalise(x, "refine", spec)
