"""From a split to batches: uint8 arrays in memory, cut and augmented in NumPy and Pillow, handed over by tf.data.

Every sample is a pure function of (seed, position in the stream), so batches may be made in parallel and in any order,
a trial replays the same pixels, and the batch size does not change which crops are seen. Labels are only ever gathered
(nearest), never blended. TensorFlow is imported when a data set is made.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from bench.data.dataset import VOID, Pair, Split
from bench.data.quiet_exit import quiet_at_exit

if TYPE_CHECKING:
    import tensorflow as tf

    from bench.spec import DataSpec

LIGHT_SCALES = (0.75, 1.25)


def train(crops: Crops, batch_size: int, steps: int) -> tf.data.Dataset:
    """The first `steps` batches of a stream of training crops.

    Yields (image uint8 (B, crop, crop, 3), label uint8 (B, crop, crop)). Not endless: at its end no call into
    Python is left open.
    """
    import tensorflow as tf

    shape = (batch_size, crops.crop, crops.crop)

    def batch(step: np.int64) -> Pair:
        images, labels = zip(*(crops[int(step) * batch_size + i] for i in range(batch_size)), strict=True)
        return np.stack(images), np.stack(labels)

    def shaped(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, label = tf.numpy_function(quiet_at_exit(batch), [step], (tf.uint8, tf.uint8), stateful=False)
        return tf.ensure_shape(image, (*shape, 3)), tf.ensure_shape(label, shape)

    return _mapped(steps, shaped)


def _mapped(steps: int, function: Callable[..., Any]) -> tf.data.Dataset:
    """Batches of `function` of 0, 1, 2, ... made ahead on a few threads."""
    import tensorflow as tf

    options = tf.data.Options()
    # The thread that tunes an iterator sleeps up to a minute between looks, and giving up the iterator waits for it:
    # a training of 30 s was seen to end 35 s late (TensorFlow 2.21). What it would tune is fixed here.
    options.autotune.enabled = False
    threads = max(2, min(16, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2))
    batches = tf.data.Dataset.range(steps).map(function, num_parallel_calls=threads, deterministic=True)
    return batches.prefetch(2).with_options(options)


def evaluation(split: Split, size: int, batch_size: int) -> tf.data.Dataset:
    """Every image once, in the order of the split, at the training scale, with its label at the label's own size.

    Yields dicts of B entries, the last batch filled up with void images:
        image uint8 (B, SH, SW, 3): aspect kept, longest side `size`, padded right and below with the mean colour;
            (SH, SW) is (size, size), or the common size when all images have one.
        label uint8 (B, LH, LW): native, padded right and below with 255 to the largest of the split.
        image_size, label_size int32 (B, 2): height and width of the content.
        index int32 (B,): position in the split, -1 for filler.
    """
    import tensorflow as tf

    table = Table(split, size)

    def batch(step: np.int64) -> tuple[np.ndarray, ...]:
        rows = (table[i] for i in range(int(step) * batch_size, (int(step) + 1) * batch_size))
        return tuple(np.stack(column) for column in zip(*(row.values() for row in rows), strict=True))

    def shaped(step: tf.Tensor) -> dict[str, tf.Tensor]:
        example = table[0]
        columns = tf.numpy_function(
            quiet_at_exit(batch), [step], [value.dtype for value in example.values()], stateful=False
        )
        return {
            name: tf.ensure_shape(column, (batch_size, *value.shape))
            for (name, value), column in zip(example.items(), columns, strict=True)
        }

    return _mapped(math.ceil(len(split) / batch_size), shaped)


class Crops:
    """The endless stream of training samples: `crops[position]` is image uint8 (crop, crop, 3), label (crop, crop)."""

    def __init__(self, split: Split, spec: DataSpec, seed: int) -> None:
        self.crop, self.light, self.seed = spec.crop, spec.augment == "light", seed
        self.pairs = [resized(*split.read(i), spec.size) for i in range(len(split))]
        self.means = [mean_color(image) for image, _ in self.pairs]
        # Batches of two epochs may be in the making at a time.
        self.order: Callable[[int], np.ndarray] = functools.lru_cache(maxsize=4)(self._order)

    def _order(self, epoch: int) -> np.ndarray:
        return _generator(self.seed, 0, epoch).permutation(len(self.pairs))

    def __getitem__(self, position: int) -> Pair:
        epoch, place = divmod(position, len(self.pairs))
        index = self.order(epoch)[place]
        flip, scale, top, left = _generator(self.seed, 1, position).random(4)
        low, high = LIGHT_SCALES
        scale = low + (high - low) * scale if self.light else 1.0
        image, label = self.pairs[index]
        image, label = window(image, label, self.crop, scale, top, left, self.means[index])
        return (image[:, ::-1], label[:, ::-1]) if self.light and flip < 0.5 else (image, label)


class Table:
    """Rows of an evaluation, as `evaluation` describes them, by position; past the end stands void filler."""

    def __init__(self, split: Split, size: int) -> None:
        self.images: list[np.ndarray] = []
        self.labels: list[np.ndarray] = []
        for i in range(len(split)):
            image, label = split.read(i)
            self.images.append(np.asarray(scaled(image, size, Image.Resampling.BILINEAR)))
            self.labels.append(label)
        shapes = {image.shape[:2] for image in self.images}
        self.image_shape = shapes.pop() if len(shapes) == 1 else (size, size)
        self.label_shape = tuple(np.max([label.shape for label in self.labels], axis=0).tolist())

    def __getitem__(self, position: int) -> dict[str, np.ndarray]:
        if position < len(self.images):
            image, label, index = self.images[position], self.labels[position], position
        else:
            image, label, index = (
                np.full((*self.image_shape, 3), 127, np.uint8),
                np.full(self.label_shape, VOID, np.uint8),
                -1,
            )
        return {
            "image": padded(image, self.image_shape, mean_color(image)),
            "label": padded(label, self.label_shape, VOID),
            "image_size": np.array(image.shape[:2], np.int32),
            "label_size": np.array(label.shape[:2], np.int32),
            "index": np.array(index, np.int32),
        }


def resized(image: np.ndarray, label: np.ndarray, size: int) -> Pair:
    """Both brought to longest side `size`, aspect kept: the image bilinear with antialiasing, the label nearest."""
    return scaled(image, size, Image.Resampling.BILINEAR), scaled(label, size, Image.Resampling.NEAREST)


def scaled(array: np.ndarray, size: int, resampling: Image.Resampling) -> np.ndarray:
    """An image or a label brought to longest side `size`, aspect kept."""
    height, width = array.shape[:2]
    if max(height, width) == size:
        return array
    factor = size / max(height, width)
    target = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(Image.fromarray(array).resize(target, resampling))


def window(
    image: np.ndarray, label: np.ndarray, crop: int, scale: float, top: float, left: float, fill: np.ndarray
) -> Pair:
    """A crop x crop window of the pair scaled by `scale`, without scaling the rest.

    Args:
        top, left: where the window lies, 0 at one end and below 1 of its room; where the scaled picture is smaller than
            the window, where the picture lies in it. What it does not cover is `fill` and void.
    """
    height, width = label.shape
    rows = _overlap(height, scale, crop, top)
    columns = _overlap(width, scale, crop, left)
    box = (columns.source[0], rows.source[0], columns.source[1], rows.source[1])
    target = (columns.length, rows.length)
    out_image, out_label = np.empty((crop, crop, 3), np.uint8), np.full((crop, crop), VOID, np.uint8)
    out_image[:] = fill
    place = slice(rows.start, rows.start + rows.length), slice(columns.start, columns.start + columns.length)
    out_image[place] = np.asarray(Image.fromarray(image).resize(target, Image.Resampling.BILINEAR, box))
    out_label[place] = np.asarray(Image.fromarray(label).resize(target, Image.Resampling.NEAREST, box))
    return out_image, out_label


class _Overlap(NamedTuple):
    """Along one axis: the source interval that is seen, and where its `length` pixels start in the window."""

    source: tuple[float, float]
    start: int
    length: int


def _overlap(extent: int, scale: float, crop: int, share: float) -> _Overlap:
    scaled = max(1, round(extent * scale))
    room = scaled - crop
    offset = int(share * (abs(room) + 1))
    if room < 0:
        return _Overlap((0.0, float(extent)), offset, scaled)
    return _Overlap((offset * extent / scaled, (offset + crop) * extent / scaled), 0, crop)


def padded(array: np.ndarray, shape: tuple[int, ...], fill: np.ndarray | int) -> np.ndarray:
    """`array` in the upper left of a new one of `shape` (height, width) filled with `fill`."""
    if array.shape[:2] == tuple(shape):
        return array
    out = np.empty((*shape, *array.shape[2:]), array.dtype)
    out[:] = fill
    out[: array.shape[0], : array.shape[1]] = array
    return out


def mean_color(image: np.ndarray) -> np.ndarray:
    """Mean RGB of an image, uint8 (3,): what stands where a picture was padded."""
    return np.rint(image.reshape(-1, 3).mean(axis=0)).astype(np.uint8)


def _generator(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))
