"""What a training goes on from: the loss scale of float16 is part of it. Whole trainings: tests/faults."""

from collections.abc import Iterator

import keras
import numpy as np
import pytest

from bench import checkpoint
from bench.optimizers import Adam, make_variables

INPUT = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
TRUTH = INPUT.sum(1, keepdims=True)


@pytest.fixture(autouse=True)
def _half_precision() -> Iterator[None]:
    keras.mixed_precision.set_global_policy("mixed_float16")
    yield
    keras.mixed_precision.set_global_policy("float32")


def _model() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1, dtype="float32")])
    model.compile(Adam(0.01), "mse")
    return model


def _scale(model: keras.Model) -> float:
    optimizer = model.optimizer
    return float(np.asarray(getattr(optimizer, "dynamic_scale", getattr(optimizer, "loss_scale", None))))


def test_the_loss_scale_goes_on_where_it_was(tmp_path):
    model = _model()
    make_variables(model.optimizer, model.trainable_variables)
    model.train_on_batch(INPUT, TRUTH)
    before = _scale(model)
    model.train_on_batch(1e4 * INPUT, 1e9 * TRUTH)  # more than float16 holds: no update, and half the scale
    assert _scale(model) == before / 2
    checkpoint.write(tmp_path, checkpoint.Checkpoint({}, checkpoint.of_training(model)))

    other = _model()
    make_variables(other.optimizer, other.trainable_variables)  # as in a trial
    checkpoint.restore_training(other, checkpoint.read(tmp_path).arrays)
    assert _scale(other) == before / 2
    for one in (model, other):
        one.train_on_batch(INPUT, TRUTH)
    for one, other_one in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other_one)
