"""The DeepLabV3+ of the keras.io tutorial, rebuilt from its description as a side of comparisons.

S. Rakshit, "Multiclass semantic segmentation using DeepLabV3+", keras.io, 2021. It has keras.applications' ResNet50 up
to conv4 (stride 16, without the last and widest stage), five branches of 256 channels, three of them dilated, a decoder
of two 3x3 convolutions at 1/4 of the size, and logits at full size.
"""

from __future__ import annotations

import keras
from keras import layers

BACKBONE = "resnet50"


def tutorial(size: int, classes: int) -> keras.Model:
    """Return the model with random weights, from images (B, size, size, 3) to logits (B, size, size, classes).

    Raises:
        ValueError: `size` is not a multiple of 16.
    """
    if size % 16:
        raise ValueError(f"the tutorial's model takes sizes that are multiples of 16, got {size}")
    image = keras.Input((size, size, 3))
    front = keras.applications.ResNet50(weights=None, include_top=False, input_tensor=image)
    context = _pyramid(front.get_layer("conv4_block6_2_relu").output, size // 16)
    low_level = _convolution(front.get_layer("conv2_block3_2_relu").output, filters=48, kernel=1)
    joined = layers.Concatenate()([layers.UpSampling2D(4, interpolation="bilinear")(context), low_level])
    refined = _convolution(_convolution(joined))
    logits = layers.Conv2D(classes, 1, dtype="float32")(layers.UpSampling2D(4, interpolation="bilinear")(refined))
    return keras.Model(image, logits)


def _pyramid(features: keras.KerasTensor, side: int) -> keras.KerasTensor:
    """Return the ASPP of features whose height and width are `side`."""
    pooled = _convolution(layers.AveragePooling2D(side)(features), kernel=1, bias=True)
    branches = [layers.UpSampling2D(side, interpolation="bilinear")(pooled), _convolution(features, kernel=1)]
    branches += [_convolution(features, rate=rate) for rate in (6, 12, 18)]
    return _convolution(layers.Concatenate()(branches), kernel=1)


def _convolution(
    values: keras.KerasTensor, filters: int = 256, kernel: int = 3, rate: int = 1, bias: bool = False
) -> keras.KerasTensor:
    """Return values after convolution, batch normalisation and ReLU."""
    values = layers.Conv2D(filters, kernel, padding="same", dilation_rate=rate, use_bias=bias)(values)
    return layers.ReLU()(layers.BatchNormalization()(values))
