#!/bin/sh
# TensorFlow 2.21.0 with oneDNN: the gradient of a depthwise filter wider than 3 is computed as if each of its channels
# were 16 by 16 channels; height does not matter.
#
# For the gradient with respect to the filter, oneDNN's depthwise kernel (jit_dw) serves filters up to 3 columns wide.
# From 4 columns on, the kernel for grouped convolutions takes over, whose blocks of 16 x 16 channels are padded with
# zeros: 29 MB of them for a 5 x 5 filter of 1152 channels that has 115 kB. The result is right. The forward pass and
# the gradient of the input keep the depthwise kernel at any width. No log line, no warning; the time is hidden inside
# one operation of the profile, and with ONEDNN_VERBOSE=1 only the name of the kernel differs.
#
# Seen, x and dy of 8 x 10 x 10 x 1152 float32, one thread, AMD EPYC with AVX-512: filter 3 x 3 2.0 ms, 5 x 3 (high)
# 2.1 ms, 3 x 5 (wide) 7.5 ms, 5 x 5 13.0 ms; forward pass of 5 x 5 1.9 ms after 1.6 ms of 3 x 3, gradient of the input
# 2.2 ms after 1.8 ms. Two shifted 5 x 3 gradients, joined, are the 5 x 5 one in half of its time. Alike with
# ONEDNN_MAX_CPU_ISA=AVX2, with TensorFlow 2.15.1 (7 x 7: 44 ms), and in PyTorch 2.13.0 with channels_last (3 x 3
# 0.8 ms, 5 x 3 1.0, 3 x 5 6.1, 5 x 5 11.2).
# Consequence: in a training of EfficientNet or MobileNetV3 on a CPU the 5 x 5 blocks cost many times what their
# operations say; a timing of inference does not show it, and architectures must not be compared by it.
# Exit status: 0 as seen, 1 when it has changed, 3 on a processor without AVX2, which has not been seen.
set -eu
grep -q -w avx2 /proc/cpuinfo || exit 3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check "tensorflow-cpu==2.21.0" "numpy==2.2.6"
cat >"$folder/gradients.py" <<'PYTHON'
import statistics
import sys
import time

import numpy as np
import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
channels, strides = 1152, [1, 1, 1, 1]
rng = np.random.default_rng(0)
x, dy = (tf.constant(rng.random((8, 10, 10, channels), np.float32)) for _ in range(2))
shapes = ((3, 3), (5, 3), (3, 5), (5, 5))


def gradient(height, width, **padding):
    """Return the gradient with respect to a filter."""
    return tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
        input=x, filter_sizes=[height, width, channels, 1], out_backprop=dy, strides=strides,
        **(padding or {"padding": "SAME"}),
    )


def joined():
    """Return the gradient of a 5 x 5 filter from those of its first and last three columns."""
    pads = [[0, 0, 2, 2, *columns, 0, 0] for columns in ((2, 0), (0, 2))]
    left, right = (gradient(5, 3, padding="EXPLICIT", explicit_paddings=pad) for pad in pads)
    return tf.concat([left, right[:, 1:]], 1)


def forward(size):
    ones = tf.ones((size, size, channels, 1))
    return tf.raw_ops.DepthwiseConv2dNative(input=x, filter=ones, strides=strides, padding="SAME")


def to_input(size):
    ones = tf.ones((size, size, channels, 1))
    return tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
        input_sizes=x.shape, filter=ones, out_backprop=dy, strides=strides, padding="SAME"
    )


calls = {f"filter {h} x {w}": tf.function(lambda h=h, w=w: gradient(h, w)) for h, w in shapes}
calls["two of 5 x 3"] = tf.function(joined)
for size in (3, 5):
    calls[f"forward {size}"] = tf.function(lambda size=size: forward(size))
    calls[f"input {size}"] = tf.function(lambda size=size: to_input(size))
for call in calls.values():
    call()
if "once" in sys.argv:
    sys.exit()
times = {name: [] for name in calls}
for _ in range(25):  # in turn, so that other work on the machine slows all alike
    for name, call in calls.items():
        start = time.process_time()
        call()
        times[name].append(time.process_time() - start)
took = {name: statistics.median(values) for name, values in times.items()}
wide = calls["filter 5 x 5"]().numpy()
error = float(np.abs(calls["two of 5 x 3"]().numpy() - wide).max() / wide.max())
print("milliseconds:", {name: round(1000 * seconds, 2) for name, seconds in took.items()})
print(f"largest difference of the joined gradient: {error:.1e}")
as_seen = [
    took["filter 3 x 5"] > 2 * took["filter 5 x 3"],
    took["filter 5 x 5"] > 4 * took["filter 3 x 3"],
    took["filter 5 x 5"] > 1.5 * took["two of 5 x 3"],
    took["filter 5 x 5"] > 2 * max(took["forward 5"], took["input 5"]),
    error < 1e-5,
]
sys.exit(not all(as_seen))
PYTHON
export TF_ENABLE_ONEDNN_OPTS=1 TF_CPP_MIN_LOG_LEVEL=3
"$folder/env/bin/python" "$folder/gradients.py" 2>"$folder/log" || { status=$?; cat "$folder/log"; exit $status; }
ONEDNN_VERBOSE=1 "$folder/env/bin/python" "$folder/gradients.py" once 2>/dev/null >"$folder/verbose"
kernel() { # the kernel that served a shape of filter, by height and width
    grep 'exec,cpu,convolution.*backward_weights' "$folder/verbose" | grep "kh$1sh.*kw$2sw" |
        sed 's/.*convolution,\([^:,]*\).*/\1/' | sort -u | tr '\n' ' '
}
for shape in "3 3" "5 3" "3 5" "5 5"; do
    # shellcheck disable=SC2086 # two words
    echo "filter $shape: $(kernel $shape)"
done
test "$(kernel 3 3)$(kernel 5 3)" = "jit_dw jit_dw " && test "$(kernel 3 5)$(kernel 5 5)" = "jit jit "
