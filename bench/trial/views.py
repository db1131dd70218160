"""Other ways to evaluate the same trained weights: output stride, flips and scales, the dense CRF."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import tensorflow as tf

import models
from models import scores

if TYPE_CHECKING:
    import keras

    from bench.spec import TrialSpec, ViewSpec

Predictor = Callable[..., tf.Tensor]


def predictor(view: ViewSpec, model: keras.Model, spec: TrialSpec, classes: int) -> Predictor:
    """Return a function from images (B,H,W,3) in 0..255 to logits (B,H,W,C), or to log-probabilities in their place.

    With a CRF the function also takes `sizes` (B,2), height and width of each image without its margin.

    The weights are the present ones of `model`. Call this in the scope of the strategy.

    Args:
        view: how to evaluate.
        model: the trained model.
        spec: of the trial.
        classes: number of classes C.
    """
    dense = _at_stride(view.output_stride, model, spec, classes)
    if view.plain:
        return dense
    crf = models.DenseCRF(from_logits=False, **view.crf.chosen) if view.crf else None

    def averaged(images: tf.Tensor, sizes: Any = None, training: bool = False) -> tf.Tensor:
        return scores(dense, images, scales=view.scales, flip=view.flip, crf=crf, sizes=sizes)

    return averaged


def _at_stride(stride: int | None, model: keras.Model, spec: TrialSpec, classes: int) -> Any:
    """Return the model at another output stride, with the same weights: only the dilation rates of kernels change."""
    if stride in (None, spec.model.output_stride):
        return model
    other = models.build(spec.model.model_copy(update={"output_stride": stride, "weights": "none"}), classes)
    other.set_weights(model.get_weights())
    return other
