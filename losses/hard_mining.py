"""Cross-entropy of the hardest pixels of each image."""

from math import log
from typing import Any, ClassVar

import tensorflow as tf

from losses.core.base import require
from losses.core.pixelwise import SoftmaxLoss
from losses.core.registry import register
from losses.cross_entropy import CrossEntropy
from losses.schedule import Progress


def hardest(hardness: tf.Tensor, weight: tf.Tensor, mass: tf.Tensor) -> tf.Tensor:
    """Return the part of each weight (B,P) that belongs to the `mass` (B,) of largest hardness (B,P).

    Pixels of equal hardness share the last part. The bound is the largest hardness that a weight of at least `mass`
    reaches. It is found exactly, bit by bit, because floats >= 0 are ordered like their bits. That takes 31 sums and is
    linear in the pixels; a sort is not.
    """
    bits, bound = tf.bitcast(hardness, tf.int32), tf.zeros_like(mass, tf.int32)
    for bit in reversed(range(31)):
        trial = bound + (1 << bit)
        reached = tf.reduce_sum(tf.where(bits >= trial[:, tf.newaxis], weight, 0.0), axis=1)
        bound = tf.where(reached >= mass, trial, bound)
    above, equal = (tf.where(side, weight, 0.0) for side in (bits > bound[:, None], bits == bound[:, None]))
    rest = tf.nn.relu(mass - tf.reduce_sum(above, axis=1))
    share = tf.minimum(1.0, tf.math.divide_no_nan(rest, tf.reduce_sum(equal, axis=1)))
    return above + equal * share[:, tf.newaxis]


class HardMining(CrossEntropy):
    """Mean cross-entropy over the hardest pixels of each image; subclasses give the mass that is `kept`.

    Convention: the hardest pixels are those with the largest -ln p_t. Shares are of the valid pixels of the image, each
    with its weight, class weights included: a pixel of weight 2 is two pixels. The pixel at the boundary counts in
    part. The divisor is the kept weight, even where losses are zero in float32. (Code that divides by the number of
    non-zero losses makes three perfect pixels of four vanish from the mean.) There is one loss per image, because the
    bound of the global batch would need many all-reduces. With `anneal` a, the share falls linearly from 1 to its value
    over the first share a of the training, which `set_progress` reports; 0 turns this off.
    """

    average: str = "image"
    anneal: float = 0.0

    averages: ClassVar[tuple[str, ...]] = ("image",)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0.0 <= self.anneal <= 1.0, "anneal", self.anneal, "in [0, 1]")
        if self.scheduled:
            self.progress = Progress()

    @property
    def scheduled(self) -> bool:  # type: ignore[override]
        return self.anneal > 0.0

    def set_progress(self, share: float) -> None:
        if self.scheduled:
            self.progress.set(share / self.anneal)

    def annealed(self, share: float) -> Any:
        """Return the share to keep at the present progress of the training."""
        return self.progress.between(1.0, share) if self.scheduled else share

    def kept(self, hardness: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        """Return the mass (B,) to keep of weights (B,P), given the hardness -ln p_t (B,P)."""
        raise NotImplementedError

    def per_image(self, targets: tf.Tensor, logits: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        def flat(values: tf.Tensor) -> tf.Tensor:
            return tf.reshape(values, tf.stack([tf.shape(logits)[0], -1]))

        values = self.per_pixel(targets, logits)
        hardness = flat(SoftmaxLoss.per_pixel(self, targets, logits) if self.label_smoothing else values)
        hardness = tf.nn.relu(tf.stop_gradient(hardness))  # rounding may go below 0, where bits are in reverse order
        weight = flat(weight * self.weights_of_pixels(targets, logits.shape[-1]))
        part = tf.stop_gradient(hardest(hardness, weight, self.kept(hardness, weight)))
        return tf.math.divide_no_nan(tf.reduce_sum(part * flat(values), axis=1), tf.reduce_sum(part, axis=1))


@register("top_k")
class TopK(HardMining):
    """The mean of the share k of largest cross-entropies, -ln p_t, of each image (Wu et al. 2016, arXiv 1605.06885).

    Convention: k = .1, of the valid pixels; see `HardMining`. k = 1 is cross-entropy, the mean per image.

    Use: a few hard pixels among many easy ones, with labels that can be trusted: wrong labels are the hardest.
    """

    k: float = 0.1

    identities = (({"k": 1.0}, "cross_entropy", {}),)

    def check(self) -> None:
        super().check()
        require(0.0 < self.k <= 1.0, "k", self.k, "in (0, 1]")

    def kept(self, hardness: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        return self.annealed(self.k) * tf.reduce_sum(weight, axis=1)


@register("ohem")
class OHEM(HardMining):
    """Cross-entropy, the mean over the pixels with p_t <= threshold, or the hardest `min_kept` if these are more.

    Online hard example mining (Shrivastava et al. 2016, arXiv 1604.03540), in the form in which segmentation uses it.

    Convention: threshold = .7 as in public code. `min_kept` is a share of the image's valid pixels, .1, where public
    code has a number of pixels of the batch (100 000 of two crops of 512 x 1024: about .1). The bound is included,
    so that threshold = 1 is cross-entropy, the mean per image, even if p_t is 1 in float32. With `anneal` it is
    `min_kept` that falls. The rest: see `HardMining`.

    Use: as `top_k`, when the number of hard pixels differs from image to image and falls in training.
    """

    threshold: float = 0.7
    min_kept: float = 0.1

    identities = (({"threshold": 1.0}, "cross_entropy", {}), ({"min_kept": 1.0}, "cross_entropy", {}))

    def check(self) -> None:
        super().check()
        require(0.0 < self.threshold <= 1.0, "threshold", self.threshold, "in (0, 1]")
        require(0.0 < self.min_kept <= 1.0, "min_kept", self.min_kept, "in (0, 1]")

    def kept(self, hardness: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        hard = tf.reduce_sum(tf.where(hardness >= -log(self.threshold), weight, 0.0), axis=1)
        return tf.maximum(hard, self.annealed(self.min_kept) * tf.reduce_sum(weight, axis=1))
