"""Images per second and core of the input pipeline, against Albumentations, KerasCV's layers and a chain of tf.image.

    python -m bench.perf.input [--size 512] [--rounds 7] [--data-root FOLDER] [--json FILE]

All sides start from the same decoded uint8 images in memory, apply the policy `strong`, and yield uint8 batches of
tf.data, on one core, in rounds in which they take turns. KerasCV has no gamma and ignores void. Neither KerasCV nor the
chain applies ClassMix. Albumentations (the extra `peers`) mixes nothing, so it is compared with ours without mixing.
Images come from the embedded set, or from a folder of photographs.

Then one reader on two cores takes turns with one on one of them, with two that have a core each, and with eight that
each read an eighth of every batch, as the processes of eight hosts would. Each reader is a process. Last, one runs for
20 epochs, and the resident memory after the second is compared with that after the last.
"""

from __future__ import annotations

import contextlib
import importlib.util
import multiprocessing
import os
import statistics

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
if hasattr(os, "sched_setaffinity"):  # before TensorFlow starts its threads
    os.environ.setdefault("SEGMENTATION_BENCH_CORES", ",".join(map(str, sorted(os.sched_getaffinity(0)))))
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
import psutil
import tensorflow as tf
import typer

from bench.core import command, start
from bench.data import Dataset, load, pipeline
from bench.perf.ratios import Ratio, report
from bench.perf.rounds import in_fresh_process, quartiles, times
from bench.spec import DataSpec
from models.compat import import_keras_cv

keras_cv = import_keras_cv()

_CORES = "SEGMENTATION_BENCH_CORES"  # the cores of the process before it kept one of them
BATCH, PICTURES, EPOCHS = 8, 32, 20
CALL = {"keras_cv": 8, "tf.image": 16}  # batches of one measurement, where not `BATCHES`
BATCHES = 32
BARS = {"keras_cv": 8.0, "tf.image": 1.3}
ALBUMENTATIONS = 1.5
SECOND_CORE = 1.9  # images/s on two cores / on one, at least
EIGHT = 0.95  # images/s of eight readers / of one, on the same cores, at least
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


# --- Albumentations --------------------------------------------------------------------------------------------------


def with_albumentations(images: np.ndarray, labels: np.ndarray, batches: int) -> Batches:
    """Return batches of Albumentations with the same jobs and strength, without mixing, made as ours are."""
    import albumentations as A

    size = images.shape[1]
    chain = A.Compose(
        [
            A.GaussianBlur(blur_limit=0, sigma_limit=(0.3, 1.5), p=0.3),
            A.RandomGamma(gamma_limit=(70, 140), p=1),
            A.ColorJitter(
                brightness=(0.85, 1.15), contrast=(0.7, 1.3), saturation=(0.5, 1.5), hue=(-0.05, 0.05), p=1
            ),
            A.HorizontalFlip(p=0.5),
            A.Affine(
                scale=(0.5, 2), rotate=(-10, 10), translate_percent=(-0.25, 0.25), fill=127, fill_mask=255, p=1,
                interpolation=1, mask_interpolation=0,
            ),
            A.CoarseDropout(
                num_holes_range=(1, 1), hole_height_range=(0.1, 0.4), hole_width_range=(0.1, 0.4), fill=127,
                fill_mask=255, p=0.25,
            ),
        ]
    )  # fmt: skip

    def batch(step: np.int64) -> list[np.ndarray]:
        made = [
            chain(image=images[i % len(images)], mask=labels[i % len(images)])
            for i in range(int(step) * BATCH, int(step) * BATCH + BATCH)
        ]
        return [np.stack([one[name] for one in made]) for name in ("image", "mask")]

    def shaped(step: tf.Tensor) -> tuple[tf.Tensor, ...]:
        image, label = tf.numpy_function(batch, [step], (tf.uint8, tf.uint8))
        shape = (BATCH, size, size)
        return tf.ensure_shape(image, (*shape, 3)), tf.ensure_shape(label, shape)

    return tf.data.Dataset.range(batches).map(shaped, num_parallel_calls=2).prefetch(2)


