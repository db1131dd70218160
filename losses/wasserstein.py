"""Generalized Wasserstein Dice loss."""

from collections.abc import Sequence
from typing import ClassVar

import tensorflow as tf

from losses.core.base import FormulaLoss, require
from losses.core.inputs import one_hot
from losses.core.reductions import over_groups, over_pixels
from losses.core.registry import register


@register("wasserstein_dice")
class WassersteinDice(FormulaLoss):
    """1 - 2 T / (2 T + E), E = sum_x d(x), T = sum_c M_cb sum_x g_c (1 - d(x)), d(x) = sum_cl g_c M_cl p_l.

    Fidon et al. 2017 (arXiv 1707.00478): d is the Wasserstein distance of prediction and label under distances M
    between classes. Pixels of the background b add nothing to T, for they are at no distance from it.

    Convention: `distances` is a symmetric C x C matrix of numbers in [0, 1] with zeros on its diagonal; none means 1
    between any two classes, where d = 1 - p_t. `background` is a class id, 0 by default, so classes have roles. Class
    weights multiply M_cb. One ratio over the group; a group that is all background has no T and so no gradient.

    Use: classes with a hierarchy, where some confusions are worse than others.
    """

    distances: Sequence[Sequence[float]] | None = None
    background: int = 0

    exceptions: ClassVar[frozenset[str]] = frozenset({"class_permutation"})

    def check(self) -> None:
        require(self.background >= 0, "background", self.background, "a class id")
        if self.distances is not None:
            self.distances = rows = tuple(tuple(float(d) for d in row) for row in self.distances)
            size = range(len(rows))
            square = all(len(row) == len(rows) for row in rows)
            metric = square and all(rows[i][i] == 0 <= rows[i][j] == rows[j][i] <= 1 for i in size for j in size)
            require(metric, "distances", rows, "a symmetric matrix of numbers in [0, 1] with zeros on its diagonal")

    def per_image(self, targets: tf.Tensor, logits: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        channels = logits.shape[-1]
        between = self._matrix(channels)
        truth = one_hot(targets, channels)
        moved = tf.reduce_sum(tf.linalg.matvec(between, truth) * tf.nn.softmax(logits), axis=-1)
        importance = tf.linalg.matvec(truth, self.weights_of_classes(channels) * between[self.background])
        sums = [over_pixels(weight * term) for term in (moved, importance * (1.0 - moved))]
        errors, met = over_groups(sums, self.average)
        return self.spread(tf.math.divide_no_nan(errors, 2.0 * met + errors), logits)

    def _matrix(self, channels: int) -> tf.Tensor:
        size = channels if self.distances is None else len(self.distances)
        if size != channels:
            raise ValueError(f"distances is a {size} x {size} matrix for {channels} classes")
        if self.background >= channels:
            raise ValueError(f"background is class {self.background} of {channels} classes")
        return 1.0 - tf.eye(channels) if self.distances is None else tf.constant(self.distances, tf.float32)
