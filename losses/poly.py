"""Poly losses: one more term of the power series of cross-entropy and of focal loss."""

import tensorflow as tf

from losses.core.base import require
from losses.core.pixelwise import SoftmaxLoss
from losses.core.registry import register
from losses.focal import focus, miss_power


@register("poly1")
class Poly1(SoftmaxLoss):
    """-ln p_t + epsilon (1 - p_t), the mean over valid pixels (Leng et al. 2022, arXiv 2204.12511).

    Convention: epsilon = 1, the first value that the paper says to try; from -1 on the loss falls as p_t grows.

    Use: cross-entropy with one parameter: epsilon above 0 gives undecided pixels more weight, below 0 less.
    """

    epsilon: float = 1.0

    identities = (({"epsilon": 0.0}, "cross_entropy", {}),)

    def check(self) -> None:
        require(self.epsilon >= -1.0, "epsilon", self.epsilon, "a number >= -1")

    def of_surprisal(self, surprisal: tf.Tensor) -> tf.Tensor:
        return surprisal - self.epsilon * tf.math.expm1(-surprisal)


@register("poly_focal")
class PolyFocal(SoftmaxLoss):
    """-(1-p_t)^gamma ln p_t + epsilon (1-p_t)^(gamma+1), the mean over valid pixels (Leng et al. 2022, section 4).

    Convention: gamma = 2 and no alpha, as in `focal`; epsilon = 1.

    Use: focal loss with more weight for undecided pixels.
    """

    gamma: float = 2.0
    epsilon: float = 1.0

    identities = (({"epsilon": 0.0}, "focal", {}), ({"gamma": 0.0}, "poly1", {}))

    def check(self) -> None:
        require(self.gamma >= 0.0, "gamma", self.gamma, "a number >= 0")
        require(self.epsilon >= -1.0, "epsilon", self.epsilon, "a number >= -1")

    def of_surprisal(self, surprisal: tf.Tensor) -> tf.Tensor:
        return focus(surprisal, self.gamma) + self.epsilon * miss_power(surprisal, self.gamma + 1.0)
