"""Tversky and focal Tversky loss."""

import tensorflow as tf

from losses.core.base import require
from losses.core.overlap import Overlap, OverlapLoss, positive_power
from losses.core.registry import register


@register("tversky")
class Tversky(OverlapLoss):
    """1 - tp / (tp + alpha fp + beta fn), the mean over classes (Salehi et al. 2017, arXiv 1706.05721).

    Convention: `alpha` weighs false positives, `beta` false negatives; the paper's best, .3 and .7, favours recall.
    1/2 and 1/2 is Dice, 1 and 1 is Jaccard. (Keras up to 3.15.1 has the two the other way round.) With `smooth` s it
    is 1 - (tp + s) / (tp + alpha fp + beta fn + s). The rest: see `OverlapLoss`.

    Use: to trade false alarms against misses; small regions that are missed.
    """

    alpha: float = 0.3
    beta: float = 0.7

    identities = (({"alpha": 0.5, "beta": 0.5}, "dice", {}),)

    def check(self) -> None:
        require(self.alpha >= 0.0, "alpha", self.alpha, "a number >= 0")
        require(self.beta > 0.0, "beta", self.beta, "a number > 0")

    def per_class(self, counts: Overlap) -> tf.Tensor:
        errors = self.alpha * counts.fp + self.beta * counts.fn
        return tf.math.divide_no_nan(errors, counts.tp + errors + self.smooth)


@register("focal_tversky")
class FocalTversky(Tversky):
    """(1 - TI_c) ** exponent for each class, TI_c its Tversky index, the mean over classes.

    Abraham & Khan 2018 (arXiv 1810.07842), equation 4, where the exponent is 1/gamma with gamma = 4/3: 3/4.
    The paper sums over the classes; the mean differs from it by a constant factor.

    Convention: the power is taken for each class, before the mean; an exponent of 1 is Tversky. `alpha`
    and `beta` as in `Tversky` (the paper names them the other way round: its .7 is on false negatives, as here).
    The power has no finite slope at loss 0: there the gradient is 0.

    Use: as Tversky, when classes that are nearly right should go on improving: the power steepens small losses.
    """

    exponent: float = 0.75

    identities = (({"exponent": 1.0}, "tversky", {}),)

    def check(self) -> None:
        super().check()
        require(self.exponent > 0.0, "exponent", self.exponent, "a number > 0")

    def per_class(self, counts: Overlap) -> tf.Tensor:
        return positive_power(super().per_class(counts), self.exponent)