# --- measuring -------------------------------------------------------------------------------------------------------


def sides(spec: DataSpec, dataset: Dataset, images: np.ndarray, labels: np.ndarray) -> dict[str, Batches]:
    """Return the finite data set of each side: one batch, and then `CALL` of them, or `BATCHES`."""
    size = spec.crop
    pictures = tf.data.Dataset.from_tensor_slices((images, labels)).repeat().shuffle(PICTURES)
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    # Images are counted before they are augmented. Else batches that nobody reads would be made in advance.
    taken = {name: pictures.take(BATCH * (1 + count)) for name, count in CALL.items()}
    split, plain = dataset.splits["train"], spec.policy.model_copy(update={"cutmix": 0.0, "classmix": 0.0})
    unmixed = spec.model_copy(update={"augment": plain})
    found = {
        "ours": pipeline.train(pipeline.Crops(split, spec, 0), BATCH, 1 + BATCHES),
        "ours, no mixing": pipeline.train(pipeline.Crops(split, unmixed, 0), BATCH, 1 + BATCHES),
        "keras_cv": with_keras_cv(taken["keras_cv"], size, len(dataset.class_names)).with_options(options),
        "tf.image": with_tf_image(taken["tf.image"], size).with_options(options),
    }
    if importlib.util.find_spec("albumentations"):
        found["albumentations"] = with_albumentations(images, labels, 1 + BATCHES)
    return found


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


class _Reader:
    """A reader of our side in a process of its own: set up by `prepare`, timed while it drains."""

    def __init__(self, spec: DataSpec, worker: int, workers: int) -> None:
        self._crops, self._part = pipeline.Crops(load(spec).splits["train"], spec, 0), (worker, workers)

    def prepare(self) -> None:
        """Make an iterator and read its first batch: TensorFlow sets up the functions of every iterator again."""
        worker, workers = self._part
        self._batches = iter(pipeline.train(self._crops, BATCH, 1 + BATCHES, worker=worker, workers=workers))
        next(self._batches)

    def drain(self) -> None:
        for _ in self._batches:
            pass


_here: list[_Reader] = []  # of a process of `scaling`


def _start_reader(cores: list[int], *made_of: Any) -> None:
    os.sched_setaffinity(0, cores)  # TensorFlow counts the cores when it starts
    _here.append(_Reader(*made_of))


def _prepare() -> None:
    _here[0].prepare()


def _drain() -> None:
    _here[0].drain()


