#!/bin/sh
# tf2onnx 1.17.0: a resize to a known size becomes a float32 ratio, and the result may be one row short.
#
# Where the sizes of input and result are known, tf2onnx writes the ONNX Resize with `scales` instead of `sizes`:
# float32(result / input). ONNX defines the size of the result as floor(input * scale). Where the ratio rounds down, the
# product falls below the whole number. The conversion and the run say nothing.
#
# Seen: 41 x 41 and 55 x 55 pixels enlarged to 512 x 512 come out as 511 x 511; 40 and 64 come out right, and so does 41
# where the converter was not given the sizes.
# Consequence: label maps of an exported segmentation model are one row and one column smaller than the picture. The
# project exports with height and width unknown, for which tf2onnx writes `sizes`, and runs each export at three sizes.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/resize.py" <<'PYTHON'
import sys

import numpy as np
import onnxruntime
import tensorflow as tf
import tf2onnx


def shape_of_result(known, size, wanted):
    """Return height and width of a picture that the converted resize enlarges."""
    side = size if known else None
    resize = tf.function(
        lambda image: tf.image.resize(image, (wanted, wanted)), [tf.TensorSpec([1, side, side, 1], tf.float32)]
    )
    model, _ = tf2onnx.convert.from_function(resize, resize.input_signature, opset=17)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {session.get_inputs()[0].name: np.zeros((1, size, size, 1), np.float32)})
    return result.shape[1:3]


sizes = {size: shape_of_result(True, size, 512) for size in (40, 41, 55, 64)}
unknown = shape_of_result(False, 41, 512)
print(f"tf2onnx {tf2onnx.__version__}, onnxruntime {onnxruntime.__version__}, TensorFlow {tf.__version__}")
for size, result in sizes.items():
    print(f"{size} -> 512: {result}")
print(f"41 -> 512, sizes unknown: {unknown}")
sys.exit(not (sizes[41] == (511, 511) and sizes[64] == (512, 512) and unknown == (512, 512)))
PYTHON
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "tensorflow-cpu==2.15.1" "tf2onnx==1.17.0" "onnxruntime==1.23.2" "onnx==1.17.0"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/env/bin/python" "$folder/resize.py"
