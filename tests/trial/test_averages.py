"""The average of the weights by hand: its warm-up, its place in the model, and its continuation."""

import contextlib

import keras
import numpy as np
import pytest

from bench.trial.averages import Averaging, WeightAverage


def _model(value=0.0):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1), keras.layers.BatchNormalization()])
    _fill(model, value)
    return model


def _fill(model, value):
    model.set_weights([np.full_like(one, value) for one in model.get_weights()])


def test_the_first_updates_forget_the_initial_weights():
    model = _model(0.0)
    average = WeightAverage(model, 0.5)
    expected = 0.0
    for update, value in enumerate([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0]):
        _fill(model, value)
        average.update()
        kept = min(0.5, (1 + update) / (10 + update))  # 0.1, 2/11, 3/12, ... and 0.5 from update 8 on
        expected = kept * expected + (1 - kept) * value
        assert len(average.weights()) == 6  # the statistics of batch normalisation, too
        for one in average.weights():
            assert one == pytest.approx(expected)


def test_the_average_is_in_the_model_inside_the_block_only():
    model = _model(0.0)
    average = WeightAverage(model, 0.9)
    _fill(model, 1.0)
    average.update()
    with contextlib.suppress(RuntimeError), average.in_place():
        for one in model.get_weights():
            assert one == pytest.approx(0.9)
        raise RuntimeError("the weights come back whatever happens")
    for one in model.get_weights():
        assert (one == 1).all()


def test_it_goes_on_where_it_was():
    model, other = _model(0.0), _model(7.0)
    one, again = WeightAverage(model, 0.9), WeightAverage(other, 0.9)
    for value in (1.0, 2.0, 3.0):
        _fill(model, value)
        one.update()
    again.restore(one.weights(), 3)
    for average, trained in ((one, model), (again, other)):
        _fill(trained, 9.0)
        average.update()
    for left, right in zip(one.weights(), again.weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_fit_averages_after_every_step():
    model = _model(1.0)
    model.compile(keras.optimizers.SGD(0.0), "mse")
    average = WeightAverage(model, 0.9)
    x = np.ones((6, 2), np.float32)
    model.fit(x, x[:, :1], batch_size=2, epochs=2, verbose=0, callbacks=[Averaging(average)])
    assert average._updates == 6
