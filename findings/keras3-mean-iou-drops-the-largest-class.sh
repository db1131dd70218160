#!/bin/sh
# Keras 3.15.1 on JAX 0.6.2: from 2 147 483 648 pixels on, `MeanIoU` leaves the largest class out of the mean.
#
# The metric adds up a confusion matrix of the type "int", which is int64 on TensorFlow and int32 on JAX and PyTorch.
# `result` forms row + column - diagonal, the union of a class, in the same type. From 2^31 on the union is a negative
# number, and a class whose union is not above 0 counts as one that the data lack: it is left out of the mean, and its
# own `IoU` is 0. Only when a cell of the matrix passes 2^31 do the counts themselves turn round. Nothing is said.
# dtype="int64" does not help on JAX, where it stays int32 unless jax_enable_x64 is set.
#
# Seen: tiles of a million pixels, class 1 on 200 000 of them, all found, with 100 000 pixels of class 0 taken for it.
# By hand the IoUs are 700 / 800 = 0.875 and 200 / 300 = 0.667, the mean 0.771, however many tiles there are. 2000 and
# 2600 tiles: 0.771. 3000 tiles, with a union of 2.4 thousand million pixels: 0.667, and 0.0 for class 0. 6200 tiles:
# 0.367. A sample_weight of whole numbers stands for the repeated tiles; 3000 tiles in ten calls give 0.667 as well.
# Consequence: the 180 tiles of 25 million pixels of Inria Aerial Image Labeling pass the bound by themselves; on JAX
# a model is scored without the background, on TensorFlow with it. The project adds up its matrix in int64.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "keras==3.15.1" "jax==0.6.2" "jaxlib==0.6.2" "numpy==2.2.6"
cat >"$folder/count.py" <<'PYTHON'
import sys

import keras
import numpy as np

truth = np.zeros((1, 1000, 1000), np.int32)
truth[:, :200] = 1
found = truth.copy()
found[:, 200:300] = 1
RIGHT = [700 / 800, 200 / 300]


def scores(tiles, dtype=None, calls=1):
    """Return the mean IoU and the IoU of class 0 of so many equal tiles."""
    metrics = [keras.metrics.MeanIoU(2, dtype=dtype), keras.metrics.IoU(2, [0], dtype=dtype)]
    for metric in metrics:
        for _ in range(calls):
            metric.update_state(truth, found, sample_weight=np.int32(tiles // calls))
    return [float(metric.result()) for metric in metrics]


results = {tiles: scores(tiles) for tiles in (1, 2000, 2600, 3000, 6200)}
for tiles, (mean, zero) in results.items():
    print(f"{tiles} tiles: MeanIoU {mean:.4f}, IoU of class 0 {zero:.4f}; by hand {np.mean(RIGHT):.4f}, {RIGHT[0]:.4f}")
wide, parts = scores(3000, "int64"), scores(3000, calls=10)
print(f"3000 tiles, dtype int64: {wide[0]:.4f}; in ten calls: {parts[0]:.4f}")
well = all(np.allclose(results[tiles], [np.mean(RIGHT), RIGHT[0]], atol=1e-4) for tiles in (1, 2000, 2600))
dropped = np.allclose([results[3000], wide, parts], [RIGHT[1], 0], atol=1e-4)
sys.exit(not (keras.backend.backend() == "jax" and well and dropped and results[6200][0] < 0.5))
PYTHON
KERAS_BACKEND=jax "$folder/env/bin/python" "$folder/count.py" 2>"$folder/log" ||
    { status=$?; cat "$folder/log"; exit $status; }
