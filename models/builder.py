"""From a ModelSpec to a Keras model."""

from __future__ import annotations

from typing import Any

import keras

from models import weights
from models.aspp import aspp
from models.backbones import BACKBONES
from models.decoder import decoder, refine
from models.heads import head
from models.output_stride import with_output_stride
from models.spec import ModelSpec

BACKBONE = "backbone"  # name of the nested model that `get_layer` finds, e.g. to freeze it


def build(spec: ModelSpec, num_classes: int, *, seed: int | None = None) -> keras.Model:
    """A segmentation model.

    Args:
        spec: what to build.
        num_classes: channels of the logits.
        seed: of the dropout; initial weights follow `keras.utils.set_random_seed`.

    Returns:
        A functional model from RGB (B, H, W, 3) with values in 0..255 to float32 logits (B, H, W, num_classes), for any
        H and W and under any dtype policy. Its layer named "backbone" holds everything that `spec.weights` fills.
        (Architecture `keras_cv`: sizes that are multiples of 32, and no such layer.)

    Raises:
        ValueError: `num_classes` below 1, or weights that are missing or belong to another architecture.
    """
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, received {num_classes!r}")
    image = keras.Input((None, None, 3), name="image")
    if spec.architecture == "keras_cv":
        return keras.Model(image, _reference(spec, num_classes)(_scaled(image, spec)), name=spec.architecture)
    low_level, features = _backbone(spec)(_scaled(image, spec))
    context = aspp(features, spec, seed)
    refined = decoder(context, low_level, spec) if spec.architecture == "deeplabv3plus" else refine(context, spec)
    return keras.Model(image, head(refined, image, spec, num_classes), name=spec.architecture)


def _reference(spec: ModelSpec, num_classes: int) -> keras.Model:
    """KerasCV's own DeepLabV3Plus, with its head but for the softmax: a loss here takes logits."""
    import keras_cv

    head = keras.Sequential(
        [
            keras.layers.Conv2D(256, 1, use_bias=False, name="segmentation_head_conv"),
            keras.layers.BatchNormalization(name="segmentation_head_norm"),
            keras.layers.ReLU(name="segmentation_head_relu"),
            keras.layers.UpSampling2D(4, interpolation="bilinear"),
            keras.layers.Conv2D(num_classes, 1, use_bias=False, dtype="float32", name="segmentation_output"),
        ]
    )
    return keras_cv.models.DeepLabV3Plus(
        backbone=_weighted(spec),
        num_classes=num_classes,
        projection_filters=spec.low_level_channels,
        segmentation_head=head,
    )


def _scaled(image: Any, spec: ModelSpec) -> Any:
    row = BACKBONES[spec.backbone]
    # In float32: half precision would round resized pixels before they are centred.
    return keras.layers.Rescaling(row.scale, row.offset, dtype="float32", name="input_scaling")(image)


def _backbone(spec: ModelSpec) -> keras.Model:
    """RGB, scaled, to the maps at stride 4 and at `spec.output_stride`."""
    backbone = _weighted(spec)
    levels = [backbone.get_layer(backbone.pyramid_level_inputs[level]).output for level in ("P2", "P5")]
    dense = with_output_stride(keras.Model(backbone.input, levels), spec.output_stride, spec.batch_norm_momentum)
    return keras.Model(dense.inputs, dense.outputs, name=BACKBONE)


def _weighted(spec: ModelSpec) -> Any:
    backbone = kerascv_backbone(spec.backbone)
    if spec.weights != "none":
        weights.load(backbone, spec.backbone, spec.weights)
    return backbone


def kerascv_backbone(name: str) -> Any:
    """The KerasCV backbone of a row of the table, random weights, for images of any size scaled as it says."""
    import keras_cv  # here, not above: it costs seconds

    row = BACKBONES[name]
    arguments = {key: list(value) if isinstance(value, tuple) else value for key, value in row.arguments.items()}
    return getattr(keras_cv.models, row.constructor)(include_rescaling=False, input_shape=(None, None, 3), **arguments)
