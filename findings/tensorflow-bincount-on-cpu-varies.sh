#!/bin/sh
# TensorFlow 2.21.0: with operations made deterministic, a weighted bincount on a CPU gives other sums at each call.
#
# `tf.config.experimental.enable_op_determinism()` promises equal results from equal inputs, or an error. On a CPU
# `tf.math.bincount(values, float weights)` splits the input between threads in whatever way they become free, and adds
# their partial sums, so the last bits change from call to call, without an error. `tf.math.unsorted_segment_sum` of
# the same numbers does not change. With whole-number weights the order of a sum does not matter, and nothing changes.
#
# Seen, 2 cores: of 20 calls on 2 million weights in 1000 bins, 4 to 7 different results; unsorted_segment_sum: 1;
# int32 weights: 1. TensorFlow 2.15.1 does the same.
# Consequence: masses of CRF vertices are counted as whole numbers, and confusion matrices were integers before.
# Exit status: 0 as seen, 1 when it has changed, 3 on a machine with one core, which cannot show it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check "tensorflow-cpu==2.21.0" "numpy==2.2.6"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/env/bin/python" - <<'PYTHON'
import os
import sys

import numpy as np
import tensorflow as tf

if len(os.sched_getaffinity(0)) < 2:
    sys.exit(3)
tf.config.experimental.enable_op_determinism()
rng = np.random.default_rng(0)
bins = tf.constant(rng.integers(0, 1000, 2_000_000), tf.int32)
weights = tf.constant(rng.random(2_000_000), tf.float32)
whole = tf.cast(weights * 1000, tf.int32)


def results(call):
    """Return how many different results 20 equal calls give."""
    return len({call().numpy().tobytes() for _ in range(20)})


counted = results(lambda: tf.math.bincount(bins, weights, minlength=1000, maxlength=1000))
summed = results(lambda: tf.math.unsorted_segment_sum(weights, bins, 1000))
integers = results(lambda: tf.math.bincount(bins, whole, minlength=1000, maxlength=1000))
print(f"TensorFlow {tf.__version__}: bincount {counted}, unsorted_segment_sum {summed}, bincount of integers {integers}")
sys.exit(not (counted > 1 and summed == integers == 1))
PYTHON
