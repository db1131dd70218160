"""Build a Keras model from a ModelSpec."""

from __future__ import annotations

from typing import Any

import keras

from models.decoder.aspp import aspp
from models.decoder.fusion import decoder, refine
from models.decoder.heads import auxiliary, head
from models.encoder import weights
from models.encoder.backbones import row_of
from models.encoder.output_stride import with_output_stride
from models.encoder.pyramid import STRIDES, build_backbone, feature_maps, for_any_size, scaled
from models.layers.blocks import CropLike, PadToMultiple, Stack
from models.layers.dropout import seed_dropout
from models.spec import BACKBONE, REFERENCES, ModelSpec


def build(spec: ModelSpec, num_classes: int, *, seed: int | None = None) -> keras.Model:
    """Build a segmentation model.

    Args:
        spec: the model.
        num_classes: channels of the logits.
        seed: seed of the dropout. Initial weights follow `keras.utils.set_random_seed`.

    Returns:
        A functional model from RGB (B, H, W, 3) with values in 0..255 to float32 logits (B, H, W, num_classes). H and W
        are any, and so is the dtype policy. Its layer named "backbone" holds everything that `spec.weights` fills.
        Architecture `keras_cv` has no such layer.

    Raises:
        ValueError: `num_classes` below 1, or weights that are missing or belong to another architecture.
    """
    return build_training(spec, num_classes, seed=seed)[1]


def build_training(spec: ModelSpec, num_classes: int, *, seed: int | None = None) -> tuple[keras.Model, keras.Model]:
    """Build the model to train and the model to use; both share their layers. The second is the model of `build`.

    With an auxiliary head the first returns (B, 2, H, W, num_classes): its own logits and the auxiliary ones. Without,
    the two are one model. Weights saved from the second fit the model of `build` in either case.
    """
    # Not under `do_not_convert`, which saves a second: in Keras 2 it makes later models forget constants of operators
    # when they are saved (findings/keras2-constants-lost-after-do-not-convert.sh).
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, received {num_classes!r}")
    image = keras.Input((None, None, 3), name="image")
    if spec.architecture in REFERENCES:
        padded = PadToMultiple(32, dtype="float32", name="padding")(scaled(image, row_of(spec.backbone)))
        theirs = _of_keras_cv if spec.architecture == "keras_cv" else _of_keras_hub
        logits = CropLike(dtype="float32", name="logits")([theirs(padded, spec, num_classes), image])
    else:
        # Smaller images would leave nothing of the deepest maps of backbones that pad as Caffe did.
        padded = PadToMultiple(1, least=32, dtype="float32", name="padding")(scaled(image, row_of(spec.backbone)))
        low_level, features, *others = build_encoder(spec)(padded)
        context = aspp(features, spec, seed)
        skips: dict[int, Any] = dict(zip(spec.skip_strides, others, strict=False))
        plus = spec.architecture == "deeplabv3plus"
        refined = decoder(context, low_level, skips, spec) if plus else refine(context, spec)
        logits = CropLike(dtype="float32", name="logits")([head(refined, padded, spec, num_classes), image])
    used = keras.Model(image, logits, name=spec.architecture)
    seed_dropout(used, seed)
    if not spec.auxiliary_weight:
        return used, used
    helping = CropLike(dtype="float32", name="auxiliary_logits")(
        [auxiliary(others[-1], padded, spec, num_classes, seed), image]
    )
    both = Stack(dtype="float32", name="both_logits")([logits, helping])
    return keras.Model(image, both, name=spec.architecture), used


def _of_keras_cv(image: Any, spec: ModelSpec, num_classes: int) -> Any:
    """Return the logits of KerasCV's model, from scaled images whose sides are multiples of 32."""
    from models.reference import reference  # here, not above: importing KerasCV takes seconds

    return reference(_weighted(spec), num_classes, spec.low_level_channels, spec.momentum)(image)


def _of_keras_hub(image: Any, spec: ModelSpec, num_classes: int) -> Any:
    """Return the logits of a model of KerasHub, from scaled images whose sides are multiples of 32."""
    from models import reference_hub as hub  # here, not above: importing KerasHub takes seconds

    row, backbone = row_of(spec.backbone), _weighted(spec)
    levels = keras.Model(backbone.input, feature_maps(backbone, row, STRIDES), name=BACKBONE)
    if spec.architecture == "keras_hub":
        stock = hub.deeplab(levels, num_classes, spec.low_level_channels)
    else:
        stock = hub.segformer(levels, num_classes)
    logits = hub.of_any_size(stock, levels, image)
    for layer in keras.Model(image, logits)._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = spec.momentum  # as in our models, or a short training would compare momenta
    return logits


def build_encoder(spec: ModelSpec) -> keras.Model:
    """Build what comes before decoder and head.

    It takes RGB that is scaled already. It returns the maps at stride 4, at `spec.output_stride`, those of
    `spec.skip_strides`, and the one that an auxiliary head reads.
    """
    row, backbone = row_of(spec.backbone), _weighted(spec)
    strides = (4, 32, *spec.skip_strides, *([16] if spec.auxiliary_weight else []))
    levels = keras.Model(backbone.input, feature_maps(backbone, row, strides))
    dense = with_output_stride(levels, spec.output_stride, spec.momentum, spec.sync_batch_norm)
    return for_any_size(dense, row, strides, BACKBONE)


def _weighted(spec: ModelSpec) -> Any:
    backbone = build_backbone(row_of(spec.backbone))
    if spec.weights != "none":
        weights.load(backbone, spec.backbone, spec.weights)
    return backbone
