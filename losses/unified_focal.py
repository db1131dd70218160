"""Unified focal loss: a focal and a focal Tversky loss under three parameters, symmetric and asymmetric."""

from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

import tensorflow as tf

from losses.composite import RegionCompound, Term
from losses.core.base import require
from losses.core.inputs import one_hot
from losses.core.overlap import Overlap, positive_power
from losses.core.pixelwise import SoftmaxLoss
from losses.core.registry import register
from losses.focal import Focal, miss_power
from losses.tversky import FocalTversky, Tversky


class Unified(RegionCompound):
    """lambda * (modified focal) + (1 - lambda) * (modified focal Tversky); subclasses give the two."""

    balance: float = 0.5
    delta: float = 0.6
    gamma: float = 0.5

    def check(self) -> None:
        require(0.0 <= self.balance <= 1.0, "balance", self.balance, "in [0, 1]")
        require(0.0 < self.delta <= 1.0, "delta", self.delta, "in (0, 1]")
        require(0.0 <= self.gamma < 1.0, "gamma", self.gamma, "in [0, 1)")
        super().check()


@register("unified_focal")
class UnifiedFocal(Unified):
    """l delta (1-p_t)^gamma (-ln p_t) + (1-l) (1-mTI_c)^(1-gamma), mTI_c = tp / (tp + delta fn + (1-delta) fp).

    The symmetric form of Yeung et al. 2021 (arXiv 2102.04525); the first term is the mean over pixels, the second over
    classes.

    Convention: l = `balance` = 1/2, delta = .6, gamma = .5, the paper's. The paper writes the exponents of the
    symmetric form as 1-gamma and gamma, those of the asymmetric one and both in its code as here; at gamma = .5 they
    are the same. delta multiplies the whole pixel term, so no class has a role of its own.

    Use: imbalance, with a pixel and a region term and only three parameters to tune.
    """

    identities = (
        ({"balance": 0.0}, "focal_tversky", {"alpha": 0.4, "beta": 0.6, "exponent": 0.5}),
        ({"balance": 1.0, "delta": 1.0}, "focal", {"gamma": 0.5}),
    )

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        focal = Focal(gamma=self.gamma, **self.shared)
        tversky = FocalTversky(alpha=1.0 - self.delta, beta=self.delta, exponent=1.0 - self.gamma, **self.regions)
        return (self.balance * self.delta, focal), (1.0 - self.balance, tversky)


@register("asymmetric_unified_focal")
class AsymmetricUnifiedFocal(Unified):
    """The unified focal loss that suppresses easy pixels of common classes only and enhances rare classes only.

    l * pixel + (1-l) * region; pixel: -delta ln p_t on rare classes, -(1-delta) (1-p_t)^gamma ln p_t on common ones;
    region: (1-mTI_c)^(1-gamma) on rare classes, 1-mTI_c on common ones (Yeung et al. 2021, arXiv 2102.04525).

    Convention: `rare` lists the rare classes; none given means all but class 0, the background, as in the paper. The
    other defaults as in `unified_focal`. Classes have roles, so their order matters.

    Use: a background with far more pixels than all other classes together.
    """

    rare: Sequence[int] | None = None

    exceptions: ClassVar[frozenset[str]] = frozenset({"class_permutation"})
    identities = (({"balance": 0.0, "gamma": 0.0}, "tversky", {"alpha": 0.4, "beta": 0.6}),)

    def check(self) -> None:
        if self.rare is not None:
            self.rare = tuple(int(c) for c in self.rare)
            require(min(self.rare, default=-1) >= 0, "rare", self.rare, "a list of class ids, or None")
        super().check()

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        roles = {"delta": self.delta, "gamma": self.gamma, "rare": self.rare}
        pixel = AsymmetricFocal(**roles, **self.shared)  # type: ignore[arg-type]
        region = AsymmetricFocalTversky(**roles, **self.regions)  # type: ignore[arg-type]
        return (self.balance, pixel), (1.0 - self.balance, region)


class AsymmetricFocal(SoftmaxLoss):
    """-delta ln p_t on rare classes, -(1-delta) (1-p_t)^gamma ln p_t on common ones; see `asymmetric_unified_focal`."""

    delta: float = 0.6
    gamma: float = 0.5
    rare: Sequence[int] | None = None

    def per_pixel(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        truth = one_hot(targets, logits.shape[-1])
        surprisal = -tf.nn.log_softmax(logits)
        common = (1.0 - self.delta) * miss_power(surprisal, self.gamma)
        return tf.reduce_sum(truth * tf.where(_rare(self.rare, logits.shape[-1]), self.delta, common) * surprisal, -1)


class AsymmetricFocalTversky(Tversky):
    """(1-mTI_c)^(1-gamma) on rare classes, 1-mTI_c on common ones; see `asymmetric_unified_focal`."""

    delta: float = 0.6
    gamma: float = 0.5
    rare: Sequence[int] | None = None

    def check(self) -> None:
        self.alpha, self.beta = 1.0 - self.delta, self.delta

    def per_class(self, counts: Overlap) -> tf.Tensor:
        missed = super().per_class(counts)
        rare = _rare(self.rare, counts.tp.shape[-1])
        return tf.where(rare, positive_power(missed, 1.0 - self.gamma), missed)


def _rare(ids: Sequence[int] | None, channels: int) -> tf.Tensor:
    """Return which of the classes are rare, as booleans (C,)."""
    if ids is not None and max(ids) >= channels:
        raise ValueError(f"rare has id {max(ids)} for {channels} classes")
    return tf.constant([c > 0 if ids is None else c in ids for c in range(channels)])
