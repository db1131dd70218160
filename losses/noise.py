"""Losses for noisy labels: they are bounded, or have a bounded part, which limits the influence of a wrong label."""

import tensorflow as tf

from losses.core.base import require
from losses.core.classwise import ClassLoss, class_sums
from losses.core.inputs import one_hot
from losses.core.overlap import positive_power
from losses.core.pixelwise import SoftmaxLoss
from losses.core.registry import register


@register("gce")
class GeneralizedCrossEntropy(SoftmaxLoss):
    """(1 - p_t^q) / q, the mean over valid pixels (Zhang & Sabuncu 2018, arXiv 1805.07836).

    Convention: q = .7, the paper's. q = 1 is 1 - p_t, half the absolute error |p - g| summed over classes; towards
    q = 0 it becomes cross-entropy.

    Use: noisy labels. It learns slowly at first: a pixel that is badly wrong has hardly any gradient.
    """

    q: float = 0.7

    def check(self) -> None:
        require(0.0 < self.q <= 1.0, "q", self.q, "in (0, 1]")

    def of_surprisal(self, surprisal: tf.Tensor) -> tf.Tensor:
        return -tf.math.expm1(-self.q * surprisal) / self.q


@register("symmetric_cross_entropy")
class SymmetricCrossEntropy(SoftmaxLoss):
    """alpha CE + beta RCE, RCE = -sum_c p_c ln g_c, the mean over valid pixels (Wang et al. 2019, arXiv 1908.06112).

    The logarithm of zero is the constant `log_zero` A, so RCE = -A (1 - p_t).

    Convention: alpha = .1, beta = 1 and A = -4, the paper's for ten classes. Soft labels weigh the value of each class
    by its share, as in `SoftmaxLoss`.

    Use: noisy labels; faster at the start than `gce`, as cross-entropy is in it.
    """

    alpha: float = 0.1
    beta: float = 1.0
    log_zero: float = -4.0

    identities = (
        ({"alpha": 1.0, "beta": 0.0}, "cross_entropy", {}),
        ({"alpha": 1.0, "beta": 0.5, "log_zero": -2.0}, "poly1", {}),
        ({"alpha": 0.0, "log_zero": -1.0}, "gce", {"q": 1.0}),
    )

    def check(self) -> None:
        require(self.alpha >= 0.0, "alpha", self.alpha, "a number >= 0")
        require(self.beta >= 0.0, "beta", self.beta, "a number >= 0")
        require(self.log_zero < 0.0, "log_zero", self.log_zero, "a number < 0")

    def of_surprisal(self, surprisal: tf.Tensor) -> tf.Tensor:
        return self.alpha * surprisal + self.beta * self.log_zero * tf.math.expm1(-surprisal)


@register("noise_robust_dice")
class NoiseRobustDice(ClassLoss):
    """sum |p - g|^gamma / (sum p^2 + sum g^2), the mean over classes (Wang et al. 2020, doi 10.1109/TMI.2020.3000314).

    Convention: gamma = 1.5, the paper's; 2 is squared Dice, 1 a mean absolute error over a region.
    Classes, void and averaging as in `ClassLoss`.

    Use: noisy masks with small regions.
    """

    gamma: float = 1.5

    def check(self) -> None:
        require(1.0 <= self.gamma <= 2.0, "gamma", self.gamma, "in [1, 2]")

    def per_image(self, targets: tf.Tensor, logits: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        p, g = self.probabilities(logits), one_hot(targets, logits.shape[-1])
        miss = positive_power(tf.abs(p - g), self.gamma)
        errors, total, truth = class_sums([miss, tf.square(p) + tf.square(g), g], weight, self.average)
        return self.spread(self.mean_over_classes(tf.math.divide_no_nan(errors, total), truth), logits)
