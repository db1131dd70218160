"""Images per second and core of the input pipeline, against KerasCV's layers and a chain of tf.image per image.

    python -m bench.perf.input [--size 512] [--rounds 7] [--json FILE]

All sides start from the same decoded uint8 images in memory, apply the policy `strong`, and yield uint8 batches of
tf.data, on one core, in rounds in which they take turns. KerasCV has no gamma and ignores void. Neither KerasCV nor the
chain applies ClassMix. Only ours does all of it. After that our side runs for 20 epochs, and the resident memory after
the second is compared with that after the last.
"""

from __future__ import annotations

import os
import statistics

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
if hasattr(os, "sched_setaffinity"):  # before TensorFlow starts its threads
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import keras_cv
import numpy as np
import psutil
import tensorflow as tf
import typer

from bench.core import command, start
from bench.data import load, pipeline
from bench.perf.ratios import Ratio, report
from bench.perf.rounds import in_fresh_process, quartiles, times
from bench.spec import DataSpec

BATCH, PICTURES, EPOCHS = 8, 32, 20
CALL = {"ours": 16, "keras_cv": 8, "tf.image": 16}  # batches of one measurement
BARS = {"keras_cv": 8.0, "tf.image": 1.3}
FLAT = 1.02  # memory after the last epoch / memory after the second, at most
Batches: TypeAlias = tf.data.Dataset


# --- KerasCV ---------------------------------------------------------------------------------------------------------


