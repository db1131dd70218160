"""Decode and resize a picture in TensorFlow as Pillow does, to the last bit: for a model that is handed encoded bytes.

`tf.image.resize` computes in single precision, and Pillow in whole numbers; `tf.io.decode_image` takes a faster inverse
cosine transform than Pillow. Both would change labels.
"""

from __future__ import annotations

import PIL
import tensorflow as tf

BITS = 22
"""Fraction bits of a coefficient: a sum of 8-bit values times coefficients fits 32 bits."""
DOWN_FIRST = int(PIL.__version__.split(".")[0]) >= 13
"""Whether Pillow shrinks columns first if the height loses more than twice as many pixels as the width.

Seen: 12.3 never does, 13.0 does. The two orders round otherwise.
"""


def decoded(data: tf.Tensor) -> tf.Tensor:
    """Decode a JPEG, PNG, BMP or GIF in RGB, a scalar string, to uint8 (H, W, 3).

    The bytes are those of an upright picture of 8 bits per channel, as in the shards of this project.

    Raises:
        tf.errors.InvalidArgumentError: at run time, for bytes of another kind.
    """
    picture = tf.cond(
        tf.io.is_jpeg(data),
        lambda: tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(data, channels=3, expand_animations=False),
    )
    return tf.ensure_shape(picture, [None, None, 3])


def fitted(picture: tf.Tensor, size: int) -> tf.Tensor:
    """Resize a picture uint8 (H, W, 3) to longest side `size` in pixels, keeping the aspect ratio, as a trial does."""
    sides = tf.cast(tf.shape(picture)[:2], tf.float64)
    wanted = tf.round(sides * (size / tf.reduce_max(sides)))  # half to even, as Python rounds
    return resized(picture, tf.maximum(1, tf.cast(wanted, tf.int32)))


def resized(picture: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Resize bilinearly with antialiasing, uint8 (H, W, C) to (*size, C).

    It equals `Image.resize(size, Image.Resampling.BILINEAR)` of the Pillow that is installed where this is traced: one
    axis after the other, each rounded to 8 bits.
    """
    height, width = tf.unstack(size)
    rows, columns = tf.unstack(tf.shape(picture)[:2])

    def across_first() -> tf.Tensor:
        return _along(_along(picture, 1, width), 0, height)

    if not DOWN_FIRST:
        return across_first()
    return tf.cond(
        (height < rows) & (rows - height > 2 * (columns - width)),
        lambda: _along(_along(picture, 0, height), 1, width),
        across_first,
    )


def _along(picture: tf.Tensor, axis: int, target: tf.Tensor) -> tf.Tensor:
    places, factors = _taps(tf.shape(picture)[axis], target)
    shape = [-1 if place == axis else 1 for place in range(3)]

    def add(tap: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found = tf.cast(tf.gather(picture, places[:, tap], axis=axis), tf.int32)
        return tap + 1, total + found * tf.reshape(factors[:, tap], shape)

    half = tf.zeros_like(tf.gather(picture, places[:, 0], axis=axis), tf.int32) + (1 << (BITS - 1))
    # Tap by tap, because all taps at once would take their number times the memory.
    _, total = tf.while_loop(lambda tap, _: tap < tf.shape(places)[1], add, (0, half), parallel_iterations=1)
    return tf.cast(tf.clip_by_value(tf.bitwise.right_shift(total, BITS), 0, 255), tf.uint8)


def _taps(extent: tf.Tensor, target: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the places (target, taps) that each result is a sum of, and their coefficients, both int32."""
    scale = tf.cast(extent, tf.float64) / tf.cast(target, tf.float64)
    reach = tf.maximum(scale, 1.0)
    centre = (tf.range(tf.cast(target, tf.float64), dtype=tf.float64) + 0.5) * scale
    first = tf.maximum(tf.cast(centre - reach + 0.5, tf.int32), 0)
    end = tf.minimum(tf.cast(centre + reach + 0.5, tf.int32), extent)
    places = first[:, None] + tf.range(2 * tf.cast(tf.math.ceil(reach), tf.int32) + 1)
    away = tf.abs((tf.cast(places, tf.float64) - centre[:, None] + 0.5) * (1.0 / reach))
    weights = tf.where((places < end[:, None]) & (away < 1.0), 1.0 - away, 0.0)
    total = tf.cumsum(weights, axis=1)[:, -1:]  # in the order of Pillow's sum, where `reduce_sum` has another
    return tf.minimum(places, extent - 1), tf.cast(0.5 + weights / total * (1 << BITS), tf.int32)


def squared(picture: tf.Tensor, side: int) -> tf.Tensor:
    """Pad a picture uint8 (H, W, 3) right and below with its mean colour to (side, side, 3)."""
    height, width = tf.unstack(tf.shape(picture)[:2])
    # The product with a reciprocal, as OpenCV computes a mean: a quotient rounds some halves the other way.
    share = 1.0 / tf.cast(height * width, tf.float64)
    color = tf.round(tf.reduce_sum(tf.cast(picture, tf.float64), (0, 1)) * share)
    inside = (tf.range(side)[:, None] < height) & (tf.range(side) < width)
    whole = tf.pad(picture, [[0, side - height], [0, side - width], [0, 0]])
    return tf.where(inside[..., None], whole, tf.cast(color, tf.uint8))
