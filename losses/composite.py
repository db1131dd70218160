"""Sums of losses: any sum, and those that have a name."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import keras
import tensorflow as tf

from losses.base import SegmentationLoss, require
from losses.binary import BinaryCrossEntropy
from losses.dice import Dice
from losses.registry import register

Term = tuple[float, SegmentationLoss]


class Composite(SegmentationLoss):
    """sum_k a_k L_k; subclasses give the `terms`. Labels, logits and pixel weights go to each term as they came."""

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        raise NotImplementedError

    @tf.autograph.experimental.do_not_convert
    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        return tf.add_n([factor * loss.call(y_true, y_pred) for factor, loss in self.terms])


class WeightedSum(Composite):
    """The sum that `a + 0.5 * b` builds. The reductions of the parts are not used."""

    losses: Sequence[Any] = ()
    weights: Sequence[float] = ()

    def check(self) -> None:
        decode = keras.saving.deserialize_keras_object
        self.losses = tuple(decode(loss) if isinstance(loss, dict) else loss for loss in self.losses)
        self.weights = tuple(float(weight) for weight in self.weights)
        same = 0 < len(self.losses) == len(self.weights)
        require(same, "weights", self.weights, f"one number for each of the {len(self.losses)} losses")

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        return tuple(zip(self.weights, self.losses, strict=True))

    @classmethod
    def of(cls, *terms: Term) -> "WeightedSum":
        """The sum of the terms, with sums among them opened up."""
        flat: list[Term] = []
        for factor, loss in terms:
            inner = loss.terms if isinstance(loss, WeightedSum) else ((1.0, loss),)
            flat += [(factor * weight, part) for weight, part in inner]
        return cls(losses=tuple(loss for _, loss in flat), weights=tuple(weight for weight, _ in flat))


@register("dice_bce")
class DiceBCE(Composite):
    """dice_weight * Dice + bce_weight * BCE, 1 and 1 by default.

    Convention: the two terms are the losses `dice` (softmax, over the classes by `classes`) and `bce` (a sigmoid a
    channel, the mean over channels) of this package, on the same logits. Softmax Dice sees differences of logits
    only; BCE fixes their level too, so the terms do not contradict each other.
    """

    dice_weight: float = 1.0
    bce_weight: float = 1.0
    ignore_index: int | None = 255
    from_logits: bool = True
    average: str = "batch"
    class_weights: Sequence[float] | None = None
    classes: str | Sequence[int] = "present"
    smooth: float = 0.0

    identities = (({"bce_weight": 0.0}, "dice", {}), ({"dice_weight": 0.0}, "bce", {}))

    def check(self) -> None:
        _ = self.terms  # the terms check the parameters that are theirs

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        shared = {
            "ignore_index": self.ignore_index,
            "from_logits": self.from_logits,
            "average": self.average,
            "class_weights": self.class_weights,
        }
        dice = Dice(classes=self.classes, smooth=self.smooth, **shared)  # type: ignore[arg-type]
        return (self.dice_weight, dice), (self.bce_weight, BinaryCrossEntropy(**shared))  # type: ignore[arg-type]
