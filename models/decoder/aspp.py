"""Atrous spatial pyramid pooling (Chen et al. 2017, arXiv 1706.05587)."""

from __future__ import annotations

from typing import Any

import keras

from models.layers.blocks import ResizeLike, convolution, normalise
from models.layers.dropout import Dropout
from models.spec import ModelSpec


def aspp(features: Any, spec: ModelSpec, seed: int | None) -> Any:
    """Pool features (B, h, w, C) at the output stride into (B, h, w, spec.aspp_channels).

    A 1x1 branch, three 3x3 branches at `spec.rates` and a pooled branch are joined and projected. They are normalised
    after they are joined: batch normalisation acts on each channel alone, so one operation replaces five.
    """
    channels = spec.aspp_channels
    branches = [convolution(features, channels, "aspp_point")]
    for rate in spec.rates:
        name = f"aspp_rate{rate}"
        branches.append(convolution(features, channels, name, kernel=3, rate=rate, separable=spec.separable))
    pooled = keras.layers.GlobalAveragePooling2D(keepdims=True, name="aspp_pool")(features)
    pooled = convolution(pooled, channels, "aspp_pool")
    branches.append(ResizeLike(name="aspp_pool_resize")([pooled, features]))
    x = keras.layers.Concatenate(name="aspp_join")(branches)
    x = normalise(x, "aspp_join", spec)
    x = normalise(convolution(x, channels, "aspp_project"), "aspp_project", spec)
    return Dropout(spec.dropout, seed=seed, name="aspp_dropout")(x) if spec.dropout else x
