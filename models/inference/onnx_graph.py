"""From a TensorFlow function to an ONNX graph, by tf2onnx, and what its graph needs to run."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from typing import Any

OPSET = 17
"""Of the ONNX operators."""


def converted(function: Any) -> bytes:
    """Return a `tf.function` with an input signature as the bytes of an ONNX file.

    Inputs and outputs keep their names.

    Raises:
        ValueError: an operation that ONNX does not have; one line names it.
        ImportError: tf2onnx is not installed.
    """
    import tf2onnx

    with _quiet():
        try:
            graph, _ = tf2onnx.convert.from_function(function, function.input_signature, opset=OPSET)
        except Exception as error:  # tf2onnx raises whatever its handlers do
            raise ValueError(f"ONNX has no form of this model: {_reason(error)}") from error
    for node in graph.graph.node:
        if node.op_type == "Conv":
            _pad_explicitly(node)
    return graph.SerializeToString()


def _pad_explicitly(node: Any) -> None:
    """Give a dilated convolution its padding in numbers. ONNX Runtime refuses 'same' for it at the first run.

    A convolution of stride 1 pads its reach, whatever the size of the map: half of it before, the rest behind.
    """
    from onnx import helper

    own = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    rates = own.get("dilations", [1, 1])
    if own.get("auto_pad") != b"SAME_UPPER" or set(rates) == {1} or set(own.get("strides", [1])) != {1}:
        return
    reach = [rate * (taps - 1) for rate, taps in zip(rates, own["kernel_shape"], strict=True)]
    kept = [attribute for attribute in node.attribute if attribute.name not in ("auto_pad", "pads")]
    pads = [*(total // 2 for total in reach), *(total - total // 2 for total in reach)]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute("pads", pads)])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what tf2onnx logs and prints: it reports a failure twice, over hundreds of lines."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1][:300]
