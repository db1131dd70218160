"""The loss of a trial. Weights and priors that depend on its data are resolved to numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import losses
from bench.core import UsageError

if TYPE_CHECKING:
    from bench.spec import LossSpec


class Objective(NamedTuple):
    """The loss of a trial.

    Attributes:
        train_loss: the loss that is trained.
        eval_loss: the same loss with one value per image, for scoring.
        facts: the record's `objective`: parameters and gradient scale.
    """

    train_loss: Any
    eval_loss: Any
    facts: dict[str, Any]

    def set_progress(self, share: float) -> None:
        """Set the progress of the training, 0..1, in both losses."""
        self.train_loss.set_progress(share)
        self.eval_loss.set_progress(share)


def build(spec: LossSpec, labels: Iterable[np.ndarray], classes: int, auxiliary_weight: float = 0.0) -> Objective:
    """Build the loss. Call it in the scope of the strategy.

    Args:
        spec: the loss; weights given by name are computed here.
        labels: the training labels, each (H, W) uint8 of any size.
        classes: number of classes; labels with other ids are not counted.
        auxiliary_weight: of the same loss at the auxiliary head; 0 for a model without one.

    Raises:
        UsageError: a parameter is out of its range, or weights are for another number of classes.
    """
    params = resolved(spec, labels, classes)
    # An average over the global batch would make the validation loss depend on the batch size.
    by_image = {"average": "image"} if "average" in losses.parameters(spec.name) else {}
    try:
        train_loss = losses.get(spec.name, **params)
        eval_loss = losses.get(spec.name, **params | by_image)
        scale = losses.gradient_scale(train_loss, classes)
    except (TypeError, ValueError) as error:
        raise UsageError(f"loss {spec.name}: {error}") from error
    if not np.isfinite(scale).all():
        raise UsageError(
            f"loss {spec.name} breaks the law 'finite': the norm of its gradient, relative to cross-entropy, is "
            f"{scale.initial:g} before training and {scale.at_margin_3:g} at a margin of 3; see `segbench check-loss`"
        )
    if spec.calibrated:
        factor = losses.calibration_factor(scale)
        train_loss, eval_loss = factor * train_loss, factor * eval_loss
        scale = type(scale)(*(factor * part for part in scale))
    if auxiliary_weight:
        train_loss = losses.DeepSupervision(loss=train_loss, weights=(1.0, auxiliary_weight))
    return Objective(train_loss, eval_loss, {"params": params, "gradient_scale": scale._asdict()})


def resolved(spec: LossSpec, labels: Iterable[np.ndarray], classes: int) -> dict[str, Any]:
    """Return the parameters of the loss, with numbers for weights and priors that are given by name."""
    named = {name: value for name, value in spec.params.items() if isinstance(value, str) and name in spec.BY_NAME}
    if not named:
        return dict(spec.params)
    from losses import class_weights

    pixels, pixels_where_present, images = census(labels, classes)
    found = {
        "median_frequency": lambda: class_weights.median_frequency(pixels, pixels_where_present),
        "enet": lambda: class_weights.enet(pixels),
        "effective_number": lambda: class_weights.effective_number(images),
        "train": lambda: class_weights.priors(pixels),
    }
    return spec.params | {name: [float(f"{w:.6g}") for w in found[value]()] for name, value in named.items()}


def census(labels: Iterable[np.ndarray], classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count per class its pixels, the labelled pixels of the images that contain it, and these images.

    Args:
        labels: each (H, W) uint8.
        classes: number of classes C; other ids are not counted.

    Returns:
        Three integer arrays (C,).
    """
    counts = np.stack([np.bincount(label.ravel(), minlength=256)[:classes] for label in labels])
    present = counts > 0
    return counts.sum(axis=0), (present * counts.sum(axis=1, keepdims=True)).sum(axis=0), present.sum(axis=0)
