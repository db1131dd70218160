"""Cost of a model before it is trained: parameters, operations, and the memory of a training step.

Nothing is computed. The model is traced at the wanted size, where all shapes are known, and the operations of its graph
are counted one by one, whatever layers they come from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.spec import ModelSpec

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class Cost:
    """The cost of one model for one image.

    Attributes:
        parameters: number of weights, moving statistics included.
        flops: floating point operations of the forward pass in inference. A multiply and add counts as 2. Taps of an
            atrous kernel that lie outside the map at every position are not computed and not counted.
        activation_bytes: bytes that the forward pass of a training step keeps for the backward pass, logits included,
            at the dtypes of the policy in force. Multiplied by the batch size it is the memory that grows with the
            batch, without what an operation needs while it runs.
    """

    parameters: int
    flops: int
    activation_bytes: int


def model_cost(spec: ModelSpec, num_classes: int, size: int | tuple[int, int]) -> Cost:
    """Compute the cost of a model for one image.

    Args:
        spec: the model; its weights are not loaded.
        num_classes: channels of the logits.
        size: height and width of the image, pixels; one number for both.

    Raises:
        ValueError: as for `models.build`, or an image that the model cannot take.
    """
    sides = (size, size) if isinstance(size, int) else size
    if 0 < min(sides) < spec.output_stride:
        raise ValueError(f"an image of {sides[0]} x {sides[1]} is too small for output_stride {spec.output_stride}")
    # Here, not above, so that a process without TensorFlow can receive a cost computed by another.
    from models.builder import build_training

    trained, model = build_training(spec.model_copy(update={"weights": "none"}), num_classes)
    return cost_of(model, (size, size) if isinstance(size, int) else size, trained)


def cost_of(model: Any, size: tuple[int, int], trained: Any = None) -> Cost:
    """Compute the cost of a built model, (B, H, W, 3) to (B, H, W, C); `trained` is the model to train, if another."""
    import tensorflow as tf

    parameters, flops = forward_cost(model, size)
    image = tf.TensorSpec((1, *size, 3), tf.float32)
    return Cost(parameters, flops, activation_bytes=_kept_for_backward(trained or model, image))


def forward_cost(model: Any, size: tuple[int, int]) -> tuple[int, int]:
    """Count the parameters of a built model, and the operations of its forward pass for one image, as in `Cost`.

    Args:
        model: (B, H, W, 3) to (B, H, W, C).
        size: height and width of the image, pixels.

    Raises:
        ValueError: a size below 1.
    """
    import tensorflow as tf

    if min(size) < 1:
        raise ValueError(f"size must be positive, got {size}")
    image = tf.TensorSpec((1, *size, 3), tf.float32)
    forward = tf.function(lambda images: model(images, training=False), autograph=False).get_concrete_function(image)
    parameters = int(sum(math.prod(weight.shape) for weight in model.weights))
    return parameters, sum(map(_flops, forward.graph.get_operations()))


# --- operations ------------------------------------------------------------------------------------------------------


def _elements(tensor: Any) -> int:
    return math.prod(tensor.shape.as_list())


def _per_output(count: int) -> Callable[[Any], int]:
    return lambda op: count * _elements(op.outputs[0])


def _convolution(op: Any) -> int:
    height, width, channels, _ = op.inputs[1].shape
    return 2 * height * width * channels * _elements(op.outputs[0])


def _depthwise(op: Any) -> int:
    height, width, *_ = op.inputs[1].shape
    return 2 * height * width * _elements(op.outputs[0])


def _matrix_product(op: Any) -> int:
    transposed = op.get_attr("transpose_a" if op.type == "MatMul" else "adj_x")
    inner = op.inputs[0].shape[-2 if transposed else -1]
    return 2 * inner * _elements(op.outputs[0])


def _pooling(op: Any) -> int:
    return math.prod(op.get_attr("ksize")) * _elements(op.outputs[0])


_FLOPS: dict[str, Callable[[Any], int]] = {
    "Conv2D": _convolution,
    "DepthwiseConv2dNative": _depthwise,
    "MatMul": _matrix_product,
    "BatchMatMulV2": _matrix_product,
    "BatchMatMulV3": _matrix_product,
    "AvgPool": _pooling,
    "MaxPool": _pooling,
    "Mean": lambda op: _elements(op.inputs[0]),
    "Sum": lambda op: _elements(op.inputs[0]),
    "FusedBatchNormV3": _per_output(2),  # a scale and an offset, both known beforehand
    "ResizeBilinear": _per_output(6),  # three blends of two values, each one multiply-add with a difference ready
    "Softmax": _per_output(5),
    **dict.fromkeys(
        ("Add", "AddV2", "BiasAdd", "Div", "Elu", "Erf", "Exp", "LeakyRelu", "Maximum", "Minimum", "Mul", "Neg", "Pow",
         "RealDiv", "Relu", "Relu6", "Rsqrt", "Sigmoid", "Sqrt", "Square", "SquaredDifference", "Sub", "Tanh"),
        _per_output(1),
    ),
}  # fmt: skip


def _flops(op: Any) -> int:
    """Count the floating point operations; the cost of operations on sizes and indices is negligible."""
    return _FLOPS[op.type](op) if op.type in _FLOPS and op.outputs[0].dtype.is_floating else 0


# --- memory ----------------------------------------------------------------------------------------------------------

# Their output is the memory of their input under another name.
_ALIASES = {"ExpandDims", "Identity", "IdentityN", "PreventGradient", "Reshape", "Squeeze", "StopGradient"}


def _kept_for_backward(model: Any, image: tf.TensorSpec) -> int:
    """Count the bytes of forward tensors that depend on the image and that the backward pass reads."""
    import tensorflow as tf

    boundary: list[int] = []

    def step(images: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = tf.add_n([tf.reduce_sum(tf.square(value)) for value in tf.nest.flatten(logits)])
        boundary.append(len(tf.compat.v1.get_default_graph().get_operations()))
        return tape.gradient(loss, model.trainable_variables)

    graph = tf.function(step, autograph=False).get_concrete_function(image).graph
    operations = graph.get_operations()
    forward, backward = operations[: boundary[-1]], operations[boundary[-1] :]
    activations = _reached(forward, graph.inputs[0])
    kept = {_memory(tensor) for op in backward for tensor in op.inputs if tensor.ref() in activations}
    # Scratch of cuDNN's batch normalisation, empty elsewhere, has no shape.
    tensors = [ref.deref() for ref in kept if ref.deref().shape.is_fully_defined()]
    return sum(_elements(tensor) * tensor.dtype.size for tensor in tensors)


def _reached(operations: Iterable[Any], start: Any) -> set[Any]:
    """Return references to the tensors that depend on `start`, from operations in the order of their creation."""
    found = {start.ref()}
    for op in operations:
        if any(tensor.ref() in found for tensor in op.inputs):
            found.update(tensor.ref() for tensor in op.outputs)
    return found


def _memory(tensor: Any) -> Any:
    """Return a reference to the tensor that owns the memory."""
    while tensor.op.type in _ALIASES:
        tensor = tensor.op.inputs[tensor.value_index if tensor.op.type == "IdentityN" else 0]
    return tensor.ref()
