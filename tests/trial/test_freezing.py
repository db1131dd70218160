"""A frozen backbone by a tiny model: nothing of it moves, and outside of the steps it is as it was built."""

import keras
import numpy as np

from bench.trial.freezing import FrozenBackbone
from bench.trial.optimizers import make_variables

X = np.random.default_rng(0).normal(3, 2, (8, 4)).astype("float32")


def _model():
    keras.utils.set_random_seed(0)
    inside = [keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization(), keras.layers.Dense(3)]
    backbone = keras.Sequential(inside, name="backbone")
    backbone.layers[-1].trainable = False  # as some layers of pretrained backbones are
    image = keras.Input((4,))
    model = keras.Model(image, keras.layers.Dense(1)(backbone(image)))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    make_variables(model.optimizer, model.trainable_variables)  # of all, as a trial does, before any is frozen
    return model, backbone


def _fit(model, **more):
    model.train_function = None  # as `fit` of a trial does before each phase
    model.fit(X, X[:, :1], batch_size=4, verbose=0, **more)


class _Flags(keras.callbacks.Callback):
    """Keeps what is trainable at the end of an epoch, behind the callbacks before it."""

    def __init__(self, backbone):
        super().__init__()
        self._backbone, self.seen = backbone, []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append([layer.trainable for layer in self._backbone.layers])


def test_a_frozen_backbone_stays_with_its_statistics_and_a_released_one_moves():
    model, backbone = _model()
    flags = _Flags(backbone)

    def weights():
        return [layer.get_weights() for layer in (*backbone.layers, model.layers[-1])]

    def moved(before):
        """The arrays that changed, by layer: two dense layers around a normalisation, then the head."""
        pairs = zip(before, weights(), strict=True)
        return [[not np.array_equal(*pair) for pair in zip(was, now, strict=True)] for was, now in pairs]

    before = weights()
    _fit(model, epochs=2, callbacks=[FrozenBackbone(model), flags])
    assert moved(before) == [[False] * 2, [False] * 4, [False] * 2, [True] * 2]
    assert flags.seen == [[True, True, False]] * 2

    before = weights()
    _fit(model, initial_epoch=2, epochs=3)
    kernel, _ = moved(before)[0]  # the normalisation behind it takes a bias out again
    assert kernel
    assert moved(before)[1:] == [[True] * 4, [False] * 2, [True] * 2]
