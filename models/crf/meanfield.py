"""Mean field inference in a fully connected CRF (Krähenbühl and Koltun 2011, arXiv 1210.5644)."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def mean_field(
    scores: tf.Tensor,
    message: Callable[[tf.Tensor], tf.Tensor],
    iterations: int,
    compatibility: tf.Tensor | None = None,
) -> tf.Tensor:
    """Return approximate marginals (N, C) after parallel updates of all N pixels.

    Args:
        scores: float32 (N, C), the negative unary energies, up to a constant per pixel.
        message: (N, C) to (N, C), the weighted sum of the filters over the marginals.
        iterations: number of updates.
        compatibility: float32 (C, C), the penalty of label l beside label l'. Default: the Potts model, 1 where they
            differ, which is equivalent to a reward where they agree.
    """
    marginals = tf.nn.softmax(scores)
    for _ in range(iterations):
        received = message(marginals)
        support = received if compatibility is None else -tf.linalg.matmul(received, compatibility, transpose_b=True)
        marginals = tf.nn.softmax(scores + support)
    return marginals
