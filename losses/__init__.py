"""Losses for semantic segmentation: logits in, one float32 value an image out, the same on one device and on many.

`get(name, **params)` builds a loss, `names()` and `parameters(name)` list what there is without importing TensorFlow.
The conventions that all losses share (labels, void, weights, averaging, replicas) are written down in `losses.base`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from losses.base import FormulaLoss as FormulaLoss
    from losses.base import SegmentationLoss as SegmentationLoss
    from losses.calibration import GradientScale as GradientScale
    from losses.calibration import calibrated as calibrated
    from losses.calibration import calibration_factor as calibration_factor
    from losses.calibration import gradient_scale as gradient_scale
    from losses.classwise import ClassLoss as ClassLoss
    from losses.composite import WeightedSum as WeightedSum
    from losses.overlap import OverlapLoss as OverlapLoss
    from losses.pixelwise import SigmoidLoss as SigmoidLoss
    from losses.pixelwise import SoftmaxLoss as SoftmaxLoss
    from losses.registry import get as get
    from losses.registry import names as names
    from losses.registry import names_alone as names_alone
    from losses.registry import parameters as parameters
    from losses.schedule import DeepSupervision as DeepSupervision

_HOMES = {
    "get": "registry",
    "names": "registry",
    "names_alone": "registry",
    "parameters": "registry",
    "SegmentationLoss": "base",
    "FormulaLoss": "base",
    "SoftmaxLoss": "pixelwise",
    "SigmoidLoss": "pixelwise",
    "OverlapLoss": "overlap",
    "WeightedSum": "composite",
    "ClassLoss": "classwise",
    "DeepSupervision": "schedule",
    "GradientScale": "calibration",
    "calibrated": "calibration",
    "calibration_factor": "calibration",
    "gradient_scale": "calibration",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'losses' has no attribute {name!r}")
    return getattr(import_module(f"losses.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
