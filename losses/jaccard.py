"""Jaccard (soft IoU) loss."""

import tensorflow as tf

from losses.core.overlap import Overlap, OverlapLoss
from losses.core.registry import register


@register("jaccard")
class Jaccard(OverlapLoss):
    """1 - tp / (tp + fp + fn), the mean over classes (Rahman & Wang 2016, ISVC, doi 10.1007/978-3-319-50835-1_22).

    For soft labels tp, fp and fn are those of the L1 norm (Wang et al. 2023, arXiv 2302.05666): zero at p = g.
    A class of Dice score D has Jaccard index D / (2 - D). With `smooth` s it is 1 - (tp + s) / (tp + fp + fn + s).

    Convention: classes, void, smoothing and averaging as in `OverlapLoss`.

    Use: when mIoU is what counts; a poorly covered class costs more than with Dice.
    """

    identities = (({}, "tversky", {"alpha": 1.0, "beta": 1.0}),)

    def per_class(self, counts: Overlap) -> tf.Tensor:
        errors = counts.fp + counts.fn
        return tf.math.divide_no_nan(errors, counts.tp + errors + self.smooth)
