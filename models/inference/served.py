"""What every exported format computes: from images to labels and probabilities, as a TensorFlow function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from models.inference import predict
from models.inference.predict import check_scales, probabilities


def served(
    model: Any,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    crf: Callable[[list[Any]], Any] | None = None,
    side: int | None = None,
) -> tf.Module:
    """Return a module whose `serve` is the function to export, and which holds its variables.

    `serve` takes `images`, uint8 RGB (B, H, W, 3). It returns `labels` (B, H, W), uint8 (int32 above 256 classes), and
    `probabilities` (B, H, W, C) float32.

    Args:
        model, scales, flip, crf: as for `models.inference.export.export`.
        side: height and width of the images, for a model of one size; None: they stay unknown.

    Raises:
        ValueError: scales that are not positive, or a CRF that expects logits.
    """
    check_scales(scales)
    if getattr(crf, "from_logits", False):
        raise ValueError("an exported CRF is given probabilities: make it with from_logits=False")
    if crf is not None:
        # Layers make their variables at their first call, which has to precede tracing.
        sample = np.zeros((1, 8, 8, 3), np.uint8)
        crf([sample, probabilities(model, sample)])

    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        found = predict.scores(model, images, scales=scales, flip=flip, crf=crf)
        labels = predict.labels(found)
        return {
            "labels": tf.cast(labels, tf.uint8) if found.shape[-1] <= 256 else labels,
            "probabilities": tf.nn.softmax(found) if found.shape[-1] != 1 else tf.sigmoid(found),
        }

    module = tf.Module()
    # The variables and not the layers: Keras 2 would write every layer's functions beside ours.
    module.weights = [_variable(weight) for part in (model, crf) for weight in getattr(part, "variables", ())]
    images = tf.TensorSpec((None, side, side, 3), tf.uint8, "images")
    module.serve = tf.function(serve, input_signature=[images], autograph=False)  # which nothing here needs
    return module


def _variable(weight: Any) -> tf.Variable:
    return weight if isinstance(weight, tf.Variable) else weight.value  # Keras 3 wraps them
