"""Losses for semantic segmentation: logits in, one float32 value per image out, the same on one device and on many.

`get(name, **params)` builds a loss. `names()` and `parameters(name)` list the losses without importing TensorFlow.
docs/losses.md has the list with formulas; docs/adding-a-loss.md says how to add one.
The conventions that all losses share (labels, void, weights, averaging, replicas) are in `losses.core.base`.
"""

from typing import TYPE_CHECKING

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
    from losses.core.registry import described, get, names, names_alone, parameters
    from losses.schedule import DeepSupervision
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
