"""Inputs of a loss in one form: labels, float32 logits, and pixel weights that are zero on void."""

import tensorflow as tf


def as_logits(predictions: tf.Tensor, from_logits: bool, activation: str) -> tf.Tensor:
    """Return float32 logits (B,H,W,C) from logits of any float type, or from probabilities of the given activation.

    Raises:
        ValueError: predictions that are not (B,H,W,C), or one channel with a softmax.
    """
    logits = tf.convert_to_tensor(predictions)
    if logits.shape.rank != 4:
        raise ValueError(f"predictions must have shape (B,H,W,C), got {logits.shape}")
    logits = tf.cast(logits, tf.float32)
    if activation == "softmax" and logits.shape[-1] == 1:
        raise ValueError("a softmax needs two channels or more, got predictions with one: use a sigmoid loss")
    if from_logits:
        return logits
    tiny = 1e-30  # far below the float32 spacing at 1: keeps log finite, moves no probability that a model can emit
    log_p = tf.math.log(tf.maximum(logits, tiny))
    return log_p if activation == "softmax" else log_p - tf.math.log(tf.maximum(1.0 - logits, tiny))


def as_targets(labels: tf.Tensor, logits: tf.Tensor, ignore_index: int | None) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the targets, and the float32 mask (B,H,W) that is 1 on pixels that are not void.

    Targets are int32 class ids (B,H,W), 0 under void, or float32 shares (B,H,W,C). A pixel of soft labels is void
    when its shares are all zero. With one channel the target is the share of foreground, so ids 0 and 1 need no change.

    Raises:
        ValueError: labels of a shape that does not fit the logits. Eagerly also: class ids outside 0..C-1, or shares
            outside 0..1 with one channel.
    """
    labels = tf.convert_to_tensor(labels)
    channels = logits.shape[-1]
    rank, last = labels.shape.rank, labels.shape[-1]
    if rank not in (3, 4) or (rank == 4 and last not in (1, channels)):
        raise ValueError(
            f"labels must be class ids (B,H,W) or (B,H,W,1) or soft labels (B,H,W,{channels}), got {labels.shape}"
        )
    if not labels.shape[1:3].is_compatible_with(logits.shape[1:3]):
        raise ValueError(f"labels {labels.shape} and predictions {logits.shape} differ in height or width")
    if rank == 4 and last != 1:
        soft = tf.cast(labels, tf.float32)
        return soft, tf.cast(tf.reduce_sum(soft, axis=-1) > 0.0, tf.float32)
    ids = tf.squeeze(labels, axis=-1) if rank == 4 else labels
    if channels == 1:
        share = tf.cast(ids, tf.float32)
        valid = tf.ones_like(share, tf.bool) if ignore_index is None else tf.not_equal(share, float(ignore_index))
        share = tf.where(valid, share, 0.0)
        if tf.executing_eagerly() and not tf.reduce_all((share >= 0.0) & (share <= 1.0)):
            raise ValueError(
                f"labels of one channel are 0, 1 or a share of foreground between (void is {ignore_index}), "
                f"got {float(tf.reduce_min(share)):g} to {float(tf.reduce_max(share)):g}"
            )
        return share[..., tf.newaxis], tf.cast(valid, tf.float32)
    ids = tf.cast(ids, tf.int32)
    valid = tf.ones_like(ids, tf.bool) if ignore_index is None else tf.not_equal(ids, ignore_index)
    ids = tf.where(valid, ids, 0)
    if tf.executing_eagerly():  # a compiled step must not pay for this check
        check_ids(ids, channels, ignore_index)
    return ids, tf.cast(valid, tf.float32)


def check_ids(ids: tf.Tensor, channels: int, ignore_index: int | None) -> None:
    """Raise a ValueError that names the class ids outside 0..channels-1, if there are any (eager mode only)."""
    strange = tf.boolean_mask(ids, (ids < 0) | (ids >= channels))
    if tf.size(strange) > 0:
        found = ", ".join(str(i) for i in sorted(set(strange.numpy().tolist()))[:5])
        raise ValueError(f"labels have class ids {found} outside 0..{channels - 1} (void is {ignore_index})")


def as_pixel_weights(sample_weight: tf.Tensor | None, valid: tf.Tensor) -> tf.Tensor:
    """Return pixel weights (B,H,W), zero on void.

    `sample_weight` is None, one number for the batch, (B,) per image, or (B,H,W) or (B,H,W,1) per pixel.

    Raises:
        ValueError: weights of another shape.
    """
    if sample_weight is None:
        return valid
    weight = tf.cast(tf.convert_to_tensor(sample_weight), tf.float32)
    if weight.shape.rank == 4 and weight.shape[-1] == 1:
        weight = tf.squeeze(weight, axis=-1)
    if weight.shape.rank == 2 and weight.shape[-1] == 1:  # Keras expands (B,) to (B,1)
        weight = tf.squeeze(weight, axis=-1)
    if weight.shape.rank == 1:
        weight = weight[:, tf.newaxis, tf.newaxis]
    elif weight.shape.rank not in (0, 3) or (
        weight.shape.rank == 3 and not weight.shape[1:3].is_compatible_with(valid.shape[1:3])
    ):
        raise ValueError(
            f"sample_weight must have shape (B,), (B,H,W) or (B,H,W,1) for labels {valid.shape}, "
            f"got {sample_weight.shape}"
        )
    return valid * weight


def one_hot(targets: tf.Tensor, channels: int) -> tf.Tensor:
    """Return the targets of `as_targets` as float32 shares (B,H,W,C)."""
    return targets if targets.dtype.is_floating else tf.one_hot(targets, channels, dtype=tf.float32)
