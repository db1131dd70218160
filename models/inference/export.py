"""Export a model as a file that needs nothing of this project: images in, labels and probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from models.inference.served import served
from models.inference.tf_examples import example_maps


def export(
    model: Any,
    path: str | Path,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    crf: Callable[[list[Any]], Any] | None = None,
    examples: bool = False,
    size: int | None = None,
    square: bool = False,
) -> None:
    """Write a model as a SavedModel.

    Its signature "serving_default" takes `images`, uint8 RGB (B, H, W, 3) of any size. It returns `labels` (B, H, W),
    uint8 (int32 above 256 classes), and `probabilities` (B, H, W, C) float32. It needs neither this package nor Keras:
    `tf.saved_model.load(path).signatures["serving_default"](images=...)`.

    With `examples` there is a second one, "serving_examples", which TensorFlow Extended needs: from serialized
    tf.train.Examples to label maps as PNG, see `models.inference.tf_examples`. Its labels are those of `bench.predict`.
    For Pusher `path` is a folder "Format-Serving" in that of the artifact.

    Args:
        model: images (B, H, W, 3) in 0..255 to logits (B, H, W, C), with its input scaling inside.
        path: folder to write.
        scales, flip: the views to average, as in `models.inference.predict.probabilities`.
        crf: refines `[images, probabilities]` into probabilities, such as `models.DenseCRF(from_logits=False)`.
        examples: write the signature "serving_examples", too.
        size: longest side in pixels to which that signature resizes a picture; None: none is resized.
        square: that signature pads a picture to (size, size), for a model of one size.

    Raises:
        ValueError: a path that exists already, scales that are not positive, a CRF that expects logits, or `square`
            without a size.
    """
    module = served(model, scales, flip, crf)
    _new(path)
    signatures = {"serving_default": module.serve}
    if examples:
        maps = example_maps(model, size=size, square=square, scales=scales, flip=flip, crf=crf)
        module.serve_examples = signatures["serving_examples"] = maps
    tf.saved_model.save(module, str(path), signatures=signatures)


def export_onnx(
    model: Any,
    path: str | Path,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    side: int | None = None,
) -> None:
    """Write a model as an ONNX file, by tf2onnx, which the extra `export` installs.

    Input and outputs are those of `export`, the batch size included.

    Args:
        model, path, scales, flip: as for `export`.
        side: height and width of the images, for a model of one size; None: they stay unknown.

    Raises:
        ValueError: as for `export`, or an operation that ONNX does not have; one line names it.
        ImportError: tf2onnx is not installed.
    """
    from models.inference.onnx_graph import converted

    module = served(model, scales, flip, side=side)
    _new(path)
    Path(path).write_bytes(converted(module.serve))


def export_litert(
    model: Any,
    path: str | Path,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    side: int | None = None,
) -> None:
    """Write a model as a LiteRT (TensorFlow Lite) file of float32 builtin operations.

    The file has one signature, "serving_default", with input and outputs of `export`.

    Args:
        model, path, scales, flip: as for `export`.
        side: height and width of the images, for a model of one size; None: they stay unknown.

    Raises:
        ValueError: as for `export`, or an operation that LiteRT does not have; one line names it.
    """
    module = served(model, scales, flip, side=side)
    _new(path)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.serve.get_concrete_function()], module)
    try:
        written = converter.convert()
    except Exception as error:  # the converter has several kinds, some of them not public
        raise ValueError(f"LiteRT has no form of this model: {_reason(error)}") from error
    Path(path).write_bytes(written)


def _new(path: str | Path) -> None:
    if Path(path).exists():
        raise ValueError(f"{path} exists; name a folder that does not, or remove it")


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if "error:" in line or "failed" in line]
    return (told or lines or [type(error).__name__])[0][:300]
