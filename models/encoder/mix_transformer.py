"""KerasCV's mix transformer, built for images of any size.

KerasCV 0.9 fixes the size at construction, and takes the root of a sequence's length as the height of a square map.
Here the layers keep maps (B, H, W, C), with KerasCV's weights. At KerasCV's sizes they have its values. That includes a
mistake of KerasCV: before and after the strided convolution of its attention, it reshapes between sequence and map with
channels and places exchanged. Its ImageNet weights were trained that way. Which values are neighbours in the reshaped
map depends on the number of places. So the model takes any size, but is another function at each: train and evaluate it
at one size (`Backbone.fixed_size`). Its GELU is the approximation by the hyperbolic tangent.

Source: SegFormer, Xie et al. 2021, arXiv 2105.15203. Stochastic depth is off.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from models.compat import register


def of_any_size(model: Any) -> Any:
    """Build a model of the four maps of a KerasCV `MiTBackbone` with its weights, for sides that are multiples of 32.

    Its attribute `pyramid_level_inputs` is that of KerasCV.
    """
    image = keras.Input((None, None, 3))
    x = image
    levels: dict[str, Any] = {}
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "OverlappingPatchingAndEmbedding":
            x = PatchEmbedding(layer.project_dim, layer.patch_size, layer.stride, name=layer.name)(x)
        elif kind == "HierarchicalTransformerEncoder":
            x = TransformerBlock(layer.project_dim, layer.num_heads, layer.attn.sr_ratio, name=layer.name)(x)
        elif kind == "LayerNormalization":
            x = keras.layers.LayerNormalization(name=f"output_norm_{len(levels)}")(x)
            levels[f"P{len(levels) + 1}"] = f"output_norm_{len(levels)}"
    resizable = keras.Model(image, x, name=model.name)
    resizable.pyramid_level_inputs = levels
    resizable.set_weights(model.get_weights())
    return resizable


@register
class PatchEmbedding(keras.layers.Layer):
    """Strided convolution and layer normalisation, from (B, H, W, C) to (B, H/stride, W/stride, channels)."""

    def __init__(self, channels: int, patch: int, stride: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.channels, self.patch, self.strides = channels, patch, stride
        self.projection = keras.layers.Conv2D(channels, patch, stride, "same", dtype=self.dtype_policy)
        self.norm = keras.layers.LayerNormalization(dtype=self.dtype_policy)

    def build(self, input_shape: Any) -> None:
        self.projection.build(input_shape)
        self.norm.build((None, None, None, self.channels))
        self.built = True

    def call(self, inputs: Any) -> tf.Tensor:
        return self.norm(self.projection(inputs))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "channels": self.channels, "patch": self.patch, "stride": self.strides}


@register
class TransformerBlock(keras.layers.Layer):
    """Attention to a map reduced `reduction` times, and a two-layer perceptron around a 3x3 depthwise convolution.

    Input and output are (B, H, W, channels).
    """

    def __init__(self, channels: int, heads: int, reduction: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.channels, self.heads, self.reduction = channels, heads, reduction
        policy = self.dtype_policy

        def dense(size: int) -> keras.layers.Dense:
            return keras.layers.Dense(size, dtype=policy)

        # In KerasCV's order: weights are handed over as a list.
        self.norm1 = keras.layers.LayerNormalization(epsilon=1e-6, dtype=policy)
        self.query, self.key, self.value, self.projection = (dense(channels) for _ in range(4))
        if reduction > 1:
            self.reduce = keras.layers.Conv2D(channels, reduction, reduction, "same", dtype=policy)
            self.reduce_norm = keras.layers.LayerNormalization(dtype=policy)
        self.norm2 = keras.layers.LayerNormalization(epsilon=1e-6, dtype=policy)
        self.expand = dense(4 * channels)
        self.depthwise = keras.layers.DepthwiseConv2D(3, padding="same", dtype=policy)
        self.contract = dense(channels)

    def build(self, input_shape: Any) -> None:
        narrow, wide = (None, None, None, self.channels), (None, None, None, 4 * self.channels)
        for part in (self.norm1, self.query, self.key, self.value, self.projection, self.norm2, self.expand):
            part.build(narrow)
        for part in (self.depthwise, self.contract):
            part.build(wide)
        if self.reduction > 1:
            self.reduce.build(narrow)
            self.reduce_norm.build((None, None, self.channels))
        self.built = True

    def call(self, inputs: Any) -> tf.Tensor:
        x = inputs + self._attention(self.norm1(inputs))
        return x + self.contract(tf.nn.gelu(self.depthwise(self.expand(self.norm2(x))), approximate=True))

    def _attention(self, x: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(x)
        batch, places = shape[0], shape[1] * shape[2]
        memory = self._reduced(x, shape) if self.reduction > 1 else tf.reshape(x, (batch, places, self.channels))
        size = self.channels // self.heads

        def by_head(values: tf.Tensor) -> tf.Tensor:
            return tf.transpose(tf.reshape(values, (batch, -1, self.heads, size)), (0, 2, 1, 3))

        weights = tf.matmul(by_head(self.query(x)), by_head(self.key(memory)), transpose_b=True) * size**-0.5
        mixed = tf.matmul(tf.nn.softmax(weights), by_head(self.value(memory)))
        return self.projection(tf.reshape(tf.transpose(mixed, (0, 2, 1, 3)), shape))

    def _reduced(self, x: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
        """Return the reduced map as (B, h * w, C); both reshapes are KerasCV's, see the head of this file."""
        swapped = tf.transpose(tf.reshape(x, (shape[0], -1, self.channels)), (0, 2, 1))
        reduced = self.reduce(tf.reshape(swapped, shape))
        return self.reduce_norm(tf.transpose(tf.reshape(reduced, (shape[0], self.channels, -1)), (0, 2, 1)))

    def get_config(self) -> dict[str, Any]:
        own = {"channels": self.channels, "heads": self.heads, "reduction": self.reduction}
        return {**super().get_config(), **own}
