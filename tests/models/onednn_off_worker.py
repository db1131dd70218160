"""`python onednn_off_worker.py [BACKBONE ...]`: two training steps at each output stride, and a line per model.

The default is a backbone of each family. The test that starts this process turns oneDNN off, as TensorFlow does by
itself on processors without AVX-512.
"""

import sys

import numpy as np
import tensorflow as tf

import models
from models import BACKBONES

FAMILIES = (
    "resnet18", "resnet50", "resnet50_v2", "efficientnetlite_b0", "efficientnetv1_b0", "efficientnetv2_b0",
    "mobilenetv3_small", "densenet121", "csp_darknet_tiny", "vgg16", "xception", "mit_b0",
)  # fmt: skip
SMALL = {"aspp_channels": 8, "decoder_channels": 8, "low_level_channels": 8}
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
LABELS = np.random.default_rng(1).integers(0, 3, (2, 64, 64))


def steps(name: str, stride: int) -> list[float]:
    """Return the loss before each of two steps of plain gradient descent."""
    tf.keras.utils.set_random_seed(1)
    model = models.build(models.ModelSpec(backbone=name, output_stride=stride, **SMALL), 3)
    found = []
    for _ in range(2):
        with tf.GradientTape() as tape:
            logits = model(IMAGES, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, logits))
        for weight, gradient in zip(
            model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True
        ):
            weight.assign_sub(1e-3 * gradient)
        found.append(float(loss))
    return found


if __name__ == "__main__":
    for family in sys.argv[1:] or FAMILIES:
        for stride in sorted({8, 16} & set(BACKBONES[family].strides)):
            losses = steps(family, stride)
            print(family, stride, bool(np.isfinite(losses).all()), flush=True)
