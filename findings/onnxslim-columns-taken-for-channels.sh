#!/bin/sh
# onnxslim 0.1.98: factors of columns or rows are multiplied into the channels of a Conv that has as many of them.
#
# A Conv whose result is multiplied by a constant is fused into one Conv with other weights. That is right for a factor
# per channel, shape (C, 1, 1) or (1, C, 1, 1). onnxslim squeezes the constant and compares how many numbers are left
# with the number of channels; along which axis they lie, it does not ask. Shapes (C,) and (C, 1), which ONNX and NumPy
# broadcast over columns and rows, are taken for channels if the picture is C pixels wide or high. For a constant that
# is added, the same package looks at the axis. ConvTranspose goes the same way.
#
# Seen: 32 channels, 32 x 32 pixels, input, weights and bias 1, so all values are 2 before the factors 1 to 32. Factors
# of the columns, shape (32,) or (1, 1, 1, 32), and of the rows, shape (32, 1): Conv alone is left, and channel k is
# 2 (k + 1) everywhere instead of being 2 (x + 1) in column x; 31 of 32 values are wrong. Shape (1, 32, 1, 1) and all
# shapes for a picture that is 40 wide and high: right. A window that blends tiles, 1 in the middle and 0.25 at the left
# and right edge, over the scores of 32 classes: it leaves the largest score of each pixel the largest, and the model
# itself gives the labels of a model without it; of the slim one 22 % of the labels are these, and all are the labels
# of scores weighted by the place of the class in the list. No error and no warning; the model passes the checker.
# Consequence: positional factors and blending windows in an exported model end up in the channels when sizes happen to
# agree, as 32, 64 and 128 often do. A simplified model is run against its original, at the size it was exported for.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "onnxslim==0.1.98" "onnx==1.23.2" "onnxruntime==1.32.0" "numpy==2.4.6" "sympy==1.14.0"
"$folder/env/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
import onnxslim
from onnx import TensorProto, checker, helper, numpy_helper


def network(operator, weights, bias, factors, side):
    """Return a model: operator with a kernel of one pixel, then Mul by the factors."""
    channels = weights.shape[1 if operator == "Conv" else 0]
    graph = helper.make_graph(
        [
            helper.make_node(operator, ["picture", "weights", "bias"], ["result"]),
            helper.make_node("Mul", ["result", "factors"], ["scores"]),
        ],
        "network",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, channels, side, side])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, len(bias), side, side])],
        [
            numpy_helper.from_array(value.astype(np.float32), name)
            for name, value in (("weights", weights), ("bias", bias), ("factors", factors))
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    return model


def scores(model, picture):
    checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"picture": picture.astype(np.float32)})[0][0]


def compare(operator, shape, side):
    """Return the share of wrong values of the model itself and of the slim one, and the slim one's operators."""
    factors = np.arange(1.0, max(shape) + 1).reshape(shape)
    by_hand = (2 * factors * np.ones((1, CHANNELS, side, side)))[0]
    kernel = (CHANNELS, 1, 1, 1) if operator == "Conv" else (1, CHANNELS, 1, 1)
    model = network(operator, np.ones(kernel), np.ones(CHANNELS), factors, side)
    slim = onnxslim.slim(model)
    wrong = [float((scores(tried, np.ones((1, 1, side, side))) != by_hand).mean()) for tried in (model, slim)]
    return *wrong, [node.op_type for node in slim.graph.node]


CHANNELS = 32
as_seen = True
for operator in ("Conv", "ConvTranspose"):
    for side in (32, 40):
        for shape in ((side,), (1, 1, 1, side), (side, 1), (1, CHANNELS, 1, 1)):
            itself, slim, operators = compare(operator, shape, side)
            print(f"{operator}, side {side}, factors {shape}: wrong {itself:.3f} itself, {slim:.3f} slim, {operators}")
            taken = side == CHANNELS and shape != (1, CHANNELS, 1, 1)
            fused = taken or shape == (1, CHANNELS, 1, 1)
            as_seen &= (itself, slim) == (0, 31 / 32 if taken else 0) and len(operators) == (1 if fused else 2)

picture = np.random.default_rng(0).random((1, CHANNELS, 32, 32))  # the scores of the classes, handed on by the Conv
window = 1 - 0.75 * np.abs(np.linspace(-1, 1, 32))
model = network("Conv", np.eye(CHANNELS)[:, :, None, None], np.zeros(CHANNELS), window, 32)
labels, slim_labels = scores(model, picture).argmax(0), scores(onnxslim.slim(model), picture).argmax(0)
plain, by_class = picture[0].argmax(0), (picture[0] * window[:, None, None]).argmax(0)
right, slim_right = (labels == plain).mean(), (slim_labels == plain).mean()
worked_out = (slim_labels == by_class).mean()
print(f"32 classes under a window over the columns: right labels {right:.2f} itself, {slim_right:.2f} slim;")
print(f"labels of the slim model that a window over the classes explains: {worked_out:.2f}")
sys.exit(not (as_seen and right == 1 and slim_right < 0.5 and worked_out == 1))
PYTHON
