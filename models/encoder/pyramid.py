"""The backbones of the table as Keras models, and their maps by stride."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

import keras
import tensorflow as tf

from models.compat import import_keras_cv, register
from models.encoder.backbones import Backbone
from models.layers.blocks import PadToMultiple
from models.layers.sizes import divided_up

STRIDES = (4, 8, 16, 32)  # strides of the four levels of a row


@register
class ReverseChannels(keras.layers.Layer):
    """Reverse the channels (B, H, W, 3): RGB to BGR, or back."""

    def call(self, inputs: Any) -> Any:
        return inputs[..., ::-1]


def build_backbone(row: Backbone) -> Any:
    """Build the backbone of a row with random weights, for images of any size that are scaled as the row says.

    The caller pads sides that are no multiples of the row's `multiple`.
    """
    if row.own:
        return _own(row.constructor)
    keras_cv = import_keras_cv()
    arguments = {key: list(value) if isinstance(value, tuple) else value for key, value in row.arguments.items()}
    if row.constructor == "keras_cv.models.MiTBackbone":
        from models.encoder.mix_transformer import of_any_size

        side = 2 * row.multiple  # KerasCV's model is for square images of one size
        return of_any_size(keras_cv.models.MiTBackbone(input_shape=(side, side, 3), **arguments))
    home = keras_cv if row.constructor.startswith("keras_cv.") else keras
    _, module, constructor = row.constructor.split(".")
    return getattr(getattr(home, module), constructor)(input_shape=(None, None, 3), **arguments)


def _own(reference: str) -> Any:
    """Build a backbone of the user's own from a class or function without arguments.

    Raises:
        ValueError: it is no functional model from an image of any size to maps of the four strides.
    """
    module, _, name = reference.partition(":")
    made = getattr(import_module(module), name)()
    outputs = getattr(made, "outputs", None) or ()
    if not isinstance(made, keras.Model) or len(outputs) != len(STRIDES):
        raise ValueError(
            f"backbone {reference}: expected a functional Keras model from RGB (B, H, W, 3) in 0..255 to four maps, at "
            f"strides {', '.join(map(str, STRIDES))}; got {type(made).__name__} with {len(outputs)} outputs"
        )
    side = 2 * STRIDES[-1]
    found = [tuple(shape) for shape in made.compute_output_shape((1, side, side, 3))]
    wanted = [(side // stride, side // stride) for stride in STRIDES]
    if [shape[1:3] for shape in found] != wanted:
        raise ValueError(
            f"backbone {reference}: an image of {side} pixels has to give maps of {wanted}, it gives {found}"
        )
    return made


def feature_maps(backbone: Any, row: Backbone, strides: Iterable[int]) -> list[Any]:
    """Return outputs (B, H/stride, W/stride, C) of a model from `build_backbone`, symbolic, at the given strides."""
    if row.own:
        return [backbone.outputs[STRIDES.index(stride)] for stride in strides]
    layers = getattr(backbone, "pyramid_level_inputs", {})
    levels = [row.levels[STRIDES.index(stride)] for stride in strides]
    return [backbone.get_layer(layers.get(level, level)).output for level in levels]


def scaled(image: Any, row: Backbone) -> Any:
    """Scale RGB in 0..255 as the backbone expects, in float32: half precision would round pixels before centring."""
    offset = list(row.offset) if isinstance(row.offset, tuple) else row.offset
    image = keras.layers.Rescaling(row.scale, offset, dtype="float32", name="input_scaling")(image)
    return ReverseChannels(dtype="float32", name="input_bgr")(image) if row.bgr else image


@register
class CropToStride(keras.layers.Layer):
    """Crop a map (B, h, w, C), upper left, to the size of an image (B, H, W, 3): ceil(H/stride) by ceil(W/stride)."""

    def __init__(self, stride: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stride = stride

    def call(self, inputs: Any) -> Any:
        values, image = inputs
        height, width = (
            divided_up(tf.shape(image)[axis] if image.shape[axis] is None else image.shape[axis], self.stride)
            for axis in (1, 2)
        )
        return values[:, :height, :width]

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        (batch, *_, channels), (_, *size, _) = input_shape
        return (batch, *(side and divided_up(side, self.stride) for side in size), channels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stride": self.stride}


def for_any_size(dense: keras.Model, row: Backbone, strides: Iterable[int], title: str) -> keras.Model:
    """Build a model named `title` from a scaled image of any size to the maps of `dense`, which were at `strides`."""
    multiple = row.multiple
    if multiple == 1:
        return keras.Model(dense.input, dense.outputs, name=title)
    image = keras.Input((None, None, 3))
    values = dense(PadToMultiple(multiple, dtype="float32", name="padding")(image))
    cropped = [
        value if stride % multiple == 0 else CropToStride(stride, name=f"crop_{stride}")([value, image])
        for value, stride in zip(values, strides, strict=True)
    ]
    return keras.Model(image, cropped, name=title)
