"""Losses for semantic segmentation: logits in, one float32 value per image out, the same on one device and on many.

`get(name, **params)` builds a loss. `names()` and `parameters(name)` list the losses without importing TensorFlow.
The conventions that all losses share (labels, void, weights, averaging, replicas) are in `losses.core.base`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from losses import pixel_weights
    from losses.calibration import GradientScale, calibrated, calibration_factor, gradient_scale
    from losses.composite import WeightedSum
    from losses.core import class_weights
    from losses.core.base import FormulaLoss, SegmentationLoss
    from losses.core.classwise import ClassLoss
    from losses.core.overlap import OverlapLoss
    from losses.core.pixelwise import SigmoidLoss, SoftmaxLoss
    from losses.core.reductions import bincount
    from losses.core.registry import get, names, names_alone, parameters
    from losses.schedule import DeepSupervision

_HOMES = {
    "ClassLoss": "losses.core.classwise",
    "DeepSupervision": "losses.schedule",
    "FormulaLoss": "losses.core.base",
    "GradientScale": "losses.calibration",
    "OverlapLoss": "losses.core.overlap",
    "SegmentationLoss": "losses.core.base",
    "SigmoidLoss": "losses.core.pixelwise",
    "SoftmaxLoss": "losses.core.pixelwise",
    "WeightedSum": "losses.composite",
    "bincount": "losses.core.reductions",
    "calibrated": "losses.calibration",
    "calibration_factor": "losses.calibration",
    "get": "losses.core.registry",
    "gradient_scale": "losses.calibration",
    "names": "losses.core.registry",
    "names_alone": "losses.core.registry",
    "parameters": "losses.core.registry",
}
_MODULES = {"class_weights": "losses.core.class_weights", "pixel_weights": "losses.pixel_weights"}
__all__ = sorted((*_HOMES, *_MODULES))


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(_MODULES[name])
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
