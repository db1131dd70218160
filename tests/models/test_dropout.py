"""Dropout that is a function of seed, layer, step and replica: rate, scale, repetition, differences, resumption."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import models
from models import dropouts
from models.layers.dropout import Dropout, seed_dropout

ONES = tf.ones((4, 16, 16, 8))


def _train(layer, inputs=ONES):
    return layer(inputs, training=True).numpy()


def test_units_are_dropped_at_the_rate_and_the_rest_is_scaled():
    values = _train(Dropout(0.25, seed=1, name="d"), tf.ones((16, 32, 32, 8)))
    np.testing.assert_allclose(np.unique(values), [0, 4 / 3], rtol=1e-6)
    assert np.mean(values == 0) == pytest.approx(0.25, abs=0.005)  # 4 standard errors: 0.0048


def test_it_does_nothing_in_prediction_and_counts_no_step():
    layer = Dropout(0.5, name="d")
    np.testing.assert_array_equal(layer(ONES, training=False), ONES)
    np.testing.assert_array_equal(layer(ONES), ONES)
    assert layer.steps.numpy() == 0


def test_masks_depend_on_seed_layer_and_step_alone():
    first, twin = Dropout(0.5, seed=1, name="d"), Dropout(0.5, seed=1, name="d")
    masks = [_train(first) for _ in range(3)]
    for mask in masks:
        np.testing.assert_array_equal(_train(twin), mask)
    others = [*masks, _train(Dropout(0.5, seed=2, name="d")), _train(Dropout(0.5, seed=1, name="e"))]
    shares = [np.mean(a == b) for i, a in enumerate(others) for b in others[:i]]
    assert all(abs(share - 0.5) < 0.05 for share in shares)  # independent masks agree in half of the units
    resumed = Dropout(0.5, seed=1, name="d")
    resumed.steps.assign(2)
    np.testing.assert_array_equal(_train(resumed), masks[2])


def test_whole_images_are_dropped_by_noise_shape():
    values = _train(Dropout(0.5, (None, 1, 1, 1), seed=3, name="d"), tf.ones((64, 4, 4, 2)))
    assert set(values.reshape(64, -1).mean(axis=1)) == {0.0, 2.0}


def test_it_is_no_weight_and_comes_back_from_its_config():
    layer = Dropout(0.3, (None, 1, 1, 1), seed=4, name="d")
    assert layer.weights == []
    twin = Dropout.from_config(layer.get_config())
    np.testing.assert_array_equal(_train(twin), _train(layer))


def test_a_compiled_training_counts_its_steps():
    image = keras.Input((4, 4, 1))
    model = keras.Model(image, Dropout(0.5, seed=1, name="d")(keras.layers.Conv2D(1, 1)(image)))
    model.compile("sgd", "mse")
    model.fit(np.ones((6, 4, 4, 1)), np.ones((6, 4, 4, 1)), batch_size=2, verbose=0)
    assert [layer.steps.numpy() for layer in dropouts(model)] == [3]


def test_no_model_of_ours_has_another_dropout():
    model = models.build(models.ModelSpec(), 3, seed=7)
    assert [(layer.name, layer.seed) for layer in dropouts(model)] == [("aspp_dropout", 7)]

    def plain(parent):
        for layer in parent.layers:
            yield from plain(layer) if isinstance(layer, keras.Model) else [type(layer)]

    assert not {keras.layers.Dropout, keras.layers.SpatialDropout2D, keras.layers.GaussianNoise} & set(plain(model))


def test_seeds_are_given_to_nested_models_too():
    inner = keras.Sequential([keras.Input((2,)), Dropout(0.5, name="in")])
    outer = keras.Sequential([keras.Input((2,)), inner, Dropout(0.5, name="out")])
    seed_dropout(outer, 5)
    assert [layer.seed for layer in dropouts(outer)] == [5, 5]
