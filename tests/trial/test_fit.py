"""How the training step of Keras 2 is traced: without AutoGraph, unless something may need it."""

import keras
import pytest

from bench.core import KERAS_3
from bench.spec import parse
from bench.trial import fit
from tests.faults import own_code

pytestmark = pytest.mark.skipif(KERAS_3, reason="Keras 3 traces its step without AutoGraph by itself")


def _step(settings):
    """The traced step that a compiled model has before `fit`; None: Keras makes it as usual."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    fit._spare_autograph(model, parse(settings, "here"))
    return model.train_function


def test_our_steps_need_no_autograph():
    step = _step({})
    assert step is not None
    assert not step._autograph


@pytest.mark.parametrize(
    "settings",
    [
        {"train": {"steps_per_epoch": 10, "steps_per_execution": 5}},
        {"train": {"eager": True}},
        {"train": {"optimizer": "lamb"}},
        {"train": {"optimizer": "adam", "wrapper": "lookahead"}},
    ],
)
def test_what_may_need_it_is_left_to_keras(settings):
    assert _step(settings) is None


def test_a_loss_of_ones_own_is_left_to_keras(tmp_path, monkeypatch):
    own_code.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert _step({"loss": {"name": "ownpkg.parts:Mine"}}) is None
