"""The parts of one training step, such as that of a ResNet50 at 512 pixels: `python -m bench.perf.step`.

    python -m bench.perf.step [--backbone resnet50] [--size 512] [--batch 2] [--output-stride 16] [--rounds 7]

Functions that each do more than the one before are timed in rounds in which they take turns. The time of a part is the
median over the rounds of the difference between its function and the one before. Each is one `tf.function` on one batch
in memory: the backbone forward; the whole model forward; its loss; its gradients, for which the forward pass keeps what
the backward pass needs; the update of the weights by AdamW; the running confusion matrix.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Annotated

import keras
import numpy as np
import tensorflow as tf
import typer

import losses
import models
from bench.core import command, start
from bench.perf.ratios import stack
from bench.perf.rounds import times
from bench.trial import AdamW, RunningConfusion, make_variables
from models import BACKBONE, cost_of


def parts(model: keras.Model, batch: int, size: int, classes: int) -> dict[str, Callable[[], object]]:
    """Return by the name of each part a call that does this part and all before it."""
    rng = np.random.default_rng(0)
    image = tf.constant(rng.uniform(0, 255, (batch, size, size, 3)), tf.float32)
    label = tf.constant(rng.integers(0, classes, (batch, size, size)), tf.int32)
    loss, optimizer, metric = losses.get("cross_entropy"), AdamW(1e-4), RunningConfusion(classes)
    front, variables = model.get_layer(BACKBONE), model.trainable_variables
    make_variables(optimizer, variables)

    def backbone() -> tf.Tensor:
        return tf.add_n([tf.reduce_sum(level) for level in tf.nest.flatten(front(image, training=True))])

    def forward() -> tf.Tensor:
        return tf.reduce_sum(model(image, training=True))

    def with_loss() -> tf.Tensor:
        return tf.reduce_mean(loss.call(label, model(image, training=True)))

    def backward(update: bool, count: bool) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = model(image, training=True)
            value = tf.reduce_mean(loss.call(label, logits))
        gradients = tape.gradient(value, variables)
        if update:
            optimizer.apply_gradients(zip(gradients, variables, strict=True))
        if count:
            metric.update_state(label, logits)
        # A sum that depends on each gradient, because TensorFlow does not compute what no result depends on.
        return value if update else tf.add_n([tf.reduce_sum(gradient) for gradient in gradients])

    added: dict[str, Callable[[], tf.Tensor]] = {
        "backbone, forward": backbone,
        "decoder and head, forward": forward,
        "loss": with_loss,
        "backward": lambda: backward(False, False),
        "update of the weights": lambda: backward(True, False),
        "running confusion matrix": lambda: backward(True, True),
    }
    return {name: _waits(tf.function(call)) for name, call in added.items()}


def _waits(call: Callable[[], tf.Tensor]) -> Callable[[], object]:
    """Return a call that waits for its result."""
    return lambda: call().numpy()


@command
def main(
    backbone: Annotated[str, typer.Option()] = "resnet50",
    size: Annotated[int, typer.Option(help="Pixels.")] = 512,
    batch: Annotated[int, typer.Option()] = 2,
    classes: Annotated[int, typer.Option()] = 21,
    output_stride: Annotated[int, typer.Option(help="8, 16 or 32.")] = 16,
    rounds: Annotated[int, typer.Option(min=3)] = 7,
) -> int:
    """Print where the time of one training step goes."""
    model = models.build(models.ModelSpec(backbone=backbone, output_stride=output_stride), classes, seed=0)
    found = times(parts(model, batch, size, classes), rounds, warm_up=2)
    whole, before = statistics.median(list(found.values())[-1]), [0.0] * rounds
    print(f"{backbone}, {batch} x {size} px, stride {output_stride}, {classes} classes; {stack()}")
    print("| part of a step | ms | share |\n|---|--:|--:|")
    for name, seconds in found.items():
        part = statistics.median(more - less for more, less in zip(seconds, before, strict=True))
        print(f"| {name} | {1e3 * part:.0f} | {part / whole:.0%} |")
        before = seconds
    flops = 3 * cost_of(model, (size, size)).flops * batch
    print(f"\nA step: {1e3 * whole:.0f} ms, {batch / whole:.2f} images/s, {flops / whole / 1e9:.0f} GFLOP/s.")
    return 0


if __name__ == "__main__":
    start(main)
