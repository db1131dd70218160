"""DeepLabV3+ on KerasCV backbones. Importing the package imports no TensorFlow: names are resolved when first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.atrous import AtrousConv2D, AtrousDepthwiseConv2D
    from models.builder import build, build_training
    from models.crf.layer import DenseCRF
    from models.heads import ICNR, SubpixelUpsampling
    from models.output_stride import with_output_stride
    from models.spec import ModelSpec

_HOMES = {
    "AtrousConv2D": "models.atrous",
    "AtrousDepthwiseConv2D": "models.atrous",
    "DenseCRF": "models.crf.layer",
    "ICNR": "models.heads",
    "ModelSpec": "models.spec",
    "SubpixelUpsampling": "models.heads",
    "build": "models.builder",
    "build_training": "models.builder",
    "with_output_stride": "models.output_stride",
}

__all__ = [
    "ICNR",
    "AtrousConv2D",
    "AtrousDepthwiseConv2D",
    "DenseCRF",
    "ModelSpec",
    "SubpixelUpsampling",
    "build",
    "build_training",
    "with_output_stride",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
