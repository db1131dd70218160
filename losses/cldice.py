"""Centreline Dice."""

from typing import ClassVar

import tensorflow as tf

from losses.core.base import image_weights, require
from losses.core.inputs import one_hot
from losses.core.overlap import overlap
from losses.core.reductions import over_pixels
from losses.core.registry import register
from losses.dice import Dice

TINY = 1e-20  # a mass that counts as none


@register("cldice")
class CenterlineDice(Dice):
    """(1 - alpha) Dice + alpha clDice, clDice = 1 - 2 T S / (T + S), the mean over classes.

    Shit et al. 2021 (arXiv 2003.07311). T = sum(s_p g) / sum s_p is the precision of the skeleton s_p of the
    probabilities, S = sum(s_g p) / sum s_g the sensitivity on the skeleton of the truth. The soft skeleton is what
    openings of the map, eroded up to `iterations` times, take away.

    Convention: T and S have `skeleton_smooth` pixels added to numerator and denominator, 1 as in the authors' code:
    without it the skeleton of an almost flat prediction, next to nothing, has a gradient thousands of times that of
    cross-entropy. A class whose skeleton is empty has T (or S) = 1; that is so for a region that is thicker than about
    2 `iterations` pixels, which is not yet thinned to a line. `smooth` is that of `dice`, in its term alone. All
    classes present count, where the paper has one foreground (`classes=[1]`). Under void both probability and truth are
    0: void has no skeleton, and a line ends there.

    Use: vessels, roads, cracks: where connectedness matters more than width. `iterations` must reach their radius.
    """

    alpha: float = 0.5
    iterations: int = 3
    skeleton_smooth: float = 1.0
    average: str = "image"

    averages: ClassVar[tuple[str, ...]] = ("image",)
    identities = (({"alpha": 0.0}, "dice", {}),)
    exceptions: ClassVar[frozenset[str]] = frozenset({"pixel_permutation", "tiling"})

    def check(self) -> None:
        require(0.0 <= self.alpha <= 1.0, "alpha", self.alpha, "a number in [0, 1]")
        require(self.iterations >= 0, "iterations", self.iterations, "an integer >= 0")
        require(self.skeleton_smooth >= 0.0, "skeleton_smooth", self.skeleton_smooth, "a number >= 0")

    def per_image(self, targets: tf.Tensor, logits: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        valid = tf.cast(weight > 0.0, tf.float32)[..., tf.newaxis]
        p, g = valid * self.probabilities(logits), valid * one_hot(targets, logits.shape[-1])
        counts = overlap(p, g, weight, self.average, exclusive=self.activation == "softmax")
        precision, sensitivity = self.found(p, g, weight), self.found(g, p, weight)
        harmonic = 2.0 * precision * sensitivity / tf.maximum(precision + sensitivity, TINY)
        values = (1.0 - self.alpha) * self.per_class(counts) + self.alpha * (1.0 - harmonic)
        return self.mean_over_classes(values, counts.tp + counts.fn)

    def found(self, first: tf.Tensor, second: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        """Return the share (B,C) of the skeleton of the first map that lies in the second map, both (B,H,W,C)."""
        skeleton = weight[..., tf.newaxis] * soft_skeleton(first, self.iterations)
        missed, total = map(over_pixels, (skeleton * (1.0 - second), skeleton))
        smooth = self.skeleton_smooth * image_weights(weight)[:, tf.newaxis]  # pixels of the mean weight
        return 1.0 - missed / tf.maximum(total + smooth, TINY)


def soft_skeleton(maps: tf.Tensor, iterations: int) -> tf.Tensor:
    """Return the soft skeleton (Shit et al. 2021, algorithm 1) of maps (B,H,W,C) in [0,1]; it never exceeds the map."""
    skeleton = tf.zeros_like(maps)
    for _ in range(iterations + 1):
        eroded = erode(maps)
        ridge = tf.nn.relu(maps - dilate(eroded))  # what the opening takes away
        skeleton += tf.nn.relu(ridge - skeleton * ridge)
        maps = eroded
    return skeleton


def erode(maps: tf.Tensor) -> tf.Tensor:
    """Return the minimum over each pixel and its 4 neighbours; pixels beyond the edge do not count."""
    return -tf.maximum(*(tf.nn.max_pool2d(-maps, size, 1, "SAME") for size in ((3, 1), (1, 3))))


def dilate(maps: tf.Tensor) -> tf.Tensor:
    """Return the maximum over each pixel and its 8 neighbours."""
    return tf.nn.max_pool2d(maps, 3, 1, "SAME")
