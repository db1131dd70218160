"""Export a SavedModel that needs TensorFlow only: images in, labels and probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from models.inference import predict
from models.inference.predict import check_scales, probabilities


def export(
    model: Any,
    path: str | Path,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    crf: Callable[[list[Any]], Any] | None = None,
) -> None:
    """Write a model as a SavedModel with one signature, "serving_default".

    The signature takes `images`, uint8 RGB (B, H, W, 3) of any size. It returns `labels` (B, H, W), uint8 (int32 above
    256 classes), and `probabilities` (B, H, W, C) float32. It needs neither this package nor Keras:
    `tf.saved_model.load(path).signatures["serving_default"](images=...)`.

    Args:
        model: images (B, H, W, 3) in 0..255 to logits (B, H, W, C), with its input scaling inside.
        path: folder to write.
        scales, flip: the views to average, as in `models.inference.predict.probabilities`.
        crf: refines `[images, probabilities]` into probabilities, such as `models.DenseCRF(from_logits=False)`.

    Raises:
        ValueError: a path that exists already, scales that are not positive, or a CRF that expects logits.
    """
    check_scales(scales)
    if Path(path).exists():
        raise ValueError(f"{path} exists; name a folder that does not, or remove it")
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
    images = tf.TensorSpec((None, None, None, 3), tf.uint8, "images")
    module.serve = tf.function(serve, input_signature=[images], autograph=False)  # which nothing here needs
    tf.saved_model.save(module, str(path), signatures=module.serve)


def _variable(weight: Any) -> tf.Variable:
    return weight if isinstance(weight, tf.Variable) else weight.value  # Keras 3 wraps them
