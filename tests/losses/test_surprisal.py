"""-ln p of the true class, value and gradient, where float32 makes it hard."""

import numpy as np
import pytest
import tensorflow as tf

from losses.core.surprisal import surprisal_from_parts

RNG = np.random.default_rng(2)


@pytest.mark.parametrize("size", [1.0, 30.0, 1e4])
def test_it_is_what_the_op_of_tensorflow_gives(size: float) -> None:
    """The op runs on GPUs, the parts on CPUs; logits of 30 and more put p_y at 0 and at 1 in float32."""
    logits = tf.constant(size * RNG.normal(size=(2, 5, 7, 4)), tf.float32)
    ids = tf.constant(RNG.integers(0, 4, (2, 5, 7)), tf.int32)
    factors = RNG.normal(size=(2, 5, 7)).astype(np.float32)
    found = []
    for function in (surprisal_from_parts, tf.nn.sparse_softmax_cross_entropy_with_logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            values = function(ids, logits)
            total = tf.reduce_sum(factors * values)
        found.append((values.numpy(), tape.gradient(total, logits).numpy()))
    (values, gradient), (op_values, op_gradient) = found
    assert values.min() >= 0
    np.testing.assert_allclose(values, op_values, rtol=2e-6, atol=2e-7)
    np.testing.assert_allclose(gradient, op_gradient, rtol=1e-5, atol=1e-6)


def test_classes_that_are_not_there_are_refused() -> None:
    step = tf.function(surprisal_from_parts)
    with pytest.raises(tf.errors.InvalidArgumentError, match="7"):
        step(tf.constant([[[0, 7]]]), tf.zeros((1, 1, 2, 3)))
