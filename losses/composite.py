"""Sums of losses: any sum, and the sums that have a name."""

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import keras
import tensorflow as tf

from losses.binary import BinaryCrossEntropy
from losses.core.base import SegmentationLoss, require
from losses.core.registry import register
from losses.cross_entropy import CrossEntropy, TwoSidedCrossEntropy
from losses.dice import Dice
from losses.focal import Focal

Term = tuple[Any, SegmentationLoss]  # a number, or a scalar tensor


class Composite(SegmentationLoss):
    """sum_k a_k L_k; subclasses give the `terms`. Labels, logits and pixel weights go to each term unchanged."""

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """Return the (factor, loss) pairs of the sum."""
        raise NotImplementedError

    @property
    def scheduled(self) -> bool:  # type: ignore[override]
        return any(loss.scheduled for _, loss in self.terms)

    def set_progress(self, share: float) -> None:
        for _, loss in self.terms:
            loss.set_progress(share)

    @tf.autograph.experimental.do_not_convert
    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        return tf.add_n([factor * loss.call(y_true, y_pred) for factor, loss in self.terms])


class WeightedSum(Composite):
    """The sum that `a + 0.5 * b` builds. It ignores the reductions of its parts."""

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
        """Return the sum of the terms; a term that is itself a sum is replaced by its terms."""
        flat: list[Term] = []
        for factor, loss in terms:
            inner = loss.terms if isinstance(loss, WeightedSum) else ((1.0, loss),)
            flat += [(factor * weight, part) for weight, part in inner]
        return cls(losses=tuple(loss for _, loss in flat), weights=tuple(weight for weight, _ in flat))


class Compound(Composite):
    """A sum with a name: its terms see the same labels, logits, void, class weights and averaging."""

    ignore_index: int | None = 255
    from_logits: bool = True
    average: str = "batch"
    class_weights: Sequence[float] | None = None

    def check(self) -> None:
        _ = self.terms  # the terms check their own parameters

    @property
    def shared(self) -> dict[str, Any]:
        """Return the parameters that every term has."""
        return {name: getattr(self, name) for name in ("ignore_index", "from_logits", "average", "class_weights")}


class RegionCompound(Compound):
    """A named sum with a term that is a mean over classes, to which `classes` and `smooth` belong."""

    classes: str | Sequence[int] = "present"
    smooth: float = 0.0

    def check(self) -> None:
        for name in (field.name for field in dataclasses.fields(self) if field.name.endswith("_weight")):  # type: ignore[arg-type]
            require((value := getattr(self, name)) >= 0.0, name, value, "a number >= 0")
        super().check()

    @property
    def regions(self) -> dict[str, Any]:
        """Return the parameters of that term."""
        return {**self.shared, "classes": self.classes, "smooth": self.smooth}


class WithDice(RegionCompound):
    """dice_weight * Dice + a pixel loss, which subclasses give as `other`."""

    dice_weight: float = 1.0

    @property
    def other(self) -> Term:
        """Return the factor and the pixel loss that are added to Dice."""
        raise NotImplementedError

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        return (self.dice_weight, Dice(**self.regions)), self.other


@register("dice_bce")
class DiceBCE(WithDice):
    """dice_weight * Dice + bce_weight * BCE, 1 and 1 by default.

    Convention: the two terms are the losses `dice` (softmax, over the classes by `classes`) and `bce` (a sigmoid a
    channel, the mean over channels) of this package, on the same logits. Softmax Dice sees differences of logits
    only; BCE fixes their level too, so the terms do not contradict each other.

    Use: two classes, or classes that may overlap. With exclusive classes take `dice_cross_entropy`.
    """

    bce_weight: float = 1.0

    identities = (({"bce_weight": 0.0}, "dice", {}), ({"dice_weight": 0.0}, "bce", {}))

    @property
    def other(self) -> Term:
        return self.bce_weight, BinaryCrossEntropy(**self.shared)


@register("dice_cross_entropy")
class DiceCrossEntropy(WithDice):
    """dice_weight * Dice + ce_weight * CE, 1 and 1 by default, nnU-Net's loss (Isensee et al. 2018, arXiv 1809.10486).

    Convention: the two terms are the losses `dice` and `cross_entropy` of this package on the same softmax. (nnU-Net
    takes Dice from 0 down to -1, which has the same gradient.)

    Use: the usual choice in medical segmentation: cross-entropy learns fast at the start, Dice raises small classes.
    """

    ce_weight: float = 1.0
    label_smoothing: float = 0.0

    identities = (({"ce_weight": 0.0}, "dice", {}), ({"dice_weight": 0.0}, "cross_entropy", {}))

    @property
    def other(self) -> Term:
        return self.ce_weight, CrossEntropy(label_smoothing=self.label_smoothing, **self.shared)


@register("dice_focal")
class DiceFocal(WithDice):
    """dice_weight * Dice + focal_weight * focal, 1 and 1 by default (Zhu et al. 2019, arXiv 1808.05238).

    Convention: the two terms are the losses `dice` and `focal` (softmax, no alpha) of this package.

    Use: many easy pixels and small classes at once.
    """

    focal_weight: float = 1.0
    gamma: float = 2.0

    identities = (
        ({"focal_weight": 0.0}, "dice", {}),
        ({"dice_weight": 0.0}, "focal", {}),
        ({"gamma": 0.0}, "dice_cross_entropy", {}),
    )

    @property
    def other(self) -> Term:
        return self.focal_weight, Focal(gamma=self.gamma, **self.shared)


@register("combo")
class Combo(RegionCompound):
    """alpha mCE + (1-alpha) Dice loss, mCE = -sum_c [b g_c ln p_c + (1-b) (1-g_c) ln(1-p_c)] (Taghanaki et al. 2018,
    arXiv 1805.02798).

    Convention: alpha = 1/2 (`alpha`) and b = 1/2 (`balance`), the paper's; b above 1/2 punishes misses, below it false
    alarms. The loss adds 1 - Dice where the paper subtracts Dice: the same gradient, never negative. mCE is summed over
    the classes of a softmax, so that alpha = b = 1 is cross-entropy.

    Use: to trade misses against false alarms in the pixel term of a compound loss.
    """

    alpha: float = 0.5
    balance: float = 0.5

    identities = (({"alpha": 1.0, "balance": 1.0}, "cross_entropy", {}), ({"alpha": 0.0}, "dice", {}))

    def check(self) -> None:
        require(0.0 <= self.alpha <= 1.0, "alpha", self.alpha, "in [0, 1]")
        super().check()

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        pixels = TwoSidedCrossEntropy(balance=self.balance, **self.shared)
        return (self.alpha, pixels), (1.0 - self.alpha, Dice(**self.regions))
