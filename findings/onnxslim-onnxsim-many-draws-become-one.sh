#!/bin/sh
# onnxslim 0.1.98 and onnxsim 0.8.1: a model that samples itself loses its samples, and is certain of every pixel.
#
# Monte Carlo dropout leaves dropout on when it predicts; in ONNX that is a Dropout node whose input `training_mode` is
# true. onnxslim removes every Dropout node without a look at that input. Both tools merge nodes of one kind that have
# the same inputs, and both do so with nodes that draw random numbers, which differ from each other in every run
# (RandomNormalLike; in onnxsim also Dropout), unless they have seeds. onnxsim knows which operators are random: it does
# not fold them to constants.
#
# Seen: one channel that is 1 everywhere, foreground logit 2 x dropout(0.5), eight passes in one model, 64 x 64 pixels.
# By hand the probability is 0.982 or 0.5, each for half of the passes: mean 0.741, standard deviation over the passes
# 0.241. The model itself: 0.74 and 0.24. onnxsim: 0.74 and 0, one Dropout instead of eight. onnxslim: 0.88 and 0, no
# Dropout, which is the probability of the model without dropout. Logits with added noise, 2 + n(0, 1), eight draws:
# standard deviation 1, and 0 by both. With another seed for each node noise is right by both, dropout by onnxsim alone.
# No error and no warning; onnxsim returns True for its check.
# Consequence: maps of uncertainty are 0 everywhere, which is what a perfect model would give. Models that draw are
# simplified with these steps switched off, or not at all, and compared by their spread and not by their mean.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "onnxslim==0.1.98" "onnxsim==0.8.1" "onnx==1.23.2" "onnxruntime==1.32.0" "numpy==2.4.6" "sympy==1.14.0"
"$folder/env/bin/python" - <<'PYTHON'
import sys
from collections import Counter

import numpy as np
import onnxruntime
import onnxsim
import onnxslim
from onnx import TensorProto, checker, helper, numpy_helper

PASSES, SHAPE = 8, [1, 1, 64, 64]


def sampler(draw, seeds):
    """Return a model of the foreground logits of eight passes, which draw by Dropout or by RandomNormalLike."""
    nodes = []
    for number in range(PASSES):
        chosen = 1_000_003 + 7 * number  # ONNX Runtime's draws of small seeds are not independent
        seed = {"seed": float(chosen) if draw == "RandomNormalLike" else chosen} if seeds else {}
        inputs = ["picture"] if draw == "RandomNormalLike" else ["picture", "ratio", "training"]
        nodes.append(helper.make_node(draw, inputs, [f"drawn{number}"], **seed))
        last = "Add" if draw == "RandomNormalLike" else "Mul"
        nodes.append(helper.make_node(last, [f"drawn{number}", "two"], [f"logit{number}"]))
    nodes.append(helper.make_node("Concat", [f"logit{n}" for n in range(PASSES)], ["logits"], axis=0))
    constants = {"two": np.array(2, np.float32)}
    if draw == "Dropout":
        constants |= {"ratio": np.array(0.5, np.float32), "training": np.array(True)}
    graph = helper.make_graph(
        nodes,
        "sampler",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [PASSES, *SHAPE[1:]])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    return model


def logits(model):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"picture": np.ones(SHAPE, np.float32)})
    return result.astype(float)


def over_passes(values):
    """Return the mean of all values and the standard deviation over the passes, as a mean over the pixels."""
    return float(values.mean()), float(np.sqrt(values.var(axis=0, ddof=1).mean()))


def near(row, mean, deviation, draws):
    return abs(row[0] - mean) < 0.03 and abs(row[1] - deviation) < (0.03 if deviation else 1e-6) and row[2] == draws


seen = {}
for draw in ("Dropout", "RandomNormalLike"):
    for seeds in (False, True):
        model = sampler(draw, seeds)
        simple, ok = onnxsim.simplify(model)
        row = {}
        for name, tried in (("itself", model), ("onnxsim", simple), ("onnxslim", onnxslim.slim(model))):
            values = logits(tried)
            if draw == "Dropout":
                values = 1 / (1 + np.exp(-values))
            row[name] = *over_passes(values), Counter(node.op_type for node in tried.graph.node)[draw]
        assert ok
        seen[draw, seeds] = row
        shown = {name: f"{mean:.2f} +- {spread:.2f}, {count} draws" for name, (mean, spread, count) in row.items()}
        print(draw, "with seeds:" if seeds else "without seeds:", shown)

high, middle = 1 / (1 + np.exp(-4)), 1 / (1 + np.exp(-2))
mean, deviation = (high + 0.5) / 2, (high - 0.5) / 2
print(f"dropout by hand: {mean:.3f} +- {deviation:.3f}, and {middle:.3f} without dropout")
dropout, noise = seen["Dropout", False], seen["RandomNormalLike", False]
sys.exit(
    not (
        near(dropout["itself"], mean, deviation, PASSES)
        and near(dropout["onnxsim"], mean, 0, 1)
        and near(dropout["onnxslim"], middle, 0, 0)
        and near(noise["itself"], 2, 1, PASSES)
        and near(noise["onnxsim"], 2, 0, 1)
        and near(noise["onnxslim"], 2, 0, 1)
        and near(seen["Dropout", True]["onnxsim"], mean, deviation, PASSES)
        and near(seen["Dropout", True]["onnxslim"], middle, 0, 0)
        and near(seen["RandomNormalLike", True]["onnxslim"], 2, 1, PASSES)
    )
)
PYTHON
