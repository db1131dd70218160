#!/bin/sh
# LiteRT converter of TensorFlow 2.21.0: behind a pad whose amounts are computed, a convolution cannot be converted.
#
# TensorFlow knows that only height and width change: the graph says (1, None, None, 4), and `tf.ensure_shape` behind the
# pad says so once more. The converter works out its own shapes, and a pad by amounts that are no constants makes all four
# sizes unknown, channels included; a convolution of an unknown number of channels is left to TensorFlow's own operators.
#
# Seen: constant amounts convert; computed ones raise ConverterError, with `tf.ensure_shape` as without; zeros joined by
# `tf.concat` convert, and the file runs at a size it was not converted for. TensorFlow 2.15.1 does the same.
# Consequence: a segmentation model that pads pictures of any size to a multiple of its stride has no LiteRT file. The
# project pads by the widest amount that may be needed, a constant, and cuts (models/layers/atrous.py).
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/pad.py" <<'PYTHON'
import sys

import numpy as np
import tensorflow as tf

KERNEL = tf.constant(np.ones((3, 3, 3, 4), np.float32))


def constant(image, more):
    return tf.pad(image, [[0, 0], [0, 7], [0, 7], [0, 0]])


def computed(image, more):
    return tf.pad(image, [[0, 0], [0, more], [0, more], [0, 0]])


def ensured(image, more):
    return tf.ensure_shape(computed(image, more), [1, None, None, 3])


def joined(image, more):
    image = tf.concat([image, tf.zeros([1, more, tf.shape(image)[2], 3])], 1)
    return tf.concat([image, tf.zeros([1, tf.shape(image)[1], more, 3])], 2)


def converted(pad):
    """Return the name of the converter's error, or the shape of the result for 13 x 13 pixels."""

    @tf.function(input_signature=[tf.TensorSpec([1, None, None, 3])])
    def padded(image):
        return tf.nn.conv2d(pad(image, -tf.shape(image)[1] % 8), KERNEL, 1, "VALID")

    graph = padded.get_concrete_function()
    assert graph.output_shapes.as_list() == [1, None, None, 4]
    try:
        model = tf.lite.TFLiteConverter.from_concrete_functions([graph]).convert()
    except Exception as error:
        return type(error).__name__
    interpreter = tf.lite.Interpreter(model_content=model)
    place = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(place, (1, 13, 13, 3))
    interpreter.allocate_tensors()
    interpreter.set_tensor(place, np.ones((1, 13, 13, 3), np.float32))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).shape


seen = {pad.__name__: converted(pad) for pad in (constant, computed, ensured, joined)}
print(f"TensorFlow {tf.__version__}")
for name, what in seen.items():
    print(f"{name}: {what}")
error = "ConverterError"
sys.exit(seen != {"constant": (1, 18, 18, 4), "computed": error, "ensured": error, "joined": (1, 14, 14, 4)})
PYTHON
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check "tensorflow-cpu==2.21.0"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/env/bin/python" "$folder/pad.py" 2>"$folder/log" || { status=$?; cat "$folder/log"; exit $status; }
