"""Losses that change during training, and losses over several outputs."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import keras
import tensorflow as tf

from losses.composite import Compound, Term
from losses.core import registry
from losses.core.base import SegmentationLoss, require
from losses.core.registry import register


class Progress:
    """The share of the training that is done, 0 to 1, as a variable that a compiled step reads.

    Under a strategy it must be built in the strategy's scope, like the model; then every replica has a copy.
    """

    def __init__(self) -> None:
        self.share = tf.Variable(
            0.0, trainable=False, name="progress", aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        )

    def set(self, share: float) -> None:
        """Set the share, clipped to 0..1."""
        self.share.assign(min(max(share, 0.0), 1.0))

    def between(self, start: float, end: float) -> tf.Tensor:
        """Return the value on the line from `start` to `end` at the present progress."""
        return start + (end - start) * self.share


@register("scheduled_mix")
class ScheduledMix(Compound):
    """a L_1 + (1 - a) L_2 with a on a line from `start` to `end` over the training.

    Kervadec et al. 2018 (arXiv 1812.07032) go from generalized Dice alone to the boundary loss, which alone would begin
    at the empty prediction, in steps of .01 per epoch.

    Convention: `losses` names two losses of this package, with their defaults and the parameters given here; a goes
    from 1 to .01. The trial calls `set_progress` with the share of steps that is done; without it a stays at `start`.

    Use: any loss that is good at the end of training and bad at its start.
    """

    losses: Sequence[str] = ("generalized_dice", "boundary")
    start: float = 1.0
    end: float = 0.01
    average: str = "image"

    scheduled: ClassVar[bool] = True
    averages: ClassVar[tuple[str, ...]] = ("image",)
    exceptions: ClassVar[frozenset[str]] = frozenset({"pixel_permutation", "tiling", "zero_at_truth"})

    def check(self) -> None:
        self.losses = tuple(self.losses)
        require(len(self.losses) == 2, "losses", self.losses, "the names of two losses")
        for parameter in ("start", "end"):
            require(0.0 <= (value := getattr(self, parameter)) <= 1.0, parameter, value, "in [0, 1]")
        require(self.average in self.averages, "average", self.average, "'image'")
        self.progress = Progress()
        super().check()

    def set_progress(self, share: float) -> None:
        self.progress.set(share)
        super().set_progress(share)

    @cached_property
    def parts(self) -> tuple[SegmentationLoss, ...]:
        """Return the two losses."""
        return tuple(registry.get(name, **self.shared) for name in self.losses)

    @property
    def terms(self) -> tuple[Term, ...]:  # type: ignore[override]
        share = self.progress.between(self.start, self.end)
        return tuple(zip((share, 1.0 - share), self.parts, strict=True))


class DeepSupervision(SegmentationLoss):
    """sum_k a_k L(labels, output_k) over outputs of several resolutions, each enlarged to the labels' size.

    Lee et al. 2015 (arXiv 1409.5185).

    Args:
        loss: a loss of this package, for every output.
        weights: a_k, one per output; none means 1, 1/2, 1/4, ... divided by their sum, as in nnU-Net.

    Convention: predictions are a list or tuple of logits (B,h_k,w_k,C), the main output first, or K outputs of one size
    as one tensor (B,K,h,w,C). Logits are enlarged bilinearly (half-pixel centres), as in DeepLab, so no label is lost.
    """

    loss: Any = None
    weights: Sequence[float] | None = None

    def check(self) -> None:
        self.loss = keras.saving.deserialize_keras_object(self.loss) if isinstance(self.loss, dict) else self.loss
        require(isinstance(self.loss, SegmentationLoss), "loss", self.loss, "a loss of this package")
        if self.weights is not None:
            self.weights = tuple(float(weight) for weight in self.weights)
            require(min(self.weights, default=-1.0) >= 0.0, "weights", self.weights, "one number >= 0 per output")

    @property
    def scheduled(self) -> bool:  # type: ignore[override]
        return self.loss.scheduled

    def set_progress(self, share: float) -> None:
        self.loss.set_progress(share)

    @tf.autograph.experimental.do_not_convert
    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        outputs = list(y_pred) if isinstance(y_pred, list | tuple) else _outputs(y_pred)
        shares = self.weights or [2.0**-k / (2.0 - 2.0 ** (1 - len(outputs))) for k in range(len(outputs))]
        if len(shares) != len(outputs):
            raise ValueError(f"weights has {len(shares)} numbers for {len(outputs)} outputs")
        labels = y_true[0] if isinstance(y_true, tuple) else y_true
        size = tf.shape(labels)[1:3]
        grown = (tf.image.resize(tf.cast(output, tf.float32), size) for output in outputs)
        return tf.add_n([share * self.loss.call(y_true, output) for share, output in zip(shares, grown, strict=True)])


def _outputs(logits: Any) -> list[tf.Tensor]:
    return tf.unstack(logits, axis=1) if len(logits.shape) == 5 else [logits]
