"""Training steps in float32 against mixed_bfloat16, side by side: `python -m bench.perf.precision`.

The rounds alternate, because the machine's speed drifts. The ratio is that of the medians. `bench/plan/precision.yaml`
is based on it.
"""

from __future__ import annotations

import argparse
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import losses
import models
from bench.perf.rounds import milliseconds

PRECISIONS = ("float32", "mixed_bfloat16")


def step(backbone: str, precision: str, crop: int, batch: int) -> Any:
    """Return a traced training step as a function that returns when it is done."""
    keras.mixed_precision.set_global_policy(precision)
    model = models.build(models.ModelSpec(backbone=backbone, output_stride=32), 8)
    model.compile(keras.optimizers.Adam(1e-3), losses.get("cross_entropy"), jit_compile=False)
    rng = np.random.default_rng(0)
    image = tf.constant(rng.integers(0, 256, (batch, crop, crop, 3)), tf.float32)
    label = tf.constant(rng.integers(0, 8, (batch, crop, crop)), tf.int32)

    def run() -> None:
        model.train_on_batch(image, label)

    run()
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--backbones", default="efficientnetlite_b0,resnet18,mobilenetv3_small")
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=12)
    chosen = parser.parse_args()
    print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}; {chosen.batch} x {chosen.crop} px, stride 32")
    for backbone in chosen.backbones.split(","):
        runs = {precision: step(backbone, precision, chosen.crop, chosen.batch) for precision in PRECISIONS}
        medians = milliseconds(runs, chosen.rounds, warm_up=0)
        cells = "  ".join(f"{precision} {medians[precision]:.0f} ms" for precision in PRECISIONS)
        print(
            f"{backbone:22} {cells}  float32/bfloat16 {medians['float32'] / medians['mixed_bfloat16']:.2f}", flush=True
        )


if __name__ == "__main__":
    main()
