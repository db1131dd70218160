"""The loss of a trial, with what depends on its data resolved to numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import losses
from bench.core import UsageError

if TYPE_CHECKING:
    from bench.spec import LossSpec


class Objective(NamedTuple):
    """The loss that is trained, the same with one value per image for scoring, and what the record says about it."""

    train_loss: Any
    eval_loss: Any
    facts: dict[str, Any]

    def set_progress(self, share: float) -> None:
        """Give both the share of the training that is done, 0..1."""
        self.train_loss.set_progress(share)
        self.eval_loss.set_progress(share)


def build(spec: LossSpec, labels: Iterable[np.ndarray], classes: int, auxiliary_weight: float = 0.0) -> Objective:
    """Build the loss; under a strategy, in its scope.

    Args:
        spec: the loss; weights given by name are computed here.
        labels: the training labels, uint8, of any sizes.
        classes: how many there are; other ids do not count.
        auxiliary_weight: of the same loss at the auxiliary head, which a model trained with one has beside its own.

    Raises:
        UsageError: a parameter out of its range, or weights for another number of classes.
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
    if spec.calibrated:
        factor = losses.calibration_factor(scale)
        train_loss, eval_loss = factor * train_loss, factor * eval_loss
        scale = type(scale)(*(factor * part for part in scale))
    if auxiliary_weight:
        train_loss = losses.DeepSupervision(loss=train_loss, weights=(1.0, auxiliary_weight))
    return Objective(train_loss, eval_loss, {"params": params, "gradient_scale": scale._asdict()})


def resolved(spec: LossSpec, labels: Iterable[np.ndarray], classes: int) -> dict[str, Any]:
    """Return the parameters of the loss, weights and priors as numbers."""
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
    """Count per class its pixels, all labelled pixels of the images where it is, and these images: (C,) each."""
    counts = np.stack([np.bincount(label.ravel(), minlength=256)[:classes] for label in labels])
    present = counts > 0
    return counts.sum(axis=0), (present * counts.sum(axis=1, keepdims=True)).sum(axis=0), present.sum(axis=0)
