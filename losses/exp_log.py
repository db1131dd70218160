"""Exponential logarithmic loss."""

from functools import cached_property
from typing import ClassVar

import tensorflow as tf

from losses.composite import RegionCompound, Term
from losses.core.base import require
from losses.core.overlap import Overlap, positive_power
from losses.core.pixelwise import SoftmaxLoss
from losses.core.registry import register
from losses.dice import Dice, log_dice


@register("exp_log_dice")
class ExpLogDice(Dice):
    """(-ln D_c) ** exponent of each class's Dice score, the mean over classes: the first half of `exp_log`.

    Wong et al. 2018 (arXiv 1809.00076), equation 2, exponent .3.

    Convention: as in `log_dice`; the power has no finite slope at D_c = 1, where the gradient is 0.

    Use: very small objects beside large ones.
    """

    exponent: float = 0.3

    def check(self) -> None:
        require(self.exponent > 0.0, "exponent", self.exponent, "a number > 0")

    def per_class(self, counts: Overlap) -> tf.Tensor:
        return positive_power(log_dice(counts, self.smooth), self.exponent)


class PowerCrossEntropy(SoftmaxLoss):
    """(-ln p_t) ** exponent, the mean over valid pixels: the second half of `exp_log`."""

    exponent: float = 0.3

    def of_surprisal(self, surprisal: tf.Tensor) -> tf.Tensor:
        return positive_power(surprisal, self.exponent)


@register("exp_log")
class ExpLog(RegionCompound):
    """dice_weight E_c[(-ln D_c)^exponent] + ce_weight E_x[w (-ln p_t)^exponent] (Wong et al. 2018, arXiv 1809.00076).

    Convention: .8, .2 and .3, the paper's. The paper's w_c = (sum of frequencies / frequency of c)^(1/2) depend on the
    data set: give them as `class_weights`; without any, all are 1. They weigh both terms as everywhere in this package.

    Use: very small objects beside large ones. The gradient grows without bound near the truth, so it may never settle.
    """

    dice_weight: float = 0.8
    ce_weight: float = 0.2
    exponent: float = 0.3

    identities: ClassVar[tuple[tuple[dict, str, dict], ...]] = (
        ({"dice_weight": 1.0, "ce_weight": 0.0}, "exp_log_dice", {}),
        ({"dice_weight": 0.0, "ce_weight": 1.0, "exponent": 1.0}, "cross_entropy", {}),
    )

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        dice = ExpLogDice(exponent=self.exponent, **self.regions)
        return (self.dice_weight, dice), (self.ce_weight, PowerCrossEntropy(exponent=self.exponent, **self.shared))
