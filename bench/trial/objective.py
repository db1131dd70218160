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
    """What is trained, the same with one value an image for scoring, and what the record says about it."""

    trained: Any
    scored: Any
    facts: dict[str, Any]

    def set_progress(self, share: float) -> None:
        self.trained.set_progress(share)
        self.scored.set_progress(share)


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
        trained, scored = losses.get(spec.name, **params), losses.get(spec.name, **params | by_image)
        scale = losses.gradient_scale(trained, classes)
    except (TypeError, ValueError) as error:
        raise UsageError(f"loss {spec.name}: {error}") from error
    if spec.calibrated:
        factor = losses.calibration_factor(scale)
        trained, scored, scale = factor * trained, factor * scored, type(scale)(*(factor * part for part in scale))
    if auxiliary_weight:
        trained = losses.DeepSupervision(loss=trained, weights=(1.0, auxiliary_weight))
    return Objective(trained, scored, {"params": params, "gradient_scale": scale._asdict()})


def resolved(spec: LossSpec, labels: Iterable[np.ndarray], classes: int) -> dict[str, Any]:
    """The loss's parameters, weights and priors as numbers."""
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
    """For each class its pixels, all that are not void of the images where it is, and how many these are: (C,) each."""
    counts = np.stack([np.bincount(label.ravel(), minlength=256)[:classes] for label in labels])
    present = counts > 0
    return counts.sum(axis=0), (present * counts.sum(axis=1, keepdims=True)).sum(axis=0), present.sum(axis=0)