def with_keras_cv(pictures: Batches, size: int, classes: int) -> Batches:
    """Return batches of KerasCV's layers, in the same order and strength, applied to batches as in its guides."""
    layers, full = keras_cv.layers, (0, 255)

    def sometimes(layer: Any, rate: float) -> Any:
        """Apply a layer to a whole batch, which is cheaper. KerasCV's RandomApply cannot be traced under Keras 3."""
        return lambda batch: tf.cond(tf.random.uniform(()) < rate, lambda: layer(dict(batch)), lambda: batch)

    chain = [
        sometimes(layers.RandomGaussianBlur(kernel_size=9, factor=(0.3, 1.5)), 0.3),
        layers.RandomBrightness(0.15, value_range=full),
        layers.RandomContrast(value_range=full, factor=0.3),
        layers.RandomHue(factor=0.05, value_range=full),
        layers.RandomSaturation(factor=(0.4, 0.6)),
        layers.RandomFlip("horizontal"),
        layers.JitteredResize(target_size=(size, size), scale_factor=(0.5, 2.0)),
        layers.RandomRotation(factor=10 / 360, segmentation_classes=classes),
        sometimes(layers.RandomCutout(height_factor=(0.1, 0.4), width_factor=(0.1, 0.4)), 0.25),
        sometimes(layers.CutMix(), 0.2),
    ]

    def augment(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        batch = {"images": tf.cast(image, tf.float32), "segmentation_masks": tf.cast(label[..., None], tf.float32)}
        batch["labels"] = tf.zeros((BATCH, 1))  # CutMix requires labels
        for layer in chain:
            batch = {name: tf.cast(value, tf.float32) for name, value in layer(batch).items()}
        image = tf.saturate_cast(batch["images"], tf.uint8)
        return image, tf.cast(batch["segmentation_masks"][..., 0], tf.uint8)

    return pictures.batch(BATCH, drop_remainder=True).map(augment).prefetch(2)


# --- tf.image --------------------------------------------------------------------------------------------------------


def with_tf_image(pictures: Batches, size: int) -> Batches:
    """Return batches of the same policy by tf.image, one image at a time, and CutMix on the batch."""
    ones = pictures.map(lambda image, label: _one(image, label, size))
    return ones.batch(BATCH, drop_remainder=True).map(_cut_mix).prefetch(2)


def _one(image: tf.Tensor, label: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Augment one image and its label."""

    def chance(probability: float) -> tf.Tensor:
        return tf.random.uniform(()) < probability

    # Crop first, as a careful author would, so that only the crop is computed.
    scale = tf.random.uniform((), 0.5, 2.0)
    side = tf.minimum(size, tf.cast(size / scale, tf.int32))
    top, left = (tf.random.uniform((), 0, size - side + 1, tf.int32) for _ in range(2))
    image, label = (x[top : top + side, left : left + side] for x in (image, label[..., None]))
    image = tf.cast(image, tf.float32)
    image = tf.cond(chance(0.3), lambda: _blurred(image), lambda: image)
    image = tf.image.adjust_gamma(image / 255, tf.random.uniform((), 0.7, 1.4))
    image = tf.image.random_brightness(image, 0.15)
    image = tf.image.random_contrast(image, 0.7, 1.3)
    image = tf.image.random_hue(image, 0.05)
    image = tf.image.random_saturation(image, 0.5, 1.5)
    image = tf.saturate_cast(image * 255, tf.uint8)
    mirrored = chance(0.5)
    image, label = (tf.cond(mirrored, lambda x=x: tf.image.flip_left_right(x), lambda x=x: x) for x in (image, label))
    image, label = _resized(image, label, tf.minimum(size, tf.cast(size * scale, tf.int32)), size)
    image, label = _rotated(image, label)
    return tf.cond(chance(0.25), lambda: _cut_out(image, label, size), lambda: (image, label))


def _blurred(image: tf.Tensor) -> tf.Tensor:
    """Return an image (H, W, 3) after a Gaussian blur."""
    place = tf.range(-4.0, 5.0)
    weights = tf.nn.softmax(-0.5 * tf.square(place / tf.random.uniform((), 0.3, 1.5)))
    for shape in ((9, 1), (1, 9)):
        kernel = tf.tile(tf.reshape(weights, (*shape, 1, 1)), (1, 1, 3, 1))
        image = tf.nn.depthwise_conv2d(image[None], kernel, (1, 1, 1, 1), "SAME")[0]
    return image


def _resized(image: tf.Tensor, label: tf.Tensor, target: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Scale image and label to `target` pixels per side, at a random place in a square of side `size`."""
    image = tf.saturate_cast(tf.image.resize(image, (target, target)), tf.uint8)
    label = tf.image.resize(label, (target, target), "nearest")
    top, left = (tf.random.uniform((), 0, size - target + 1, tf.int32) for _ in range(2))
    image = tf.image.pad_to_bounding_box(image, top, left, size, size)
    label = 255 - tf.image.pad_to_bounding_box(255 - label, top, left, size, size)
    return image, label


def _rotated(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Rotate image and label by up to 10 degrees around the centre."""
    shape = tf.shape(image)[:2]
    angle = tf.random.uniform((), -np.pi / 18, np.pi / 18)
    cos, sin, middle = tf.cos(angle), tf.sin(angle), tf.cast(shape[0] - 1, tf.float32) / 2
    x0, y0 = middle * (1 - cos + sin), middle * (1 - cos - sin)
    matrix = tf.stack([cos, -sin, x0, sin, cos, y0, 0.0, 0.0])[None]

    def warped(x: tf.Tensor, fill: float, how: str) -> tf.Tensor:
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=x[None], transforms=matrix, output_shape=shape, fill_value=fill, interpolation=how
        )[0]

    return warped(image, 127.0, "BILINEAR"), warped(label, 255.0, "NEAREST")


def _cut_out(image: tf.Tensor, label: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Fill a random square with grey and void."""
    side = tf.cast(size * tf.random.uniform((), 0.1, 0.4), tf.int32)
    top, left = (tf.random.uniform((), 0, size - side + 1, tf.int32) for _ in range(2))
    mask = _box(size, top, left, side)
    return tf.where(mask, tf.constant(127, tf.uint8), image), tf.where(mask, tf.constant(255, tf.uint8), label)


def _box(size: int, top: tf.Tensor, left: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
    """Return the mask (size, size, 1) of a square."""
    place = tf.range(size)
    rows, columns = ((place >= low) & (place < low + side) for low in (top, left))
    return (rows[:, None] & columns[None])[..., None]


def _cut_mix(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Paste a rectangle of the previous sample into a fifth of the samples of a batch."""
    size = image.shape[1]
    side = tf.cast(size * tf.sqrt(tf.random.uniform(())), tf.int32)
    top, left = (tf.random.uniform((), 0, size - side + 1, tf.int32) for _ in range(2))
    mask = _box(size, top, left, side)[None] & (tf.random.uniform((BATCH, 1, 1, 1)) < 0.2)
    return tf.where(mask, tf.roll(image, 1, 0), image), tf.where(mask, tf.roll(label, 1, 0), label)[..., 0]


# --- measuring -------------------------------------------------------------------------------------------------------


def sides(crops: pipeline.Crops, images: np.ndarray, labels: np.ndarray, classes: int) -> dict[str, Batches]:
    """Return the finite data set of each side: one batch, and then `CALL` of them."""
    size = crops.crop
    pictures = tf.data.Dataset.from_tensor_slices((images, labels)).repeat().shuffle(PICTURES)
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    # Images are counted before they are augmented. Else batches that nobody reads would be made in advance.
    taken = {name: pictures.take(BATCH * (1 + CALL[name])) for name in ("keras_cv", "tf.image")}
    return {
        "ours": pipeline.train(crops, BATCH, 1 + CALL["ours"]),
        "keras_cv": with_keras_cv(taken["keras_cv"], size, classes).with_options(options),
        "tf.image": with_tf_image(taken["tf.image"], size).with_options(options),
    }


def drained(batches: Batches) -> Callable[[], Callable[[], None]]:
    """Return a function that begins to read a finite data set, and returns a function that reads the rest.

    The first batch is not timed, because TensorFlow sets up the functions of every iterator again. The data set is read
    from its start each time, so that nothing is computed while other sides have their turn.
    """

    def begin() -> Callable[[], None]:
        iterator = iter(batches)
        next(iterator)

        def drain() -> None:
            for image, label in iterator:
                assert image.dtype == label.dtype == tf.uint8
                assert image.shape[:3] == label.shape

        return drain

    return begin


def growth(size: int) -> list[float]:
    """Return the resident memory in MiB after each of `EPOCHS` epochs of our side. Call it in a fresh process."""
    _one_thread()
    spec = _spec(size)
    crops, steps = pipeline.Crops(load(spec).splits["train"], spec, 0), PICTURES // BATCH
    held, process = [], psutil.Process()
    for step, _ in enumerate(pipeline.train(crops, BATCH, EPOCHS * steps), start=1):
        if step % steps == 0:
            held.append(process.memory_info().rss / 2**20)
    return held


def _spec(size: int) -> DataSpec:
    """Return the data section of the benchmark."""
    return DataSpec(size=size, crop=size, augment="strong", train_limit=PICTURES, cache="memory")


def measured(size: int, rounds: int) -> list[Ratio]:
    """Return the ratios of images per second, ours to theirs, and the growth of our memory."""
    spec = _spec(size)
    dataset = load(spec)
    split = dataset.splits["train"]
    crops = pipeline.Crops(split, spec, 0)
    pairs = (pipeline.resized(*split.read(i), size) for i in range(len(split)))
    images, labels = (np.stack(column) for column in zip(*pairs, strict=True))
    made = sides(crops, images, labels, len(dataset.class_names))
    seconds = times({name: drained(batches) for name, batches in made.items()}, rounds)
    each = {name: [value / (CALL[name] * BATCH) for value in values] for name, values in seconds.items()}
    rates = {name: 1 / statistics.median(values) for name, values in each.items()}
    what, held = f"input, {size} x {size} px, policy strong, one core", in_fresh_process(growth, size)
    return [
        *(
            Ratio(
                what,
                "images/s",
                rates["ours"],
                name,
                rates[name],
                at_least=bar,
                spread=quartiles(each[name], each["ours"]),
            )
            for name, bar in BARS.items()
        ),
        Ratio(f"resident memory after {EPOCHS} epochs", "MiB", held[-1], "after 2", held[1], at_most=FLAT),
    ]


@command
def main(
    size: Annotated[int, typer.Option(help="Height and width of pictures and crops.")] = 512,
    rounds: Annotated[int, typer.Option(min=3)] = 7,
    out: Annotated[Path | None, typer.Option("--json", help="Write figures and machine here.")] = None,
) -> int:
    """Compare the input pipelines; exit status 1 when a bar is missed."""
    _one_thread()
    return report(measured(size, rounds), out)


def _one_thread() -> None:
    """Give TensorFlow one thread."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


if __name__ == "__main__":
    start(main)
