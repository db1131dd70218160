"""A loss whose laws are checked: its value and gradient outside a graph, in one, and compiled."""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from losses.core.base import SegmentationLoss
from losses.laws.examples import Example


class Broken(Exception):
    """A law does not hold. The message is one line that says by how much."""


class Outcome(NamedTuple):
    """The reduced loss, and its gradient in the logits (B,H,W,C) float32."""

    value: float
    gradient: np.ndarray


class Subject:
    """A loss, and what the laws compare of it.

    Args:
        loss: the loss.
        classes: number of channels of the logits.
        rtol: relative difference up to which two ways to compute a value agree.
    """

    def __init__(self, loss: SegmentationLoss, classes: int = 3, rtol: float = 2e-6) -> None:
        self.loss, self.classes, self.rtol = loss, classes, rtol
        self._plain: dict[int, tuple[Example, Outcome]] = {}
        self._eager: dict[int, tuple[Example, Outcome]] = {}

    @cached_property
    def weighs_pixels(self) -> bool:
        """Return whether it takes pixel weights; a loss of the user's own may have no value per pixel."""
        labels, logits = np.zeros((1, 2, 2), np.uint8), np.zeros((1, 2, 2, self.classes), np.float32)
        try:
            self.loss(labels, logits, sample_weight=np.ones((1, 2, 2), np.float32))
        except ValueError as error:
            if "cannot be weighted" in str(error):
                return False
            raise
        return True

    def evaluate(self, labels: Any, logits: Any, weight: Any = None) -> Outcome:
        """Return value and gradient outside a graph."""
        value, gradient = self.tensors(labels, logits, weight)
        return Outcome(float(value), gradient.numpy())

    def tensors(self, labels: Any, logits: Any, weight: Any = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the same as tensors: the value of the type that the loss gives it, the gradient as float32."""
        logits = tf.convert_to_tensor(logits)
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = self.loss(labels, logits, sample_weight=weight)
        gradient = tape.gradient(value, logits, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return value, tf.cast(gradient, tf.float32)

    def eager(self, example: Example) -> Outcome:
        """Return value and gradient of an example as it is, outside a graph, with which some laws compare."""
        if id(example) not in self._eager:
            self._eager[id(example)] = example, self.evaluate(example.labels, example.logits)
        return self._eager[id(example)][1]

    def traced(self, labels: Any, logits: Any, weight: Any = None) -> Outcome:
        """Return the same from a graph, in a tenth of the time. The law `graph` compares the two."""
        weight = np.ones(labels.shape, np.float32) if weight is None else weight
        value, gradient = self.graph(labels.astype(np.uint8), logits.astype(np.float32), weight)
        return Outcome(float(value), gradient.numpy())

    def plain(self, example: Example) -> Outcome:
        """Return value and gradient of an example as it is, with which many laws compare."""
        if id(example) not in self._plain:  # the example is kept as well, so that no other one gets its id
            self._plain[id(example)] = example, self.traced(example.labels, example.logits)
        return self._plain[id(example)][1]

    @cached_property
    def graph(self) -> Any:
        """Return value and gradient as a graph for images of any size, which laws share: tracing takes the time."""
        return self.compiled(False, (None, None, None))

    def compiled(self, jit_compile: bool, sizes: tuple[int | None, int | None, int | None]) -> Any:
        """Return value and gradient as one graph that knows its inputs by their shapes only.

        Args:
            jit_compile: compile it with XLA.
            sizes: images, height and width; None for any.
        """
        weighs = self.weighs_pixels

        @tf.function(
            jit_compile=jit_compile,
            input_signature=[
                tf.TensorSpec(sizes, tf.uint8),
                tf.TensorSpec((*sizes, self.classes), tf.float32),
                tf.TensorSpec(sizes, tf.float32),
            ],
        )
        def run(labels: tf.Tensor, logits: tf.Tensor, weight: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            with tf.GradientTape() as tape:
                tape.watch(logits)
                value = self.loss(labels, logits, sample_weight=weight if weighs else None)
            return value, tape.gradient(value, logits, unconnected_gradients=tf.UnconnectedGradients.ZERO)

        return run

    def agree(self, first: Outcome, second: Outcome, looser: float = 1.0) -> None:
        """Compare two values and two gradients.

        Raises:
            Broken: they differ by more than `rtol` times `looser`, in the gradient relative to its largest part.
        """
        rtol = self.rtol * looser
        if not np.isclose(second.value, first.value, rtol=rtol, atol=0.0):
            raise Broken(f"the loss is {first.value:.6g}, then {second.value:.6g}")
        scale = max(float(np.abs(first.gradient).max(initial=0.0)), 1e-9)
        apart = np.abs(second.gradient - first.gradient)
        beyond = np.where(np.isnan(apart), np.inf, apart) - rtol * scale - 10 * rtol * np.abs(first.gradient)
        if beyond.size and beyond.max() > 0.0:
            place = np.unravel_index(int(beyond.argmax()), beyond.shape)
            one, other = (float(outcome.gradient[place]) for outcome in (first, second))
            raise Broken(f"the gradient at {where(place)} is {one:.4g}, then {other:.4g}")


def where(place: Any) -> str:
    """Return a place in a gradient in words."""
    image, row, column, channel = (int(part) for part in place)
    return f"image {image}, pixel ({row}, {column}), class {channel}"
