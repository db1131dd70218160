"""Euclidean distances in pixels, exact, computed where the tensors are: no call back to the host."""

import tensorflow as tf

# In the place of the square of an infinite distance: adding a square of pixels to it is exact enough to stay above it.
FAR = 2.0**30
UNROLLED = 4  # rows a turn of the column loop; each turn pays for one test whether it may end


def distance_to(mask: tf.Tensor) -> tf.Tensor:
    """Distance (B,H,W,C) float32 of each pixel to the nearest True of its channel, 0 on True, +inf without any.

    The square is min over rows k of (i - k)^2 + r(k)^2, where r(k) is the distance along row k: two separable passes
    (Felzenszwalb & Huttenlocher 2012). Squares are integers in float32, hence exact below 2^24: to 2896 x 2896.

    The first pass is a scan, the second a minimum over shifts, which ends when the shift is longer than the longest
    distance left. That is more work than the lower envelope of the parabolas, whose data-dependent steps no tensor
    operation can take at once, but it is a few dense operations a shift, and each channel ends by itself.

    Args:
        mask: bool (B,H,W,C); H and W may be unknown when traced, except under XLA.
    """
    shape = tf.shape(mask)
    along_rows = tf.minimum(tf.square(_distance_in_row(tf.transpose(mask, (2, 0, 3, 1)))), FAR)
    channels = tf.reshape(tf.transpose(along_rows, (1, 2, 3, 0)), tf.stack([shape[0] * shape[3], shape[1], shape[2]]))
    squares = tf.reshape(tf.map_fn(_min_over_rows, channels), tf.gather(shape, (0, 3, 1, 2)))
    squares = tf.ensure_shape(tf.transpose(squares, (0, 2, 3, 1)), mask.shape)
    return tf.where(squares < FAR, tf.sqrt(squares), float("inf"))


def distance_to_other_kind(regions: tf.Tensor, valid: tf.Tensor, disjoint: bool) -> tf.Tensor:
    """Distance (B,H,W,C) float32 of each pixel to the nearest valid one on the other side of a region's border.

    That is, to the region from outside and to its complement from inside, 1 or more; +inf where there is none.

    Args:
        regions: bool (B,H,W,C), one region a channel, False on invalid pixels.
        valid: bool (B,H,W); other pixels are neither in a region nor in its complement.
        disjoint: whether no pixel is in two regions. Then the complement of one is the union of the others, and C + 1
            transforms do the work of 2 C.
    """
    valid = valid[..., tf.newaxis]
    if not disjoint:
        to_region, to_rest = tf.split(distance_to(tf.concat([regions, valid & ~regions], axis=-1)), 2, axis=-1)
        return tf.where(regions, to_rest, to_region)
    rest = valid & ~tf.reduce_any(regions, axis=-1, keepdims=True)
    parts = tf.concat([regions, rest], axis=-1)
    to_part = distance_to(parts)
    to_other_parts = tf.reduce_min(tf.where(parts, float("inf"), to_part), axis=-1, keepdims=True)
    return tf.where(regions, to_other_parts, to_part[..., :-1])


def _distance_in_row(mask: tf.Tensor) -> tf.Tensor:
    """Distance along the first axis to the nearest True, FAR or more if there is none."""

    def step(before: tf.Tensor, here: tf.Tensor) -> tf.Tensor:
        return tf.minimum(before + 1.0, here)

    return tf.scan(step, tf.scan(step, tf.where(mask, 0.0, FAR)), reverse=True)


def _min_over_rows(squares: tf.Tensor) -> tf.Tensor:
    """min over k of squares[k] + (i - k)^2 for each row i of an array (H,W)."""
    height, width = tf.unstack(tf.shape(squares))
    margin = height + UNROLLED
    padded = tf.pad(squares, [[margin, margin], [0, 0]], constant_values=FAR)
    last = tf.where(tf.reduce_min(squares) < FAR, height, 0)  # no shift helps an empty channel

    def may_fall(shift: tf.Tensor, least: tf.Tensor) -> tf.Tensor:
        return (shift < last) & (tf.cast(shift * shift, tf.float32) < tf.reduce_max(least))

    def fall(shift: tf.Tensor, least: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        for _ in range(UNROLLED):
            above, below = (tf.slice(padded, [margin + k, 0], [height, width]) for k in (-shift, shift))
            least = tf.minimum(least, tf.minimum(above, below) + tf.cast(shift * shift, tf.float32))
            shift += 1
        return shift, tf.ensure_shape(least, squares.shape)

    return tf.while_loop(may_fall, fall, (tf.constant(1), squares))[1]
