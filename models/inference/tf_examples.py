"""What a model computes of serialized tf.train.Examples, as TensorFlow Extended feeds them: label maps as PNG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from models.inference import as_pillow, predict

IMAGE, KEY = "image/encoded", "image/filename"
"""The features that are read: the encoded picture and its key. An Example may lack the key."""


def example_maps(
    model: Callable[..., Any],
    *,
    size: int | None = None,
    square: bool = False,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    crf: Callable[[list[Any]], Any] | None = None,
) -> Any:
    """Return the function of the signature "serving_examples", a `tf.function`.

    It takes `examples`, serialized Examples (B,), whose pictures may differ in size. It returns two strings per
    Example: `labels` (B, 1), the class ids as PNG of 8 bits (16 above 256 classes) at the picture's own size, and
    `image/filename` (B, 1), its key. They are (B, 1) and not (B,), because tfx-bsl's RunInference takes no strings of
    rank 1; two, because TensorFlow Model Analysis cannot name the only output of a model.

    Args:
        model, scales, flip, crf: as for `models.inference.predict.scores`.
        size: longest side in pixels to which a picture is resized, as Pillow does it; None: it keeps its size.
        square: pad the picture to (size, size) with its mean colour, for a model of one size.

    Raises:
        ValueError: `square` without a size.
    """
    if square and size is None:
        raise ValueError("a model of one size needs that size")

    def one(data: tf.Tensor) -> tf.Tensor:
        picture = as_pillow.decoded(data)
        shown = picture if size is None else as_pillow.fitted(picture, size)
        content = tf.shape(shown)[:2] if square else None
        seen = as_pillow.squared(shown, size) if square and size is not None else shown
        whole = tf.shape(picture)[:2]
        found = predict.segmented(model, seen[None], whole, content=content, scales=scales, flip=flip, crf=crf)
        return tf.io.encode_png(tf.cast(found, tf.uint8 if found.dtype == tf.uint8 else tf.uint16)[..., None])

    def serve(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        kinds = {IMAGE: tf.io.FixedLenFeature([], tf.string), KEY: tf.io.FixedLenFeature([], tf.string, "")}
        read = tf.io.parse_example(examples, kinds)
        # One by one, because their sizes differ.
        maps = tf.map_fn(one, read[IMAGE], fn_output_signature=tf.TensorSpec([], tf.string), parallel_iterations=1)
        return {"labels": maps[:, None], KEY: read[KEY][:, None]}

    spec = tf.TensorSpec((None,), tf.string, "examples")
    return tf.function(serve, input_signature=[spec], autograph=False)  # which nothing here needs