def scaling(spec: DataSpec, two: list[int], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of `BATCHES` batches on one core, on two, and on two for several readers, per round.

    Several readers are eight on both cores, or two that have a core each, which is the most that two cores can do. Each
    reader is a process that stays on its cores. Threads that are moved from one core to two may both stay on the first:
    in one process for all, half of the rounds on two cores were as slow as on one.
    """

    def begin(processes: list[ProcessPoolExecutor]) -> Callable[[], Callable[[], None]]:
        def at_once(function: Callable[[], None]) -> None:
            for pending in [process.submit(function) for process in processes]:
                pending.result()

        def prepared() -> Callable[[], None]:
            at_once(_prepare)
            return lambda: at_once(_drain)

        return prepared

    spawn = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        places = {"one": [two[-1:]], "two": [two], "apart": [two[:1], two[1:]], "eight": [two] * 8}
        readers = {
            name: [
                stack.enter_context(ProcessPoolExecutor(1, spawn, _start_reader, (cores, spec, worker, len(each))))
                for worker, cores in enumerate(each)
            ]
            for name, each in places.items()
        }
        return times({name: begin(processes) for name, processes in readers.items()}, rounds)


def growth(spec: DataSpec) -> list[float]:
    """Return the resident memory in MiB after each of `EPOCHS` epochs of our side. Call it in a fresh process."""
    _one_thread()
    crops, steps = pipeline.Crops(load(spec).splits["train"], spec, 0), PICTURES // BATCH
    held, process = [], psutil.Process()
    for step, _ in enumerate(pipeline.train(crops, BATCH, EPOCHS * steps), start=1):
        if step % steps == 0:
            held.append(process.memory_info().rss / 2**20)
    return held


def _spec(size: int, root: Path | None) -> DataSpec:
    """Return the data section of the benchmark."""
    where = {"dataset": "folder", "root": str(root)} if root else {}
    return DataSpec(**where, size=size, crop=size, augment="strong", train_limit=PICTURES, cache="memory")


def measured(spec: DataSpec, rounds: int) -> list[Ratio]:
    """Return the ratios of images per second, ours to theirs, and the growth of our memory."""
    dataset, size = load(spec), spec.crop
    split = dataset.splits["train"]
    pairs = (pipeline.resized(*split.read(i), size) for i in range(len(split)))
    images, labels = (
        np.stack([pipeline.padded(one, (size, size), fill) for one in column])
        for column, fill in zip(zip(*pairs, strict=True), (127, 255), strict=True)
    )
    made = sides(spec, dataset, images, labels)
    seconds = times({name: drained(batches) for name, batches in made.items()}, rounds)
    each = {name: [value / (CALL.get(name, BATCHES) * BATCH) for value in values] for name, values in seconds.items()}
    what = f"input, {size} x {size} px, policy strong"
    bars = {name: ("ours", bar, f"{what}, one core") for name, bar in BARS.items()}
    if "albumentations" in each:
        bars["albumentations"] = ("ours, no mixing", ALBUMENTATIONS, f"{what} without mixing, one core")
    else:
        print("no row of Albumentations: pip install -e '.[peers]'")
    held = in_fresh_process(growth, spec)
    return [
        *(_ratio(text, each, ours, name, bar) for name, (ours, bar, text) in bars.items()),
        *_cores(what, spec, rounds),
        Ratio(f"resident memory after {EPOCHS} epochs", "MiB", held[-1], "after 2", held[1], at_most=FLAT),
    ]


def _cores(what: str, spec: DataSpec, rounds: int) -> list[Ratio]:
    """Return the ratios of two cores to one, and of eight readers to one; nothing on one core or without affinity."""
    cores = [int(core) for core in os.environ.get(_CORES, "").split(",") if core]
    if len(cores) < 2:
        return []
    found = scaling(spec, cores[-2:], rounds)
    each = {name: [value / (BATCHES * BATCH) for value in values] for name, values in found.items()}
    return [
        _ratio(f"{what}, two cores", each, "two", "one", SECOND_CORE),
        _ratio(f"{what}, two cores", each, "two", "apart", None),
        _ratio(f"{what}, two cores, eight readers", each, "eight", "two", EIGHT),
    ]


def _ratio(what: str, each: dict[str, list[float]], ours: str, other: str, bar: float | None) -> Ratio:
    """Return the ratio of images per second from the seconds per image and round."""
    one, two = (1 / statistics.median(each[name]) for name in (ours, other))
    against = {"one": "one core", "apart": "two readers, a core each", "two": "one reader"}.get(other, other)
    return Ratio(what, "images/s", one, against, two, at_least=bar, spread=quartiles(each[other], each[ours]))


@command
def main(
    size: Annotated[int, typer.Option(help="Height and width of pictures and crops.")] = 512,
    rounds: Annotated[int, typer.Option(min=3)] = 7,
    data_root: Annotated[
        Path | None, typer.Option(help="A folder of pictures and masks, else the embedded set.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--json", help="Write figures and machine here.")] = None,
) -> int:
    """Compare the input pipelines; exit status 1 when a bar is missed."""
    _one_thread()
    return report(measured(_spec(size, data_root), rounds), out)


def _one_thread() -> None:
    """Give TensorFlow one thread."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


if __name__ == "__main__":
    start(main)
