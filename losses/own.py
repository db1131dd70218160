"""A loss from a module of the user's own, `package.module:Class`, under the contract of this package."""

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import keras
import tensorflow as tf

from losses.core import inputs
from losses.core.base import SegmentationLoss
from losses.core.pixelwise import PixelLoss

SHAPES = "a scalar, one value per image (B,) or one per pixel (B,H,W)"


def build(reference: str, average: str | None = None, **params: Any) -> SegmentationLoss:
    """Build the loss that a reference names.

    A `SegmentationLoss` is returned as it is. Any other class, and any function of labels and logits, is wrapped in an
    `OwnLoss`.

    Args:
        reference: `package.module:Class`.
        average: as for other losses; used if the values are per pixel.
        params: of the constructor, or of the function.

    Raises:
        ValueError: the class refuses its parameters, in its own words.
    """
    target = _target(reference)
    if average is not None and "average" in inspect.signature(target).parameters:
        params["average"] = average
        average = None
    if isinstance(target, type) and issubclass(target, SegmentationLoss):
        return target(**params)
    name = reference.rpartition(":")[2]
    return OwnLoss(reference=reference, params=params, name=name, average=average or "batch")


def parameters(reference: str) -> dict[str, Any]:
    """Return the parameters of a reference with their defaults, and `average`, which every wrapped loss has."""
    target = _target(reference)
    found = list(inspect.signature(target).parameters.values())
    found = found if isinstance(target, type) else found[2:]
    named = {one.name: one.default for one in found if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)}
    if isinstance(target, type) and issubclass(target, SegmentationLoss):
        return named
    return {"average": "batch", **named}


def _target(reference: str) -> Any:
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)


class OwnLoss(PixelLoss):
    """A class or function of the user's own, called with labels and logits.

    Args:
        reference: `package.module:Class`.
        params: of the constructor, or of the function.

    Convention: labels are int32 class ids (B,H,W), logits float32 (B,H,W,C). Values per pixel (B,H,W) are averaged as
    those of every pixel loss, without void and with pixel weights; void pixels have the label 0 in the call. With
    values per image (B,) or a scalar, void pixels have their own label, `ignore_index`, and what they do is up to the
    loss; pixels cannot be weighted then. Of a Keras loss `call` is used, so that its reduction does not matter.
    """

    reference: str = ""
    params: Mapping[str, Any] | None = None

    def check(self) -> None:
        target, params = _target(self.reference), dict(self.params or {})
        try:
            made = target(**params) if isinstance(target, type) else target
        except Exception as error:
            raise ValueError(f"{self.reference}: {type(error).__name__}: {_first_line(error)}") from error
        self._function = made.call if isinstance(made, keras.losses.Loss) else made
        self._params = {} if isinstance(target, type) else params

    @tf.autograph.experimental.do_not_convert
    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        labels, sample_weight = y_true if isinstance(y_true, tuple) else (y_true, None)
        logits = inputs.as_logits(y_pred, self.from_logits, self.activation)
        targets, valid = inputs.as_targets(labels, logits, self.ignore_index)
        if self.of(targets, logits).shape.rank == 3:  # a compiled step leaves out this first call
            return super().call(y_true, y_pred)
        if sample_weight is not None:
            raise ValueError(
                f"{self.reference} gives no value per pixel, so that pixels cannot be weighted: set data.pixel_weights "
                "to none, or return (B,H,W)"
            )
        void = 0 if self.ignore_index is None else self.ignore_index
        values = self.of(tf.where(valid > 0.0, targets, void), logits)
        return tf.fill([tf.shape(logits)[0]], values) if values.shape.rank == 0 else values

    def per_pixel(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return self.of(targets, logits)

    def weights_of_pixels(self, targets: tf.Tensor, channels: int) -> tf.Tensor:
        return tf.ones([])

    def of(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Return what the user's code returns, as float32: a scalar, (B,) or (B,H,W).

        Raises:
            ValueError: it raises, or returns another shape; one line names the law that this breaks.
        """
        try:
            values = tf.cast(tf.convert_to_tensor(self._function(targets, logits, **self._params)), tf.float32)
        except Exception as error:
            raise ValueError(f"{self.reference} raises {type(error).__name__}: {_first_line(error)}") from error
        wanted = logits.shape[:3]
        rank = values.shape.rank
        if rank not in (0, 1, 3) or not values.shape.is_compatible_with(wanted[:rank]):
            raise ValueError(
                f"{self.reference} breaks the law 'shape': labels {wanted} gave {values.shape}; expected {SHAPES}"
            )
        return values


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["without a message"])[0]
