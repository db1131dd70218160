"""From a split to batches: decoded uint8 pixels, cropped and augmented by OpenCV, passed on by tf.data.

Every sample is a pure function of (seed, position in the stream). So batches can be made in parallel, in any order and
by any worker. A trial repeated on the same machine sees the same pixels, for any batch size. Labels are
resampled by nearest neighbour, never blended. TensorFlow is imported when a tf.data.Dataset is made.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import PIL
from PIL import Image

from bench.core import IGNORE_INDEX, hash_of, usable_cores
from bench.data import augment, decoded_cache, image_ops
from bench.data.dataset import Pair, Split
from bench.data.image_ops import mean_color
from bench.data.pixel_weights import weigher
from bench.data.tfdata_exit import quiet_at_exit

if TYPE_CHECKING:
    import tensorflow as tf

    from bench.spec import DataSpec

_AFTER_DECODING = ("__main__", "augment", "check", "decoded_cache", "folder_writer", "pixel_weights", "sheet")
AHEAD = 1 << 30
"""Limit in bytes of the batches that are computed at the same time."""
_ALIGNMENT = 64
"""Bytes to a multiple of which TensorFlow wants the address of a tensor."""


def train(
    crops: Crops, batch_size: int, steps: int, *, first: int = 0, worker: int = 0, workers: int = 1
) -> tf.data.Dataset:
    """Return a tf.data.Dataset of the training batches `first`, ..., `steps` - 1.

    It yields (image uint8 (B, crop, crop, 3), label uint8 (B, crop, crop)). If the crops have pixel weights, these
    follow as float32 (B, crop, crop). B is `batch_size` / `workers`. The stream is finite, so at its end no call into
    Python is pending.

    Args:
        batch_size: samples in the global batch.
        worker, workers: index of this worker and number of workers. Each yields an equal part of every global batch;
            the parts in order of `worker` are the global batch.

    Raises:
        ValueError: the batch does not split evenly, or `worker` is out of range.
    """
    import tensorflow as tf

    if batch_size % workers or not 0 <= worker < workers:
        raise ValueError(f"worker {worker} of {workers}: a batch of {batch_size} does not split evenly")
    share = batch_size // workers
    shape = (share, crops.crop, crops.crop)
    shapes, types = ((*shape, 3), shape, shape), (tf.uint8, tf.uint8, tf.float32)
    columns = 3 if crops.weigh else 2

    def batch(step: np.int64) -> list[np.ndarray]:
        start = int(step) * batch_size + worker * share
        return [_stacked(column) for column in zip(*(crops[start + i] for i in range(share)), strict=True)]

    def shaped(step: tf.Tensor) -> tuple[tf.Tensor, ...]:
        made = tf.numpy_function(quiet_at_exit(batch), [step], types[:columns], stateful=False)
        return tuple(tf.ensure_shape(column, shape) for column, shape in zip(made, shapes, strict=False))

    return _mapped(range(first, steps), shaped, share * crops.crop**2 * 4)


def _stacked(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Return `np.stack(arrays)` at an address that TensorFlow takes over. It would copy other arrays once more."""
    shape, dtype = (len(arrays), *arrays[0].shape), arrays[0].dtype
    memory = np.empty(math.prod(shape) * dtype.itemsize + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    out = memory[start : memory.size - _ALIGNMENT + start].view(dtype).reshape(shape)
    return np.stack(arrays, out=out)


def _mapped(steps: range, function: Callable[..., Any], batch_bytes: int) -> tf.data.Dataset:
    """Return the batches `function(step)` of all steps, computed ahead of use on about one thread per core."""
    import tensorflow as tf

    options = tf.data.Options()
    # The autotune thread sleeps up to a minute at a time, and deleting the iterator waits for it. A training of 30 s
    # was seen to end 35 s late (TensorFlow 2.21). What autotune would choose is fixed here.
    options.autotune.enabled = False
    threads = max(2, min(usable_cores(), 64, AHEAD // max(1, batch_bytes)))
    batches = tf.data.Dataset.range(steps.start, steps.stop).map(
        tf.autograph.experimental.do_not_convert(function), num_parallel_calls=threads, deterministic=True
    )
    return batches.prefetch(2).with_options(options)


def evaluation(
    split: Split,
    spec: DataSpec,
    batch_size: int,
    square: bool = False,
    multiple: int | None = None,
    *,
    worker: int = 0,
    workers: int = 1,
) -> tf.data.Dataset:
    """Return a tf.data.Dataset with every image once, at the training scale, and its label at native size.

    A batch contains images of one shape, so the score of an image does not depend on the other images of the split.
    Shapes follow one another, the most frequent first. Within a shape, images keep the order of the split. The last
    batch of a shape is padded with filler images whose labels are void.

    Yields dicts of B entries, B at most `batch_size` rounded up to `multiple`:
        image uint8 (B, H, W, 3): aspect ratio kept, longest side `spec.size`. With `square`: (size, size), see
            `squared`.
        label uint8 (B, LH, LW): native size, padded right and below with 255 to the largest label of the batch.
        image_size int32 (B, 2): height and width of the image in pixels.
        label_size int32 (B, 2): height and width of the label in pixels, without padding.
        index int32 (B,): position in the split, -1 for filler.
    Dimensions that are equal in all batches are static, the others None.

    Args:
        multiple: B is padded to a multiple of it, such as the number of replicas; None: `batch_size`.
        worker, workers: as for `train`; B of a worker is its part of every batch. `workers` divides `multiple`.
    """
    import tensorflow as tf

    table = Table(split, spec, square)
    batches = table.batches(batch_size, multiple or batch_size)
    shapes = [table.batch_shapes(rows, len(rows) // workers) for rows in batches]
    names, types = zip(*((name, value.dtype) for name, value in table[0].items()), strict=True)

    def batch(step: np.int64) -> list[np.ndarray]:
        rows = batches[int(step)]
        share = len(rows) // workers
        found = table.batch(rows, slice(worker * share, (worker + 1) * share))
        return [found[name] for name in names]

    def shaped(step: tf.Tensor) -> dict[str, tf.Tensor]:
        columns = tf.numpy_function(quiet_at_exit(batch), [step], types, stateful=False)
        return {
            name: tf.ensure_shape(column, _common([one[name] for one in shapes]))
            for name, column in zip(names, columns, strict=True)
        }

    largest = max(sum(math.prod(shape) for shape in one.values()) for one in shapes)
    return _mapped(range(len(batches)), shaped, largest)


def _common(shapes: Sequence[tuple[int, ...]]) -> tuple[int | None, ...]:
    """Return the sides that are equal in all shapes, and None for the others."""
    return tuple(sides[0] if len(set(sides)) == 1 else None for sides in zip(*shapes, strict=True))


class Crops:
    """The endless stream of training samples.

    `crops[position]` is image uint8 (crop, crop, 3) and label uint8 (crop, crop). If `weigh` is not None, pixel weights
    float32 (crop, crop) follow.
    """

    def __init__(self, split: Split, spec: DataSpec, seed: int) -> None:
        self.crop, self.policy, self.seed = spec.crop, spec.policy, seed
        self._kept = decoded_cache.keep(
            len(split),
            lambda i: _prepared(*resized(*split.read(i), spec.size)),
            spec.cache,
            _identity(split, spec, "image, label, mean"),
        )
        self.weigh = weigher(spec.pixel_weights, self.labels(), split.background)
        # Batches of two epochs may be computed at the same time.
        self.order: Callable[[int], np.ndarray] = functools.lru_cache(maxsize=4)(self._order)

    def of_side(self, crop: int) -> Crops:
        """Return the same stream with crops of another side, in pixels. Both share the decoded images."""
        other = copy.copy(self)
        other.crop = crop
        return other

    def labels(self) -> Iterator[np.ndarray]:
        """Yield all training labels at the training scale, uint8 (H, W) each."""
        return (label for _, label, _ in self._kept)

    def _order(self, epoch: int) -> np.ndarray:
        return _generator(self.seed, 0, epoch).permutation(len(self._kept))

    def __getitem__(self, position: int) -> tuple[np.ndarray, ...]:
        epoch, place = divmod(position, len(self._kept))
        return self._sample(self.order(epoch)[place], 1, position)

    def _sample(self, index: int, *key: int) -> tuple[np.ndarray, ...]:
        draws = augment.draws(_generator(self.seed, *key))
        one = self._augmented(index, draws)
        if augment.mixes(self.policy, draws):
            # The partner is drawn from the split, not from the batch, so mixing depends on neither batch nor worker.
            partner = int(draws["mix_with"] * len(self._kept))
            other = self._augmented(partner, augment.draws(_generator(self.seed, 2, *key)))
            image, label = augment.mixed(one, other, self.policy, draws)
        else:
            image, label = one.image(one.whole), one.label(one.whole)
        return (image, label, self.weigh(label)) if self.weigh else (image, label)

    def variation(self, index: int, number: int) -> Pair:
        """Return augmented sample `number` of image `index`, for display: image and label as in `crops[position]`."""
        image, label, *_ = self._sample(index, 3, index, number)
        return image, label

    def _augmented(self, index: int, draws: augment.Draws) -> augment.Sample:
        return augment.sample(augment.Prepared(*self._kept[index]), self.policy, self.crop, draws)


class Table:
    """The rows of an evaluation by position, with the fields that `evaluation` describes."""

    def __init__(self, split: Split, spec: DataSpec, square: bool = False) -> None:
        def scored(index: int) -> Pair:
            image, label = split.read(index)
            return prepared(image, spec), label

        self.pairs = decoded_cache.keep(len(split), scored, spec.cache, _identity(split, spec, "scored"))
        self._square = spec.size if square else None
        self._shapes = [tuple(array.shape[:2] for array in pair) for pair in self.pairs]

    def __getitem__(self, position: int) -> dict[str, np.ndarray]:
        image, label = self.pairs[position]
        return {
            "image": squared(image, self._square) if self._square else image,
            "label": label,
            "image_size": np.array(image.shape[:2], np.int32),
            "label_size": np.array(label.shape[:2], np.int32),
            "index": np.array(position, np.int32),
        }

    def batches(self, batch_size: int, multiple: int) -> list[list[int]]:
        """Return the positions of each batch; its images have one shape, and -1 is filler."""
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for position, (shape, _) in enumerate(self._shapes):
            by_shape.setdefault((self._square,) * 2 if self._square else shape, []).append(position)
        groups = sorted(by_shape.values(), key=lambda group: -len(group))
        found = [group[i : i + batch_size] for group in groups for i in range(0, len(group), batch_size)]
        return [rows + [-1] * (-len(rows) % multiple) for rows in found]

    def batch_shapes(self, rows: Sequence[int], count: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the columns of `count` rows of a batch, by name."""
        image, _ = self._shapes[rows[0]]
        label = np.max([self._shapes[position][1] for position in rows if position >= 0], axis=0).tolist()
        sides = (self._square,) * 2 if self._square else image
        return {
            "image": (count, *sides, 3),
            "label": (count, *label),
            "image_size": (count, 2),
            "label_size": (count, 2),
            "index": (count,),
        }

    def batch(self, rows: Sequence[int], part: slice = slice(None)) -> dict[str, np.ndarray]:
        """Return the columns of a part of a batch by name. Filler repeats the first image with a void label."""
        own = rows[part]
        shapes = self.batch_shapes(rows, len(own))
        found = [self[position if position >= 0 else rows[0]] for position in own]
        columns = {
            name: np.stack(
                [padded(row[name], shape[1:3], IGNORE_INDEX) if name == "label" else row[name] for row in found]
            )
            for name, shape in shapes.items()
        }
        filler = np.array(own) < 0
        columns["label"][filler] = IGNORE_INDEX
        columns["index"][filler] = -1
        return columns


def _identity(split: Split, spec: DataSpec, kind: str) -> str:
    """Return text of everything that cached pixels depend on; empty if the split has no version."""
    how = f"{spec.size} {spec.policy.clahe if kind == 'scored' else ''}"
    return split.version and "\n".join((split.version, kind, how, _code(), *split.keys))


def _decoding() -> list[Path]:
    """Return the source files in this folder and below that decoded pixels may depend on."""
    return [path for path in Path(__file__).parent.rglob("*.py") if path.stem not in _AFTER_DECODING]


@functools.cache
def _code() -> str:
    """Return the version of all code that decodes, paints or resizes, so pixels cached by other code are not used."""
    found = hash_of(_decoding())
    return f"{found} Pillow {PIL.__version__} NumPy {np.__version__} OpenCV {cv2.__version__}"


def prepared(image: np.ndarray, spec: DataSpec) -> np.ndarray:
    """Return an image as the model gets it in evaluation: longest side `spec.size`, then `seen`. uint8 (H, W, 3)."""
    return seen(scaled(image, spec.size, Image.Resampling.BILINEAR), spec)


def seen(image: np.ndarray, spec: DataSpec) -> np.ndarray:
    """Apply the part of the policy that also holds in evaluation, CLAHE, to an image uint8 (H, W, 3) of any size."""
    clahe = spec.policy.clahe
    return image_ops.equalized(image, clahe.clip, clahe.tiles) if clahe and clahe.evaluation else image


def resized(image: np.ndarray, label: np.ndarray, size: int) -> Pair:
    """Resize image and label to longest side `size`, keeping the aspect ratio.

    The image uint8 (H, W, 3) is resized bilinearly with antialiasing, the label uint8 (H, W) by nearest neighbour.
    """
    return scaled(image, size, Image.Resampling.BILINEAR), scaled(label, size, Image.Resampling.NEAREST)


def _prepared(image: np.ndarray, label: np.ndarray) -> augment.Prepared:
    return augment.Prepared(image, label, mean_color(image))


def scaled(array: np.ndarray, size: int, resampling: Image.Resampling) -> np.ndarray:
    """Resize an image uint8 (H, W, 3) or a label uint8 (H, W) to longest side `size`, keeping the aspect ratio."""
    height, width = array.shape[:2]
    if max(height, width) == size:
        return array
    factor = size / max(height, width)
    target = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(Image.fromarray(array).resize(target, resampling))


def padded(array: np.ndarray, shape: tuple[int, ...], fill: np.ndarray | int) -> np.ndarray:
    """Return `array` (H, W, ...) in the upper left of a new array of `shape` (height, width) filled with `fill`."""
    if array.shape[:2] == tuple(shape):
        return array
    out = np.empty((*shape, *array.shape[2:]), array.dtype)
    out[:] = fill
    out[: array.shape[0], : array.shape[1]] = array
    return out


def squared(image: np.ndarray, size: int) -> np.ndarray:
    """Pad an image right and below with its mean colour to (size, size), for a model of one fixed input size."""
    return padded(image, (size, size), mean_color(image))


def _generator(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))
