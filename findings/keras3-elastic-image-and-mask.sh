#!/bin/sh
# Keras 3.15.1 (TensorFlow 2.21.0): `RandomElasticTransform` bends the picture and its mask in two different ways.
#
# Called with {"images": ..., "segmentation_masks": ...} the layer is to move both alike. It draws whether to move at
# all once, but the field of displacements is drawn inside the transform, from a generator that goes on between the
# two calls. So each gets its own field. Besides, masks are clipped to `value_range` like pictures: with (0, 1), the
# range of pictures scaled to 1, every class id above 1 becomes 1. RandomShear, as a check, moves both alike.
#
# Seen: squares of ids 0 to 3, the same array as picture and as mask, interpolation "nearest", so that both have to
# come out equal: a quarter of the pixels differ (27 %, 27 %, 25 % for seeds 0, 1, 2; what moves at all is 20 %).
# RandomShear: 0. With value_range=(0, 1) the mask has ids 0 and 1 only.
# Consequence: a segmentation trained with this layer learns borders that are shifted by up to the displacement, and
# the benchmark would blame the loss. The project moves both by one matrix (bench/data/augment.py).
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "tensorflow-cpu==2.21.0" "keras==3.15.1" "numpy==2.2.6"
cat >"$folder/elastic.py" <<'PYTHON'
import sys

import keras
import numpy as np

squares = np.random.default_rng(0).integers(0, 4, (8, 8)).astype(np.float32)
ids = np.kron(squares, np.ones((8, 8), np.float32))[None, ..., None]


def moved(layer):
    both = layer({"images": ids.copy(), "segmentation_masks": ids.copy()}, training=True)
    return np.asarray(both["images"]), np.asarray(both["segmentation_masks"])


def elastic(seed, value_range):
    return keras.layers.RandomElasticTransform(
        factor=1.0, scale=(1.0, 1.0), interpolation="nearest", value_range=value_range, seed=seed
    )


differ = []
for seed in range(3):
    image, mask = moved(elastic(seed, (0, 255)))
    differ.append((image != mask).mean())
    print(f"seed {seed}: {(image != ids).mean():.0%} moved; picture and mask differ in {differ[-1]:.0%} of the pixels")
image, mask = moved(keras.layers.RandomShear(0.3, 0.3, interpolation="nearest", seed=1))
sheared = (image != mask).mean()
print(f"RandomShear: {(image != ids).mean():.0%} moved; they differ in {sheared:.0%}")
clipped = np.unique(moved(elastic(0, (0, 1)))[1]).tolist()
print("ids of the mask with value_range=(0, 1):", clipped)
sys.exit(not (min(differ) > 0.1 and sheared == 0 and clipped == [0.0, 1.0]))
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 "$folder/env/bin/python" "$folder/elastic.py" 2>"$folder/log" ||
    { status=$?; cat "$folder/log"; exit $status; }
