"""Atrous consistency: the dense map, subsampled, is the original map (the test that deeplab2 uses for its encoders)."""

import keras
import numpy as np
import pytest

import models
from models.backbones import BACKBONES
from models.builder import kerascv_backbone


def _levels(name: str) -> keras.Model:
    keras.utils.set_random_seed(1)
    backbone = kerascv_backbone(name)
    assert backbone.count_params() == BACKBONES[name].parameters
    return keras.Model(
        backbone.input, [backbone.get_layer(backbone.pyramid_level_inputs[level]).output for level in ("P4", "P5")]
    )


@pytest.mark.parametrize("name", BACKBONES)
def test_dense_map_holds_the_original(name: str) -> None:
    model = _levels(name)
    # 225 = 32 * 7 + 1: with even sizes TensorFlow's 'same' padding of a strided 3x3 (ResNet18) is lopsided.
    image = np.random.default_rng(0).uniform(-1, 1, (1, 225, 225, 3)).astype("float32")
    originals = [np.asarray(level) for level in models.with_output_stride(model, 32)(image)]
    for copied, own in zip(originals, model(image), strict=True):
        # The copy normalises with one fused operation, so it rounds differently through all layers.
        np.testing.assert_allclose(copied, own, rtol=0, atol=1e-3 * copied.std())
    for output_stride in (16, 8):
        dense = models.with_output_stride(model, output_stride)(image)
        for stride, original, level in zip((16, 32), originals, dense, strict=True):
            assert level.shape[1] in (225 // output_stride, 225 // output_stride + 1)
            factor = stride // output_stride
            height, width = original.shape[1:3]
            subsampled = np.asarray(level)[:, ::factor, ::factor][:, :height, :width]
            # Squeeze-and-excitation averages over the denser map, so MobileNetV3 agrees to a little less.
            np.testing.assert_allclose(subsampled, original, rtol=0, atol=5e-5 * original.std())


def test_stride_without_dilation_would_differ() -> None:
    """The test above can fail: dropping the stride alone gives other features."""
    model = _levels("resnet18")
    image = np.random.default_rng(0).uniform(-1, 1, (1, 97, 97, 3)).astype("float32")

    def undilated(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        config["dilation_rate"] = (1, 1) if "dilation_rate" in config else None
        return type(layer).from_config({key: value for key, value in config.items() if value is not None})

    dense = models.with_output_stride(model, 16)
    wrong = keras.models.clone_model(dense, clone_function=undilated)
    wrong.set_weights(dense.get_weights())
    original, right, bad = (np.asarray(m(image)[1]) for m in (model, dense, wrong))
    np.testing.assert_allclose(right[:, ::2, ::2], original, rtol=0, atol=5e-5 * original.std())
    assert np.abs(bad[:, ::2, ::2] - original).max() > 0.1 * original.std()


def test_impossible_strides_are_refused() -> None:
    image = keras.Input((32, 32, 3))
    model = keras.Model(image, keras.layers.MaxPooling2D(2, name="pool")(image))
    with pytest.raises(ValueError, match=r"'pool'.*no dilated counterpart"):
        models.with_output_stride(model, 1)
    with pytest.raises(ValueError, match="12 is not a power of two"):
        models.with_output_stride(model, 12)
