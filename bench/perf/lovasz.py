"""Lovász losses, forward and backward, against the sort per class of public code.

    python -m bench.perf.lovasz [--size 512] [--classes 3,21,150] [--rounds 7]

The numbers are milliseconds from logits to their gradient: medians of rounds that alternate, because the machine's
speed drifts. The ratio is that of the medians. `sort` is the algorithm of Berman's TensorFlow file: for each class, in
a Python loop, a full descending sort of the errors of the flattened batch, the truth in that order, running sums, and
differences of the Jaccard loss. `exact` is `lovasz_softmax`, `histogram` is `lovasz_histogram`. The second table is one
step of the latter, the weighted count of all errors in their bins, by the operations that can do it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np
import tensorflow as tf

import losses
from bench.perf.ratios import stack
from bench.perf.rounds import milliseconds

BINS = 1025  # 1024, and one for errors of 0


def sort_per_class(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Return the mean over all classes, present or not. There is no void; public code removes it beforehand."""
    classes = logits.shape[-1]
    probabilities = tf.reshape(tf.nn.softmax(logits), [-1, classes])
    flat = tf.reshape(labels, [-1])
    terms = []
    for number in range(classes):
        truth = tf.cast(tf.equal(flat, number), tf.float32)
        falling, order = tf.math.top_k(tf.abs(truth - probabilities[:, number]), tf.size(flat))
        inside = tf.gather(truth, order)
        total = tf.reduce_sum(inside)
        jaccard = 1.0 - (total - tf.cumsum(inside)) / (total + tf.cumsum(1.0 - inside))
        steps = tf.concat([jaccard[:1], jaccard[1:] - jaccard[:-1]], axis=0)
        terms.append(tf.tensordot(falling, tf.stop_gradient(steps), 1))
    return tf.reduce_mean(tf.stack(terms))


def step(
    loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], labels: tf.Tensor, logits: tf.Tensor, xla: bool
) -> Callable:
    """Return a function that computes the gradient with respect to the logits and waits for it."""

    @tf.function(jit_compile=xla)
    def gradient(logits: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = loss(labels, logits)
        return tape.gradient(value, logits)

    return lambda: gradient(logits)[0, 0, 0, 0].numpy()


def counters(cells: tf.Tensor, weights: tf.Tensor) -> dict[str, Callable[[], tf.Tensor]]:
    """Return ways to sum weights (rows, P) into the bins given by cells (rows, P), by name."""
    rows = cells.shape[0]
    flat = tf.reshape(cells + BINS * tf.range(rows)[:, tf.newaxis], [-1])
    weight = tf.reshape(weights, [-1])
    size = rows * BINS

    def matmul() -> tf.Tensor:  # a bin is 32 * coarse + fine, so the count is a product of two one-hot matrices
        fine, coarse = (tf.one_hot(part, 33) for part in (cells % 32, cells // 32))
        return tf.einsum("rpc,rpf,rp->rcf", coarse, fine, weights)

    return {
        "bincount": lambda: tf.raw_ops.DenseBincount(input=cells, size=BINS, weights=weights, binary_output=False),
        "bincount flat": lambda: tf.raw_ops.DenseBincount(input=flat, size=size, weights=weight, binary_output=False),
        "segment_sum": lambda: tf.math.unsorted_segment_sum(weight, flat, size),
        "scatter_nd": lambda: tf.scatter_nd(flat[:, tf.newaxis], weight, [size]),
        "one-hot matmul": matmul,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.perf.lovasz", description="Lovász losses, side by side")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--classes", default="3,21,150")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--xla", action="store_true", help="compile all with XLA")
    chosen = parser.parse_args()
    print(f"{stack()}, XLA {chosen.xla}")
    rng = np.random.default_rng(0)
    for classes in map(int, chosen.classes.split(",")):
        side = -(-chosen.size // 32)
        blocks = rng.integers(0, classes, (1, side, side)).repeat(32, 1).repeat(32, 2)
        labels = tf.constant(blocks[:, : chosen.size, : chosen.size], tf.int32)
        logits = tf.constant(2 * rng.normal(size=(1, chosen.size, chosen.size, classes)), tf.float32)
        candidates = {
            "sort": sort_per_class,
            "exact": losses.get("lovasz_softmax"),
            "histogram": losses.get("lovasz_histogram"),
        }
        times = milliseconds(
            {name: step(loss, labels, logits, chosen.xla) for name, loss in candidates.items()}, chosen.rounds
        )
        cells = "  ".join(f"{name} {value:7.1f}" for name, value in times.items())
        ratios = "  ".join(f"sort/{name} {times['sort'] / times[name]:5.2f}" for name in ("exact", "histogram"))
        print(f"{chosen.size}x{chosen.size}x{classes:<4d} {cells}  {ratios}", flush=True)
    errors = tf.transpose(tf.nn.softmax(2 * tf.random.normal((chosen.size**2, 21))))
    ways = counters(tf.cast(errors * (BINS - 1), tf.int32), tf.ones_like(errors))
    runs = {name: partial(lambda run: run().numpy(), tf.function(way)) for name, way in ways.items()}
    print(f"{chosen.size}x{chosen.size}x21 counted in {BINS} bins")
    for name, value in milliseconds(runs, 3).items():
        print(f"  {name:15s} {value:7.1f}", flush=True)


if __name__ == "__main__":
    main()
