"""Heads: from features at 1/4 to logits at full size, classification first, then upsampling.

A 1x1 convolution commutes with bilinear resizing, because the weights of the latter sum to one. So classifying at 1/4
is the same function as classifying at full size, and takes far less memory.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import keras
import tensorflow as tf

from models.compat import register
from models.layers.blocks import CropLike, ResizeLike, convolution, normalise
from models.layers.dropout import Dropout
from models.spec import ModelSpec

FACTOR = 4


@register
class ICNR(keras.initializers.Initializer):
    """Initialise a subpixel convolution as nearest-neighbour upsampling (Aitken et al. 2017, arXiv 1707.02937).

    All `factor ** 2` kernels of an output channel are equal.

    Args:
        factor: upsampling factor r; the kernel has shape (kh, kw, C_in, r * r * C).
        base: initialiser of the (kh, kw, C_in, C) kernel; it sees a fan-out of C and not of r * r * C.
    """

    def __init__(self, factor: int, base: Any = "glorot_uniform") -> None:
        self.factor = factor
        self.base = keras.initializers.get(base)

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Any:
        *others, channels = shape
        if channels % self.factor**2:
            raise ValueError(
                f"ICNR with factor {self.factor} needs channels divisible by {self.factor**2}, got {channels}"
            )
        kernel = self.base((*others, channels // self.factor**2), dtype=dtype, **kwargs)
        # depth_to_space reads channel (a * r + b) * C + c, sub-position major: hence tile and not repeat.
        return tf.tile(kernel, [1] * len(others) + [self.factor**2])

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor, "base": keras.initializers.serialize(self.base)}


@register
class SubpixelUpsampling(keras.layers.Layer):
    """Upsample by a convolution to `factor ** 2` values per output channel and a periodic shuffle.

    It takes (B, H, W, C_in) and returns (B, H * factor, W * factor, filters) in the compute dtype. It starts as a
    convolution with nearest-neighbour upsampling.

    Args:
        filters: output channels.
        factor: upsampling factor.
        kernel_size: size of the convolution's kernel at low resolution.
        blur: average each 2x2 window of the result, with its edge repeated above and to the left. Then no single
            sub-kernel determines a pixel (Sugawara et al. 2018, arXiv 1806.02658).
        kernel_initializer: initialiser of the base kernel, see `ICNR`.

    Source: Shi et al. (2016, arXiv 1609.05158).
    """

    def __init__(
        self,
        filters: int,
        factor: int = FACTOR,
        kernel_size: int = 1,
        kernel_initializer: Any = "glorot_uniform",
        blur: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters, self.factor, self.kernel_size, self.blur = filters, factor, kernel_size, blur
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.convolution = keras.layers.Conv2D(
            filters * factor**2,
            kernel_size,
            padding="same",
            kernel_initializer=ICNR(factor, self.kernel_initializer),
            dtype=kwargs.get("dtype"),
            name="convolution",
        )

    def build(self, input_shape: Any) -> None:
        self.convolution.build(input_shape)
        self.built = True

    def call(self, inputs: Any) -> tf.Tensor:
        values = self.convolution(inputs)
        values = tf.nn.depth_to_space(values, self.factor) if self.factor > 1 else values
        if not self.blur:
            return values
        # Symmetric padding of one row and column repeats the edge.
        return tf.nn.avg_pool2d(tf.pad(values, [[0, 0], [1, 0], [1, 0], [0, 0]], "SYMMETRIC"), 2, 1, "VALID")

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        batch, *size, _ = input_shape
        return (batch, *(side and side * self.factor for side in size), self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "factor": self.factor,
            "kernel_size": self.kernel_size,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "blur": self.blur,
        }


def head(features: Any, image: Any, spec: ModelSpec, num_classes: int) -> Any:
    """Turn features (B, h, w, D) into float32 logits (B, H, W, num_classes); `image` (B, H, W, 3) gives the size.

    The features of DeepLabV3+ are at 1/4, so a subpixel head ends at full size: feature j stands for pixels 4j to
    4j + 3. Pixels beyond the image are cut off. Where a backbone pads little, as the stem of EfficientNet or Xception
    does, the last pixels at the right and below are mirrored. The features of DeepLabV3 are at the output stride; the
    rest of the enlargement is bilinear, as is that of a head of the user's own.
    """
    if ":" in spec.head:
        logits = _own(spec.head, features, num_classes)
    elif spec.head == "subpixel":
        logits = SubpixelUpsampling(num_classes, blur=spec.blur, name="classifier")(features)
        if spec.architecture == "deeplabv3plus":
            return CropLike(dtype="float32", name="full_size")([logits, image])
    else:
        logits = keras.layers.Conv2D(num_classes, 1, name="classifier")(features)
    return ResizeLike(dtype="float32", name="full_size")([logits, image])


def _own(reference: str, features: Any, num_classes: int) -> Any:
    """Return the logits (B, h, w, num_classes) of a head of the user's own: `Class(num_classes)(features)`.

    Raises:
        ValueError: it gives another shape.
    """
    module, _, name = reference.partition(":")
    logits = getattr(import_module(module), name)(num_classes)(features)
    if len(logits.shape) != 4 or logits.shape[-1] != num_classes:
        raise ValueError(f"head {reference}: expected logits (B, h, w, {num_classes}), got {tuple(logits.shape)}")
    return logits


def auxiliary(features: Any, image: Any, spec: ModelSpec, num_classes: int, seed: int | None) -> Any:
    """Turn features (B, h, w, C) into auxiliary float32 logits (B, H, W, num_classes), for training only.

    `image` (B, H, W, 3) gives the size. The head is that of FCN: one 3x3 convolution and a classifier.

    Sources: Zhao et al. (2017, arXiv 1612.01105); Long et al. (2015, arXiv 1411.4038).
    """
    x = convolution(features, spec.decoder_channels, "auxiliary", kernel=3, separable=spec.separable)
    x = normalise(x, "auxiliary", spec)
    x = Dropout(spec.dropout, seed=seed, name="auxiliary_dropout")(x) if spec.dropout else x
    logits = keras.layers.Conv2D(num_classes, 1, name="auxiliary_classifier")(x)
    return ResizeLike(dtype="float32", name="auxiliary_full_size")([logits, image])
