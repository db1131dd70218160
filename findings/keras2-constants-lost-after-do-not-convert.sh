#!/bin/sh
# Keras 2.15 (TensorFlow 2.15.1): one model built without AutoGraph makes all later saved models forget constants.
#
# An operator or TensorFlow function on a symbolic tensor, such as `tf.nn.leaky_relu(x, 0.3)`, becomes a layer whose
# constants stand in the config of the model. `tf.autograph.experimental.do_not_convert` around the code that builds
# such a model changes no value and no file of that model. But from then on, in the whole process, configs of other
# models lack what was passed by position, though they are built as before. Saving says nothing. Loading then raises a
# TypeError where the argument has no default; where it has one, the loaded model takes it and gives other values.
#
# Seen: leaky_relu(-1, 0.3) of a saved and loaded model: -0.3 before, -0.2 after, which is the default's; the model in
# memory gives -0.3 each time.
# Consequence: models are built with AutoGraph, although leaving it out would save a second; see models/builder.py. A
# test saves and loads a backbone with such layers.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check "tensorflow-cpu==2.15.1" "numpy==1.26.4"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/env/bin/python" - "$folder" <<'PYTHON'
import sys

import keras
import numpy as np
import tensorflow as tf

MINUS_ONE = np.full((1, 1), -1, np.float32)


def leaky():
    x = keras.Input((1,))
    return keras.Model(x, tf.nn.leaky_relu(x, 0.3))


def loaded(name):
    """Return what a new model gives, and what it gives when it was saved and loaded."""
    model, path = leaky(), f"{sys.argv[1]}/{name}.keras"
    model.save(path)
    return [round(float(one(MINUS_ONE)[0, 0]), 3) for one in (model, keras.models.load_model(path, compile=False))]


before = loaded("before")
tf.autograph.experimental.do_not_convert(leaky)()
after = loaded("after")
print(f"Keras {keras.__version__}: before {before}, after {after}")
sys.exit(not (before == [-0.3, -0.3] and after == [-0.3, -0.2]))
PYTHON
