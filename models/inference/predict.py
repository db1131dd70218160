"""Predict class probabilities and label maps of images: several scales, mirror images, windows of a large image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf


def probabilities(
    model: Callable[..., Any],
    images: Any,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    size: Any = None,
) -> tf.Tensor:
    """Compute class probabilities, averaged over scaled and mirrored views of the images.

    The logits of each view are resized bilinearly to the wanted size before the softmax (sigmoid for one channel), so
    that every view has the same weight at every pixel. It works eagerly and inside a `tf.function`, with dynamic sizes
    too.

    Args:
        model: takes float32 images (B, h, w, 3) and `training=False`, and returns logits (B, h, w, C), for any h and w.
        images: RGB (B, H, W, 3), any integer or float type, 0..255.
        scales: factors on height and width; views are resized bilinearly.
        flip: also predict each view mirrored left to right.
        size: height and width of the result; None: those of the images.

    Returns:
        Probabilities (B, *size, C) float32.

    Raises:
        ValueError: images of another shape, no scale, or a scale that is not positive and finite.

    Source: Chen et al. (2017, arXiv 1706.05587).
    """
    images = tf.cast(tf.convert_to_tensor(images), tf.float32)
    if images.shape.rank != 4 or images.shape[3] not in (3, None):
        raise ValueError(f"images must have the shape (B, H, W, 3), got {tuple(images.shape)}")
    check_scales(scales)
    size = _size(images) if size is None else size
    views = [
        _view(model, images, scale, mirrored, size)
        for scale in scales
        for mirrored in ((False, True) if flip else (False,))
    ]
    return tf.add_n(views) / float(len(views))


def check_scales(scales: Sequence[float]) -> None:
    """Raise ValueError unless there is a scale and all scales are positive and finite."""
    if not len(scales) or not all(0 < scale < float("inf") for scale in scales):
        raise ValueError(f"scales must be positive factors, at least one, got {list(scales)}")


def _view(model: Callable[..., Any], images: tf.Tensor, scale: float, mirrored: bool, size: Any) -> tf.Tensor:
    seen = images if scale == 1 else tf.image.resize(images, _size(images, scale))
    seen = seen[:, :, ::-1] if mirrored else seen
    logits = tf.cast(model(seen, training=False), tf.float32)
    logits = logits[:, :, ::-1] if mirrored else logits
    logits = tf.image.resize(logits, size)  # nothing happens where it has that size
    return tf.nn.softmax(logits) if logits.shape[3] != 1 else tf.sigmoid(logits)


_TABLE = 1 << 14
"""Sides, in pixels, below which the size of a view is looked up."""


def _size(images: tf.Tensor, scale: float = 1.0) -> Any:
    """Return height and width times `scale`, half to even, at least 1: numbers if they are known, else a tensor.

    A product in double precision decides which way a half is rounded. LiteRT cannot round one, and single precision
    rounds some halves the other way, so an unknown side is looked up; a very long one may be off by a pixel.
    """
    sides = images.shape[1:3]
    if None not in sides:
        return [max(1, round(side * scale)) for side in sides]
    whole = tf.shape(images)[1:3]
    if scale == 1:
        return whole
    known = tf.gather(tf.constant([round(side * scale) for side in range(_TABLE)]), tf.minimum(whole, _TABLE - 1))
    computed = tf.cast(tf.round(tf.cast(whole, tf.float32) * scale), tf.int32)
    return tf.maximum(1, tf.where(whole < _TABLE, known, computed))


def scores(
    model: Callable[..., Any],
    images: Any,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    crf: Callable[[list[Any]], Any] | None = None,
    sizes: Any = None,
) -> tf.Tensor:
    """Compute the scores that `labels` takes.

    With one view at scale 1 and no CRF they are the logits. Otherwise they are the logarithms of the probabilities,
    which are averaged over the views and then refined. Evaluation, `bench.predict` and `models.inference.export` all
    use this, so an image has the same label map in each of them.

    Args:
        model, images, scales, flip: as for `probabilities`.
        crf: takes [images, probabilities], and `sizes` if given, such as a `models.DenseCRF`.
        sizes: height and width of each image without its padding, integers (B, 2); None: no image is padded.

    Returns:
        (B, H, W, C) float32; with one channel, the log-odds.
    """
    if crf is None and not flip and tuple(scales) == (1.0,):
        images = tf.cast(tf.convert_to_tensor(images), tf.float32)
        return tf.cast(model(images, training=False), tf.float32)
    found = probabilities(model, images, scales=scales, flip=flip)
    if crf is not None:
        found = crf([images, found] if sizes is None else [images, found, sizes])
    logs = _log(found)
    return logs if found.shape[-1] != 1 else logs - _log(1 - found)


def _log(probabilities: tf.Tensor) -> tf.Tensor:
    return tf.math.log(tf.maximum(probabilities, 1e-30))


def labels(scores: tf.Tensor, size: Any = None) -> tf.Tensor:
    """Compute class ids at any size from scores at the model's size.

    The scores are resized bilinearly before the arg-max, because resizing ids would invent shapes. Of equal scores the
    first class wins. On a CPU the result equals `tf.argmax(tf.image.resize(scores, size), -1)` in every pixel; on a GPU
    it does up to rounding. It takes the memory of a few rows: a result larger than `STRIP` is computed in strips of
    rows, one after the other.

    Args:
        scores: (B, h, w, C) float32, logits or logarithms of probabilities. With one channel: class 1 where above 0.
        size: height and width of the result, numbers or a tensor; None: those of the scores.

    Returns:
        Class ids (B, *size) int32.
    """
    if size is None:
        return _winners(scores)
    height, width = tf.unstack(tf.cast(size, tf.int32))
    # In whole numbers, as in TensorFlow's kernel: a strip has to sample the same places.
    rows = tf.maximum(1, STRIP // (tf.shape(scores)[0] * scores.shape[3] * width))
    return tf.cond(
        rows >= height,
        lambda: _winners(tf.image.resize(scores, (height, width))),  # nothing happens where it has that size
        lambda: _by_strips(scores, height, width, rows),
    )


STRIP = 1 << 21
"""Scores, resized, that `labels` holds at a time; some copies of them come on top."""


def _by_strips(scores: tf.Tensor, height: tf.Tensor, width: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    batch, extent = tf.shape(scores)[0], tf.shape(scores)[1]
    scale = tf.cast(extent, tf.float32) / tf.cast(height, tf.float32)
    kept = tf.uint8 if scores.shape[3] <= 256 else tf.int32

    def strip(start: tf.Tensor) -> tf.Tensor:
        # All strips have the same number of rows: rows past the end repeat the last one.
        row = tf.cast(tf.minimum(start + tf.range(rows), height - 1), tf.float32)
        place = (row + 0.5) * scale - 0.5
        below = tf.floor(place)
        above = tf.maximum(tf.cast(below, tf.int32), 0)
        under = tf.minimum(tf.cast(tf.math.ceil(place), tf.int32), extent - 1)
        first, last = above[0], under[-1] + 1
        wide = tf.image.resize(scores[:, first:last], (last - first, width))
        one, other = (tf.gather(wide, which - first, axis=1) for which in (above, under))
        return tf.cast(_winners(one + (other - one) * (place - below)[:, None, None]), kept)

    found = tf.map_fn(
        strip,
        tf.range(0, height, rows),
        fn_output_signature=tf.TensorSpec([scores.shape[0], None, None], kept),
        parallel_iterations=1,
    )
    joined = tf.reshape(tf.transpose(found, [1, 0, 2, 3]), [batch, -1, width])
    return tf.cast(joined[:, :height], tf.int32)


def _winners(scores: tf.Tensor) -> tf.Tensor:
    """Return the ids (B, H, W) int32 of the highest scores (B, H, W, C)."""
    if scores.shape[-1] == 1:
        return tf.cast(scores[..., 0] > 0, tf.int32)
    return tf.argmax(scores, axis=-1, output_type=tf.int32)


def segmented(
    model: Callable[..., Any],
    image: tf.Tensor,
    size: Any,
    *,
    content: Any = None,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    crf: Callable[[list[Any]], Any] | None = None,
) -> tf.Tensor:
    """Compute the class ids of one image at any size, by the rules of an evaluation.

    Args:
        model, scales, flip, crf: as for `scores`.
        image: (1, h, w, 3), with a margin right and below if the model is for one size.
        size: height and width of the result, numbers or a tensor.
        content: height and width of the image without its margin, int32 (2,); None: it has none.

    Returns:
        Class ids (*size), uint8 (int32 above 256 classes).
    """
    found = scores(model, image, scales=scales, flip=flip, crf=crf, sizes=None if content is None else content[None])
    if content is not None:
        found = found[:, : content[0], : content[1]]
    ids = labels(found, size)[0]
    return tf.cast(ids, tf.uint8) if found.shape[-1] <= 256 else ids


def label_map(probabilities: Any) -> tf.Tensor:
    """Return the ids (B, H, W) int32 of the largest of probabilities (B, H, W, C); one channel: 1 where above 1/2."""
    probabilities = tf.convert_to_tensor(probabilities)
    if probabilities.shape[-1] == 1:
        return tf.cast(probabilities[..., 0] > 0.5, tf.int32)
    return tf.argmax(probabilities, axis=-1, output_type=tf.int32)


def sliding(
    predict: Callable[[np.ndarray], Any], images: Any, window: int | tuple[int, int], overlap: int
) -> np.ndarray:
    """Predict large images window by window, so that the model's memory depends on the window and not on the image.

    Neighbouring windows share at least `overlap` pixels. At a border inside the image the outer `overlap // 4` pixels
    of a window lack their surroundings and are left out. Over the rest of the overlap one window fades into the next.
    So if `predict` looks no further than `overlap // 4` pixels, the result is that of the whole image.

    Args:
        predict: takes (B, h, w, 3) and returns (B, h, w, C), such as probabilities; called with one size only.
        images: (B, H, W, 3).
        window: height and width of the windows, pixels; a smaller image is one window along that axis.
        overlap: least number of pixels that neighbours share, 0 or more and below the window.

    Returns:
        (B, H, W, C) float32; every pixel is a weighted mean of the windows that cover it.

    Raises:
        ValueError: overlap below 0, or not below the window.
    """
    images = np.asarray(images)
    wanted = (window, window) if isinstance(window, int) else window
    if not 0 <= overlap < min(wanted):
        raise ValueError(f"overlap {overlap} must be at least 0 and below the window {window}")
    sides = [min(side, extent) for side, extent in zip(wanted, images.shape[1:3], strict=True)]
    rows, columns = (_profiles(side, extent, overlap) for side, extent in zip(sides, images.shape[1:3], strict=True))
    total: Any = 0.0
    for top, down in rows:
        for left, across in columns:
            place = np.s_[:, top : top + sides[0], left : left + sides[1]]
            seen = np.asarray(predict(images[place]), np.float32)
            if np.isscalar(total):
                total = np.zeros((*images.shape[:3], seen.shape[3]), np.float32)
            total[place] += seen * (down[:, None] * across)[..., None]
    return total


def _profiles(side: int, extent: int, overlap: int) -> list[tuple[int, np.ndarray]]:
    """Return per window of an axis its start and the weights (side,) of its pixels; they sum to 1 at every pixel."""
    count = 1 if side == extent else -(-(extent - overlap) // (side - overlap))
    starts = [i * (extent - side) // max(1, count - 1) for i in range(count)]
    blank = overlap // 4
    reach = np.clip((np.arange(side) + 0.5 - blank) / max(1, overlap - 2 * blank), 0, 1) if overlap else np.ones(side)
    weights = [
        np.minimum(reach if start else 1.0, reach[::-1] if start + side < extent else 1.0) * np.ones(side)
        for start in starts
    ]
    total = np.zeros(extent)
    for start, weight in zip(starts, weights, strict=True):
        total[start : start + side] += weight
    return [
        (start, (weight / total[start : start + side]).astype(np.float32))
        for start, weight in zip(starts, weights, strict=True)
    ]
