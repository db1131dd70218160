"""Binary cross-entropy of each channel's sigmoid."""

import tensorflow as tf

from losses.core.pixelwise import SigmoidLoss
from losses.core.registry import register


@register("bce")
class BinaryCrossEntropy(SigmoidLoss):
    """-g ln s - (1-g) ln(1-s), s = sigmoid(z): the mean over channels and valid pixels.

    Convention: C channels are C independent questions "is it class c?" against the one-hot label; see `SigmoidLoss`.

    Use: classes that may overlap, or one class against the rest. With exclusive classes cross-entropy learns faster.
    """

    def of_margin(self, margin: tf.Tensor) -> tf.Tensor:
        return tf.nn.softplus(-margin)
