"""Scoring: one integer confusion matrix over a whole split. Every image counts once, at its label's own size."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bench.core import IGNORE_INDEX
from bench.data import Slice
from bench.trial import legacy_iou
from bench.trial.hosts import Hosts
from bench.trial.metrics import class_dice, mean_of_known, score_image
from bench.trial.strategy import distribute
from models import labels
from results import class_iou


@dataclass(frozen=True)
class Scores:
    """The result of one pass over a split.

    Attributes:
        confusion: (C, C) int64, rows = truth.
        boundary: (C+1, C+1) int64, the same with one more class for "not near a boundary".
        image_mious: (N,) float64, the mIoU of each image; NaN where an image has no labelled pixel.
        loss: mean over the labelled images.
        images: number of images N.
        seconds: of the pass.
        published: numbers of `bench.trial.legacy_iou`; None if they are not asked for.
        predictions: label maps of the images that were asked for, by index: uint8 (H, W), at each label's own size. A
            checkpoint does not hold them.
        slices: (S, C, C) int64, the confusion of each slice that was asked for.
    """

    confusion: np.ndarray
    boundary: np.ndarray
    image_mious: np.ndarray
    loss: float
    images: int
    seconds: float
    published: Mapping[str, float] | None = None
    predictions: Mapping[int, np.ndarray] = field(default_factory=dict)
    slices: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0), np.int64))

    def as_dict(self, class_names: tuple[str, ...] = (), slices: Sequence[Slice] = ()) -> dict[str, Any]:
        """Return a row of the record's `views` without view and split. IoU, Dice and accuracy are in 0..1 or NaN.

        Args:
            class_names: of all classes, for the list of those that occur neither in truth nor in prediction.
            slices: those that were asked for.
        """
        iou, dice = class_iou(self.confusion), class_dice(self.confusion)
        edge = class_iou(self.boundary)[: len(self.confusion)]
        total = self.confusion.sum()
        return {
            "images": self.images,
            "loss": self.loss,
            "miou": mean_of_known(iou),
            "mean_dice": mean_of_known(dice),
            "pixel_accuracy": float(np.trace(self.confusion) / total) if total else float("nan"),
            "mean_image_iou": mean_of_known(self.image_mious),
            "boundary_iou": mean_of_known(edge),
            "iou": iou.tolist(),
            "dice": dice.tolist(),
            "boundary": edge.tolist(),
            "confusion": self.confusion.tolist(),
            "images_per_second": self.images / self.seconds if self.seconds else None,
            "published": self.published,
            "absent_classes": [n for n, v in zip(class_names, iou, strict=False) if np.isnan(v)],
            "slices": [
                {
                    "feature": one.feature, "value": one.value, "images": len(one.positions),
                    "confusion": confusion.tolist(),
                }
                # The scores of a training that an earlier version began have none.
                for one, confusion in zip(slices, self.slices, strict=False)
            ],
        }  # fmt: skip


@dataclass(frozen=True)
class Share:
    """What a host found in its share of a split: arrays of each batch by name, label maps by index, seconds."""

    parts: Mapping[str, list[np.ndarray]]
    predictions: Mapping[int, np.ndarray]
    seconds: float


class Evaluator:
    """Scores a model on any split. It is traced once for all splits whose batches have the same static shape.

    The confusion matrix of an image depends on the weights and on that image alone: all images of a batch have the
    same shape, so that no image gets a margin because of another.

    Args:
        model: logits (B,H,W,C) from images (B,H,W,3) in 0..255: a Keras model, or any function called like one.
        loss: a loss with average="image", whose mean over a split does not depend on the batch size.
        classes: number of classes C.
        strategy: the strategy the model lives in; batches are split over its replicas.
        as_published: also compute the numbers of `bench.trial.legacy_iou`.
        alive: called after every batch, as a sign of life.
        sized: the model also takes `sizes` (B,2), height and width of each image without its margin.
        hosts: that score together, each its share of every batch; each gets the scores of all.
    """

    def __init__(
        self,
        model: Callable[..., tf.Tensor],
        loss: keras.losses.Loss,
        classes: int,
        strategy: tf.distribute.Strategy,
        as_published: bool = False,
        alive: Callable[[], None] = lambda: None,
        sized: bool = False,
        hosts: Hosts | None = None,
    ) -> None:
        self._hosts = hosts or Hosts()
        self._model, self._loss, self._classes, self._strategy = model, loss, classes, strategy
        self._as_published, self._alive, self._sized = as_published, alive, sized
        self._steps: dict[str, Callable[..., dict[str, Any]]] = {}

    def of(self, model: Callable[..., tf.Tensor], sized: bool = False) -> Evaluator:
        """Return an evaluator of another model of the same trial, with the same loss, strategy and signs of life."""
        known = (self._strategy, self._as_published, self._alive)
        return Evaluator(model, self._loss, self._classes, *known, sized, self._hosts)

    def __call__(self, dataset: tf.data.Dataset, wanted: Collection[int] = (), slices: Sequence[Slice] = ()) -> Scores:
        """Score one pass over a split.

        Args:
            dataset: finite batches of `bench.data.pipeline.evaluation`.
            wanted: indices of the images whose predictions the scores shall hold.
            slices: of the split, which are scored on their own, too.

        Raises:
            AssertionError: an image was scored twice or not at all.
        """
        return self.of_all(self.share(dataset, wanted), slices)

    def share(self, dataset: tf.data.Dataset, wanted: Collection[int] = ()) -> Share:
        """Pass over this host's share of a split. The other hosts are told nothing.

        Args:
            dataset: finite batches of `bench.data.pipeline.evaluation`.
            wanted: indices of the images whose predictions are kept.
        """
        started = time.perf_counter()
        names = ("index", "confusion", "boundary", "labelled", "loss", *(["overlaps"] if self._as_published else []))
        parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
        predictions: dict[int, np.ndarray] = {}
        for outcome in self._outcomes(dataset):
            for name, found_so_far in parts.items():
                found_so_far.append(outcome[name].numpy())
            predictions |= _predictions(outcome, wanted)
        return Share(parts, predictions, time.perf_counter() - started)

    def of_all(self, share: Share, slices: Sequence[Slice] = ()) -> Scores:
        """Return the scores of a split, of which each host has passed over its share. Every host has to call it.

        Args:
            share: of this host.
            slices: of the split, which are scored on their own, too.

        Raises:
            AssertionError: an image was scored twice or not at all.
        """
        started = time.perf_counter()
        parts, predictions = self._of_all_hosts(share.parts), self._known_to_all(share.predictions)
        seconds = share.seconds + time.perf_counter() - started
        # The mean of a batch is over its labelled images; filler images do not count.
        batches = zip(parts["loss"], parts["labelled"], strict=True)
        loss = sum(float(values.mean()) * int(labelled.sum()) for values, labelled in batches)
        found = {name: np.concatenate(values) for name, values in parts.items()}
        index = found["index"]
        in_order = np.argsort(index)[np.count_nonzero(index < 0) :]
        assert index[in_order].tolist() == [*range(len(in_order))], "every image counts once"
        per_image = found["confusion"][in_order].astype(np.int64)
        confusion = per_image.sum(0)
        return Scores(
            confusion=confusion,
            boundary=found["boundary"][in_order].astype(np.int64).sum(0),
            image_mious=np.array([mean_of_known(class_iou(one)) for one in per_image]),
            loss=loss / max(1, int(found["labelled"].sum())),
            images=len(in_order),
            seconds=seconds,
            published=legacy_iou.metrics(found["overlaps"][in_order], confusion) if self._as_published else None,
            predictions=predictions,
            slices=np.array([per_image[one.positions].sum(0) for one in slices]).reshape(-1, *confusion.shape),
        )

    def _of_all_hosts(self, parts: Mapping[str, list[np.ndarray]]) -> dict[str, list[np.ndarray]]:
        """Return the outcome of every whole batch, from those of this host's share of it."""
        if self._hosts.count == 1:
            return dict(parts)
        ends = np.cumsum([len(part) for part in parts["index"]])[:-1]
        told = self._hosts.exchange_arrays({name: np.concatenate(values) for name, values in parts.items()})
        shares = [{name: np.split(values, ends) for name, values in one.items()} for one in told]
        return {
            name: [np.concatenate(rows) for rows in zip(*(one[name] for one in shares), strict=True)] for name in parts
        }

    def _known_to_all(self, predictions: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
        """Return the label maps of all hosts, by index."""
        told = self._hosts.exchange_arrays({str(index): one for index, one in predictions.items()})
        return {int(index): one for found in told for index, one in found.items()}

    def warm(self, dataset: tf.data.Dataset) -> None:
        """Trace and run one batch, so that the time of the next pass contains no tracing. Cheap if traced already."""
        next(self._outcomes(dataset))

    def predict(self, dataset: tf.data.Dataset, wanted: Collection[int]) -> dict[int, np.ndarray]:
        """Return the predicted label maps of the images with these indices: uint8 (H, W), at each label's own size."""
        found: dict[int, np.ndarray] = {}
        for outcome in self._outcomes(dataset):
            found |= _predictions(outcome, wanted)
        return self._known_to_all(found)

    def _outcomes(self, dataset: tf.data.Dataset) -> Iterator[dict[str, tf.Tensor]]:
        """Yield the outcome of each batch, or of this host's share of it, by name.

        Tensors stay on the device until they are read.
        """
        batches = distribute(dataset, self._strategy)
        step = self._step(batches.element_spec)
        for batch in batches:
            outcome = step(batch)
            local = {name: self._strategy.experimental_local_results(values) for name, values in outcome.items()}
            yield {name: values[0] if len(values) == 1 else tf.concat(values, 0) for name, values in local.items()}
            self._alive()

    def _step(self, spec: Mapping[str, Any]) -> Callable[..., dict[str, Any]]:
        """Return the traced scoring of global batches with this element spec: one trace for all shapes of a split."""
        if (key := str(spec)) not in self._steps:
            self._steps[key] = tf.function(
                lambda batch: self._strategy.run(self._score_batch, args=(batch,)),
                input_signature=[spec],
                # Nothing here or in the models needs AutoGraph, which would take most of a second to find that out.
                autograph=False,
            )
        return self._steps[key]

    def _score_batch(self, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Return the outcome of one replica's batch, by name; the first axis of each tensor is that of the images."""
        sizes = {"sizes": batch["image_size"]} if self._sized else {}
        logits = self._model(tf.cast(batch["image"], tf.float32), training=False, **sizes)
        confusion, boundary, at_model_size, prediction = tf.map_fn(
            lambda one: self._score_one(*one),
            (logits, batch["label"], batch["image_size"], batch["label_size"]),
            fn_output_signature=(
                tf.TensorSpec([self._classes] * 2, tf.int32),
                tf.TensorSpec([self._classes + 1] * 2, tf.int32),
                tf.TensorSpec(logits.shape[1:3], tf.int32),
                tf.TensorSpec(batch["label"].shape[1:], tf.uint8),
            ),
        )
        extra = {"overlaps": legacy_iou.overlaps(at_model_size, logits)} if self._as_published else {}
        return extra | {
            "index": batch["index"],
            "confusion": confusion,
            "boundary": boundary,
            "loss": self._loss.call(at_model_size, logits),
            "labelled": tf.reduce_any(at_model_size < self._classes, axis=(1, 2)),
            "prediction": prediction,
            "label_size": batch["label_size"],
        }

    def _score_one(
        self, logits: tf.Tensor, label: tf.Tensor, image_size: tf.Tensor, label_size: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return confusion, boundary confusion, label at the model's size, and prediction of one image, padded."""
        own = tf.cast(label[: label_size[0], : label_size[1]], tf.int32)
        at_model_size = tf.image.resize(own[..., None], image_size, "nearest")[..., 0]
        prediction = label_map(logits, image_size, label_size)
        confusion, boundary = score_image(own, prediction, self._classes)
        return (
            confusion,
            boundary,
            _pad_like(at_model_size, logits),
            _pad_like(tf.cast(prediction, tf.uint8), label),
        )


def _predictions(outcome: Mapping[str, tf.Tensor], wanted: Collection[int]) -> dict[int, np.ndarray]:
    """Return the label maps, by index, of those images of a batch that are wanted."""
    found: dict[int, np.ndarray] = {}
    for row, index in enumerate(outcome["index"].numpy().tolist() if wanted else []):
        if index in wanted:
            height, width = outcome["label_size"][row].numpy()
            found[index] = outcome["prediction"][row, :height, :width].numpy()
    return found


def _pad_like(labels: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """Pad labels (h, w) with `IGNORE_INDEX` below and to the right, to the height and width of `like`."""
    missing = tf.shape(like)[:2] - tf.shape(labels)
    padding = tf.stack([tf.zeros_like(missing), missing], axis=1)
    return tf.ensure_shape(tf.pad(labels, padding, constant_values=IGNORE_INDEX), like.shape[:2])


def label_map(logits: tf.Tensor, image_size: tf.Tensor, label_size: tf.Tensor) -> tf.Tensor:
    """Return the class ids (LH, LW) int32 of one image, see `models.labels`.

    Args:
        logits: (H, W, C); those of the margin, which images of a model of fixed size have, are cut off.
        image_size: (2,) height and width of the image without its margin.
        label_size: (2,) height LH and width LW of the label.
    """
    return labels(logits[None, : image_size[0], : image_size[1]], label_size)[0]
