"""Atrous convolution four ways, and the training step around it, side by side in one process.

    python -m bench.perf.atrous [--step-only | --layers-only]

The numbers are median milliseconds of forward and backward pass. `keras` is what Keras's dilated layers call. `direct`
is `tf.nn.conv2d` with dilations. `taps` is the sum over the taps that land inside the map (slice, product, pad, add).
`ours` is what `models` uses: the kernel is cut to the map, then `direct`. The ratio is `keras` / `ours`; it is
meaningful on a busy machine, too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import keras
import tensorflow as tf

import models
from bench.perf.ratios import stack
from bench.perf.rounds import milliseconds

FILTERS = 256
LAYERS = [  # (map size, input channels, rate, batch)
    (5, 1280, 3, 8),
    (8, 1280, 6, 8),
    (10, 320, 6, 8),
    (10, 1280, 6, 8),
    (10, 1280, 12, 8),
    (10, 2048, 12, 8),
    (20, 320, 6, 4),
    (20, 1280, 18, 4),
    (33, 320, 12, 2),
    (33, 2048, 6, 2),
]
STEPS: list[dict[str, object]] = [  # fields of ModelSpec
    {},
    {"architecture": "keras_cv", "output_stride": 32},
    {"output_stride": 32},
    {"separable": False},
    {"head": "subpixel"},
]


def taps(image: tf.Tensor, kernel: tf.Tensor, rate: int, depthwise: bool) -> tf.Tensor:
    """Return the sum over the taps that land inside the map, for a static (B, H, W, C) and an odd kernel."""
    height, width = image.shape[1:3]
    reach = kernel.shape[0] // 2
    terms = []
    for row in range(-reach, reach + 1):
        for column in range(-reach, reach + 1):
            down, right = row * rate, column * rate
            if abs(down) >= height or abs(right) >= width:
                continue
            part = image[:, max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]
            weights = kernel[row + reach, column + reach]
            part = part * weights[:, 0] if depthwise else tf.linalg.matmul(part, weights)
            pad = [[0, 0], [max(-down, 0), max(down, 0)], [max(-right, 0), max(right, 0)], [0, 0]]
            terms.append(tf.pad(part, pad))
    return tf.add_n(terms)


def candidates(rate: int, depthwise: bool, dtype: str) -> Mapping[str, Callable]:
    """Return the convolutions by name, each a function of (image, kernel)."""
    arguments: dict[str, Any] = {
        "kernel_size": 3,
        "padding": "same",
        "dilation_rate": rate,
        "use_bias": False,
        "dtype": dtype,
    }
    if depthwise:
        ours = models.AtrousDepthwiseConv2D(**arguments)

        def ours_call(image: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
            ours.depthwise_kernel = kernel
            return ours.call(image)

        return {
            "keras": lambda image, kernel: tf.nn.depthwise_conv2d(
                image, kernel, (1, 1, 1, 1), "SAME", dilations=(rate, rate)
            ),
            "taps": lambda image, kernel: taps(image, kernel, rate, True),
            "ours": ours_call,
        }
    full = models.AtrousConv2D(FILTERS, **arguments)
    return {
        "keras": lambda image, kernel: tf.nn.convolution(image, kernel, padding="SAME", dilations=(rate, rate)),
        "direct": lambda image, kernel: tf.nn.conv2d(image, kernel, 1, "SAME", dilations=rate),
        "taps": lambda image, kernel: taps(image, kernel, rate, False),
        "ours": full.convolution_op,
    }


def layer_row(size: int, channels: int, rate: int, batch: int, depthwise: bool, dtype: str) -> None:
    """Measure one layer in all ways and print a line."""
    image = tf.cast(tf.random.normal((batch, size, size, channels)), dtype)
    kernel = tf.cast(tf.random.normal((3, 3, channels, 1 if depthwise else FILTERS), stddev=0.02), dtype)
    steps = {}
    for name, function in candidates(rate, depthwise, dtype).items():

        @tf.function
        def step(image: tf.Tensor, kernel: tf.Tensor, function: Callable = function) -> list[tf.Tensor]:
            with tf.GradientTape() as tape:
                tape.watch([image, kernel])
                loss = tf.reduce_sum(tf.square(function(image, kernel)))
            return tape.gradient(loss, [image, kernel])

        steps[name] = partial(lambda step: step(image, kernel)[0].numpy(), step)
    times = milliseconds(steps, rounds=100, warm_up=2, seconds=0.6 * len(steps))
    cells = "  ".join(f"{name} {value:7.1f}" for name, value in times.items())
    kind = "depthwise" if depthwise else "full"
    ratio = times["keras"] / times["ours"]
    print(
        f"{dtype:8s} {kind:9s} {size:2d}x{size:<2d} {channels:4d} rate {rate:2d}  {cells}  ratio {ratio:5.1f}",
        flush=True,
    )


def step_row(fields: Mapping[str, object], precision: str, size: int = 160, batch: int = 8, classes: int = 2) -> None:
    """Measure the training step of one model and print a line."""
    keras.backend.clear_session()
    keras.mixed_precision.set_global_policy(precision)
    start = time.perf_counter()
    model = models.build(models.ModelSpec(**fields), classes)  # type: ignore[arg-type]
    built = time.perf_counter() - start
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    images = tf.random.uniform((batch, size, size, 3), 0, 255)
    labels = tf.random.uniform((batch, size, size), 0, classes, tf.int32)
    start = time.perf_counter()
    model.train_on_batch(images, labels)
    first = time.perf_counter() - start
    steps = {"step": partial(model.train_on_batch, images, labels)}
    step = milliseconds(steps, rounds=100, warm_up=1, seconds=4)["step"]
    name = " ".join(f"{key}={value}" for key, value in fields.items()) or "default"
    print(
        f"{precision:14s} {name:45s} build {built:5.1f} s  first step {first:5.1f} s  step {step:6.0f} ms", flush=True
    )
    keras.mixed_precision.set_global_policy("float32")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.perf.atrous", description="atrous convolution, side by side")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--step-only", action="store_true", help="whole training steps only")
    only.add_argument("--layers-only", action="store_true", help="single layers only")
    chosen = parser.parse_args()
    print(stack())
    if not chosen.step_only:
        for dtype in ("float32", "bfloat16"):
            for depthwise in (False, True):
                for size, channels, rate, batch in LAYERS:
                    layer_row(size, channels, rate, batch, depthwise, dtype)
    if not chosen.layers_only:
        print("EfficientNetLite-B0, 160 x 160, batch 8, 2 classes, Adam")
        for precision in ("float32", "mixed_bfloat16"):
            for fields in STEPS:
                step_row(fields, precision)


if __name__ == "__main__":
    main()
