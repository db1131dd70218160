"""Exact Euclidean distances in pixels, computed on the device that holds the tensors, without a call to the host."""

import tensorflow as tf

# Stands for the square of an infinite distance. Adding a square of pixels to it is exact enough to stay above it.
FAR = 2.0**30
# Columns processed together. The loop ends with the column that takes longest, and 128 x 512 numbers fit the cache of a
# CPU. A GPU processes all columns at once, because each operation costs it a kernel launch.
COLUMNS = 128
UNROLLED = 4  # shifts per iteration of the loop; each iteration tests once whether the loop may end


def distance_to(mask: tf.Tensor) -> tf.Tensor:
    """Return the distance (B,H,W,C) float32 of each pixel to the nearest True of its channel, in pixels.

    It is 0 where the mask is True, and +inf where the channel has no True.

    The square is min over rows k of (i - k)^2 + r(k)^2, where r(k) is the distance along row k: two separable passes
    (Felzenszwalb and Huttenlocher 2012). Squares are integers in float32, hence exact below 2^24, up to 2896 x 2896.

    The first pass is a scan. The second is a minimum over shifts, and ends when no longer shift can help any column.
    That is more work than the lower envelope of the parabolas, but the envelope takes data-dependent steps, which no
    tensor operation can batch. Here a shift costs three dense operations, and each group of columns ends by itself.

    Args:
        mask: bool (B,H,W,C); H and W may be unknown when traced, except under XLA.
    """
    shape = tf.shape(mask)
    along_rows = tf.minimum(tf.square(_distance_in_row(tf.transpose(mask, (2, 0, 3, 1)))), FAR)
    columns = tf.reshape(tf.transpose(along_rows, (1, 2, 0, 3)), [-1, shape[1]])
    count = tf.shape(columns)[0]
    group = count if tf.config.list_logical_devices("GPU") else tf.minimum(count, COLUMNS)
    columns = tf.pad(columns, [[0, -count % group], [0, 0]], constant_values=FAR)
    groups = tf.transpose(tf.reshape(columns, tf.stack([-1, group, shape[1]])), (0, 2, 1))
    squares = tf.reshape(tf.transpose(tf.map_fn(_min_over_rows, groups), (0, 2, 1)), [-1, shape[1]])[:count]
    squares = tf.transpose(tf.reshape(squares, tf.gather(shape, (0, 3, 2, 1))), (0, 3, 2, 1))
    return tf.where(squares < FAR, tf.sqrt(tf.ensure_shape(squares, mask.shape)), float("inf"))


def distance_to_other_kind(regions: tf.Tensor, valid: tf.Tensor, partition: bool) -> tf.Tensor:
    """Return the distance (B,H,W,C) float32 of each pixel to the nearest valid one across its region's border.

    That is the distance to the region from outside, and to its complement from inside. It is in pixels, 1 or more;
    +inf where there is no such pixel.

    Args:
        regions: bool (B,H,W,C), one region per channel, False on invalid pixels.
        valid: bool (B,H,W); other pixels are neither in a region nor in its complement.
        partition: whether each valid pixel is in exactly one region. Then the complement of a region is the union of
            the others, and C transforms do the work of 2 C.
    """
    if not partition:
        rest = valid[..., tf.newaxis] & ~regions
        to_region, to_rest = tf.split(distance_to(tf.concat([regions, rest], axis=-1)), 2, axis=-1)
        return tf.where(regions, to_rest, to_region)
    to_region = distance_to(regions)
    to_others = tf.reduce_min(tf.where(regions, float("inf"), to_region), axis=-1, keepdims=True)
    return tf.where(regions, to_others, to_region)


def _distance_in_row(mask: tf.Tensor) -> tf.Tensor:
    """Return the distance along the first axis to the nearest True, FAR or more if there is none."""

    def step(before: tf.Tensor, here: tf.Tensor) -> tf.Tensor:
        return tf.minimum(before + 1.0, here)

    return tf.scan(step, tf.scan(step, tf.where(mask, 0.0, FAR)), reverse=True)


def _min_over_rows(squares: tf.Tensor) -> tf.Tensor:
    """Return, for each row i of an array (H,W), the minimum over k of squares[k] + (i - k)^2."""
    height, width = tf.unstack(tf.shape(squares))
    least = tf.reduce_min(squares, axis=0)
    squares -= least  # per column: what a shift can still gain; zero where the channel is empty
    margin = height + UNROLLED
    padded = tf.pad(squares, [[margin, margin], [0, 0]], constant_values=FAR)

    def may_fall(shift: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
        return (shift < height) & (tf.cast(shift * shift, tf.float32) < tf.reduce_max(found))

    def fall(shift: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        for _ in range(UNROLLED):
            above, below = (tf.slice(padded, [margin + k, 0], [height, width]) for k in (-shift, shift))
            found = tf.minimum(found, tf.minimum(above, below) + tf.cast(shift * shift, tf.float32))
            shift += 1
        return shift, tf.ensure_shape(found, squares.shape)

    return tf.while_loop(may_fall, fall, (tf.constant(1), squares))[1] + least
