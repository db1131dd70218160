"""KerasCV's own DeepLabV3Plus, the reference row of comparisons.

It is changed to accept sizes that a traced function only knows when it runs. With a static size it is the stock model,
operation for operation.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from models.compat import import_keras_cv, register
from models.layers.blocks import UpSampling

keras_cv = import_keras_cv()
_Pooling: Any = keras_cv.layers.SpatialPyramidPooling


def reference(backbone: Any, num_classes: int, low_level_channels: int, batch_norm_momentum: float) -> keras.Model:
    """Build the model from scaled images (B, H, W, 3) to float32 logits (B, H, W, num_classes); sides: multiples of 32.

    Its head is KerasCV's without the softmax, because the losses here take logits. Its normalisation keeps the share
    `batch_norm_momentum` of the running statistics per step, as our models do. Otherwise a comparison after a short
    training would be a comparison of momenta.
    """
    head = keras.Sequential(
        [
            keras.layers.Conv2D(256, 1, use_bias=False, name="segmentation_head_conv"),
            keras.layers.BatchNormalization(name="segmentation_head_norm"),
            keras.layers.ReLU(name="segmentation_head_relu"),
            UpSampling(4, interpolation="bilinear"),
            keras.layers.Conv2D(num_classes, 1, use_bias=False, dtype="float32", name="segmentation_output"),
        ]
    )
    stock = keras_cv.models.DeepLabV3Plus(
        backbone=backbone,
        num_classes=num_classes,
        projection_filters=low_level_channels,
        spatial_pyramid_pooling=SpatialPyramidPooling(dilation_rates=[6, 12, 18]),
        segmentation_head=head,
    )

    for layer in stock._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = batch_norm_momentum

    def counterpart(layer: Any) -> Any:
        return UpSampling.from_config(layer.get_config()) if type(layer) is keras.layers.UpSampling2D else layer

    return keras.models.clone_model(keras.Model(stock.inputs[0], stock.outputs[0]), clone_function=counterpart)


@register
class SpatialPyramidPooling(_Pooling):
    """KerasCV's pyramid pooling, which under Keras 3 refuses maps (B, h, w, C) without a static size."""

    def call(self, inputs: Any, training: bool | None = None) -> tf.Tensor:
        if None not in inputs.shape[1:3]:
            return super().call(inputs, training=training)
        *branches, pooled = (
            tf.cast(part(inputs, training=training), inputs.dtype) for part in self.aspp_parallel_channels
        )
        pooled = tf.cast(tf.image.resize(pooled, tf.shape(inputs)[1:3]), inputs.dtype)
        return self.projection(tf.concat([*branches, pooled], axis=-1), training=training)
