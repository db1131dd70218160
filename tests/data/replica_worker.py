"""Run by test_pipeline.py in a process of its own: one split scored on one and on two logical CPUs, in several batches.

The model looks at the whole picture. Prints one JSON object: "replicas x batch" -> confusion matrix, boundary matrix,
loss and number of images; of "alone" the sums over splits of one picture each.
"""

import json
import sys

import numpy as np
import tensorflow as tf

import losses
from bench.core import IGNORE_INDEX
from bench.data import pipeline
from bench.data.dataset import Split
from bench.spec import DataSpec
from bench.trial.evaluator import Evaluator, Scores

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
STRATEGIES = {
    1: tf.distribute.OneDeviceStrategy("CPU:0"),
    2: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()),
}
CLASSES = 4
RNG = np.random.default_rng(5)
SHAPES = [(30, 30), (20, 30), (28, 17), (30, 30), (9, 25), (28, 17), (20, 30)]  # alone, each is traced
PAIRS = [
    (
        RNG.integers(0, 256, (*shape, 3)).astype(np.uint8),
        np.where(RNG.random(shape) < 0.2, IGNORE_INDEX, RNG.integers(0, CLASSES, shape)).astype(np.uint8),
    )
    for shape in SHAPES
]
PAIRS[2][1][:] = IGNORE_INDEX  # an image without a label counts as an image, and nowhere else
SPLIT = Split(tuple(map(str, range(len(PAIRS)))), lambda key: PAIRS[int(key)])
KERNEL = RNG.normal(size=(3, 3, 3, CLASSES)).astype(np.float32)


def model(images: tf.Tensor, training: bool) -> tf.Tensor:
    values = tf.nn.conv2d(images / 255, KERNEL, 1, "SAME")
    return values - tf.reduce_mean(values, (1, 2), keepdims=True)


LOSS = losses.get("cross_entropy", average="image")
EVALUATORS = {replicas: Evaluator(model, LOSS, CLASSES, strategy) for replicas, strategy in STRATEGIES.items()}


def scored(split: Split, replicas: int, batch: int, multiple: int | None) -> Scores:
    dataset = pipeline.evaluation(split, DataSpec(size=32), batch, multiple=multiple)
    return EVALUATORS[replicas](dataset)


report = {}
for replicas, batches in ((1, (1, 3)), (2, (2, 6))):
    for batch in batches:
        scores = scored(SPLIT, replicas, batch, replicas if batch != 6 else None)
        report[f"{replicas} x {batch}"] = {
            "confusion": scores.confusion.tolist(),
            "boundary": scores.boundary.tolist(),
            "images": scores.images,
            "mean_image_iou": scores.as_dict()["mean_image_iou"],
            "loss": scores.loss,
        }
alone = [scored(Split((key,), SPLIT.reader), 1, 1, None) for key in SPLIT.keys]
report["alone"] = {
    "confusion": sum(one.confusion for one in alone).tolist(),
    "boundary": sum(one.boundary for one in alone).tolist(),
    "images": len(alone),
    "mean_image_iou": float(np.nanmean([one.image_mious[0] for one in alone])),
    "loss": float(np.mean([one.loss for one in alone if one.confusion.any()])),
}
report["labels"] = np.bincount(np.concatenate([label.ravel() for _, label in PAIRS]), minlength=256)[:CLASSES].tolist()
json.dump(report, sys.stdout)
