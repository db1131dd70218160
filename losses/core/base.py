"""The contract of every loss of this package.

Labels: class ids (B,H,W) or (B,H,W,1) of any type that holds integers, or soft labels (B,H,W,C).
Predictions: logits (B,H,W,C) of any float type, or probabilities with `from_logits=False`; all is computed in float32.
Void: pixels labelled `ignore_index` (for soft labels: rows of zeros) and pixels of weight zero do not exist. They
    have no gradient and are in no average; nor is an image without a valid pixel; a batch without one has loss zero.
Weights: `sample_weight` has shape (B,), (B,H,W) or (B,H,W,1) and weighs pixels; a weight for an image is that weight
    for each of its pixels. Only ratios of weights matter: a constant weight changes nothing, as averages are
    weighted means and overlaps are ratios. A `smooth` above 0 is in weighted pixels.
Averaging: `average="batch"` takes one average (or overlap) over the pixels of the global batch, `average="image"` one
    an image and then the mean over the images, each counting with the mean weight of its pixels. Losses that would
    need more than one all-reduce for the global batch (sorted, spatial) have "image" alone.
Replicas: value and update are those of one device that sees the whole batch. Each loss, or each term of a sum, does one
    all-reduce of a few numbers; it goes with Keras' reduction "sum_over_batch_size" under `fit` and with "none" in a
    custom loop, where the values are averaged over the images and the replicas.
Values: `call` returns (B,). Keras 3 multiplies the update of a scalar loss by the number of replicas; this it cannot.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, dataclass_transform

import keras
import tensorflow as tf

from losses.core import inputs, replicas
from losses.core.reductions import over_pixels

PACKAGE = "segmentation_bench"  # in saved configurations: must never change
AVERAGES = ("batch", "image")


@dataclass_transform(kw_only_default=True, eq_default=False)
@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class SegmentationLoss(keras.losses.Loss):
    """A Keras loss whose constructor is its annotated attributes, all by keyword, and whose sums are losses again.

    `0.3 * losses.get("dice") + losses.get("cross_entropy")` is a loss too, serialisable like its parts.
    """

    reduction: str = "sum_over_batch_size"
    name: str | None = None

    loss_name: ClassVar[str | None] = None
    # For the law tests: (own parameters, name of another loss, its parameters) that give equal values.
    identities: ClassVar[tuple[tuple[dict, str, dict], ...]] = ()
    # For the law tests: names of the laws that this loss breaks by its definition.
    exceptions: ClassVar[frozenset[str]] = frozenset()
    # Whether a model can be trained with this loss and nothing else.
    trains_alone: ClassVar[bool] = True
    # Whether the loss changes in the course of training and wants `set_progress`.
    scheduled: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(kw_only=True, eq=False, repr=False)(cls)
        keras.saving.register_keras_serializable(PACKAGE)(cls)

    def __post_init__(self) -> None:
        super().__init__(name=self.name or self.loss_name or type(self).__name__, reduction=self.reduction)
        self.check()

    def check(self) -> None:
        """Raise ValueError for a parameter out of its range."""

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tf.Tensor:
        """Return the reduced loss. Weights travel with the labels: Keras would broadcast them against (B,) values."""
        return super().__call__(y_true if sample_weight is None else (y_true, sample_weight), y_pred)

    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """Return values (B,) float32; `y_true` is the labels, or a pair of labels and pixel weights."""
        raise NotImplementedError

    def set_progress(self, share: float) -> None:
        """Set the share of the training that is done, 0 to 1. Losses that do not change in training ignore it."""

    def get_config(self) -> dict[str, Any]:
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def __repr__(self) -> str:
        changed = (
            f"{field.name}={getattr(self, field.name)!r}"
            for field in dataclasses.fields(self)  # type: ignore[arg-type]
            if field.name != "name" and getattr(self, field.name) != field.default
        )
        return f"{type(self).__name__}({', '.join(changed)})"

    def __add__(self, other: Any) -> "SegmentationLoss":
        from losses.composite import WeightedSum

        return WeightedSum.of((1.0, self), (1.0, other)) if isinstance(other, SegmentationLoss) else NotImplemented

    def __mul__(self, factor: Any) -> "SegmentationLoss":
        from losses.composite import WeightedSum

        return WeightedSum.of((float(factor), self)) if isinstance(factor, int | float) else NotImplemented

    __rmul__ = __mul__


class FormulaLoss(SegmentationLoss):
    """A loss with a formula of its own: subclasses write `per_image`, this class owns the contract around it."""

    ignore_index: int | None = 255
    from_logits: bool = True
    average: str = "batch"
    class_weights: Sequence[float] | None = None

    activation: ClassVar[str] = "softmax"  # how probabilities come from logits: "softmax" or "sigmoid"
    averages: ClassVar[tuple[str, ...]] = AVERAGES  # those that the formula can take in one all-reduce

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.average in self.averages, "average", self.average, " or ".join(map(repr, self.averages)))
        if self.class_weights is not None:
            self.class_weights = tuple(float(weight) for weight in self.class_weights)
            positive = min(self.class_weights, default=-1.0) >= 0.0 and sum(self.class_weights) > 0.0
            require(positive, "class_weights", self.class_weights, "one number >= 0 per class, not all 0")

    @tf.autograph.experimental.do_not_convert
    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        labels, sample_weight = y_true if isinstance(y_true, tuple) else (y_true, None)
        logits = inputs.as_logits(y_pred, self.from_logits, self.activation)
        targets, valid = inputs.as_targets(labels, logits, self.ignore_index)
        weight = inputs.as_pixel_weights(sample_weight, valid)
        values = self.per_image(targets, logits, weight)
        return values * replicas.shares(image_weights(weight)) if self.average == "image" else values

    def per_image(self, targets: tf.Tensor, logits: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        """Return values (B,) from targets (see `inputs.as_targets`), float32 logits (B,H,W,C) and weights (B,H,W).

        With `average="image"`: the loss of each image, zero if it has no pixel. With `average="batch"`: values whose
        mean over the global batch is the loss.
        """
        raise NotImplementedError

    def spread(self, values: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Return values (B,) from values (groups,): unchanged per image, or the batch's value for each image."""
        return values if self.average == "image" else tf.fill([tf.shape(logits)[0]], values[0])

    def weights_of_classes(self, channels: int) -> tf.Tensor:
        """Return class weights (C,), ones when there are none.

        Raises:
            ValueError: their number is not `channels`.
        """
        if self.class_weights is None:
            return tf.ones([channels])
        if len(self.class_weights) != channels:
            raise ValueError(f"class_weights has {len(self.class_weights)} numbers for {channels} classes")
        return tf.constant(self.class_weights, tf.float32)


def require(holds: bool, parameter: str, value: Any, wanted: str) -> None:
    """Raise a ValueError with the parameter, the value received and what is wanted, unless the condition holds."""
    if not holds:
        raise ValueError(f"{parameter} must be {wanted}, got {value!r}")


def image_weights(weight: tf.Tensor) -> tf.Tensor:
    """Return the mean weight (B,) of the pixels that count, zero for an image that has none."""
    return tf.math.divide_no_nan(over_pixels(weight), over_pixels(tf.cast(weight > 0.0, tf.float32)))


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if isinstance(value, SegmentationLoss):
        return keras.saving.serialize_keras_object(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, Mapping) else value
