"""Synchronised batch normalisation: two replicas learn what one device learns that sees the whole batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import models
from models.encoder.output_stride import primitives
from models.layers.normalisation import BatchNormalization

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def report() -> dict[str, dict[str, float]]:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""}
    worker = [sys.executable, str(Path(__file__).with_name("sync_worker.py"))]
    done = subprocess.run(worker, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_two_replicas_compute_what_one_device_does(report: dict[str, dict[str, float]]) -> None:
    assert max(report["synchronised"].values()) < 2e-5, report["synchronised"]


def test_apart_they_would_not(report: dict[str, dict[str, float]]) -> None:
    assert report["apart"]["values"] > 0.1
    assert report["apart"]["mean"] < 1e-5  # equal shares: the mean of means is the mean
    assert report["apart"]["variance"] > 0.01


def test_the_whole_model_is_synchronised() -> None:
    small = {"aspp_channels": 8, "decoder_channels": 8, "low_level_channels": 8, "auxiliary_weight": 0.4}
    for wanted in (True, False):
        model, _ = models.build_training(models.ModelSpec(backbone="resnet18", sync_batch_norm=wanted, **small), 3)
        found = [layer for layer in primitives(model) if isinstance(layer, keras.layers.BatchNormalization)]
        assert len(found) == 26  # 20 in the backbone, 2 in the ASPP, 3 in the decoder, 1 in the auxiliary head
        assert {layer.synchronized for layer in found} == {wanted}


def test_with_its_running_statistics_a_synchronised_one_is_any_other() -> None:
    """And by one operation, as the other."""
    image = np.random.default_rng(5).normal(2, 3, (4, 8, 8, 2)).astype("float32")
    found = []
    for synchronized in (True, False):
        layer = BatchNormalization(synchronized=synchronized)
        layer.build((None, 8, 8, 2))
        layer.set_weights([np.array(row, "float32") for row in ([1, 2], [0.1, 0.2], [1, -1], [4, 9])])
        call = tf.function(lambda image, layer=layer: layer(image, training=False), autograph=False)
        kinds = [op.type for op in call.get_concrete_function(tf.constant(image)).graph.get_operations()]
        assert kinds.count("FusedBatchNormV3") == 1
        found.append(np.asarray(call(image)))
    np.testing.assert_array_equal(*found)


def test_one_replica_needs_no_other() -> None:
    """Without a strategy, and with a mean that would cancel E[x^2] - E[x]^2 in float32."""
    image = np.random.default_rng(5).normal(3000, 1, (4, 8, 8, 2)).astype("float32")
    layer = BatchNormalization(momentum=0.0, synchronized=True)
    layer.build((None, 8, 8, 2))
    found = np.asarray(layer(image, training=True))
    exact = image.astype("float64")
    mean, variance = exact.mean((0, 1, 2)), exact.var((0, 1, 2))
    np.testing.assert_allclose(found, (exact - mean) / np.sqrt(variance + layer.epsilon), atol=1e-5)
    *_, moving_mean, moving_variance = layer.get_weights()
    np.testing.assert_allclose(moving_mean, mean, rtol=1e-7)
    np.testing.assert_allclose(moving_variance, variance * 256 / 255, rtol=1e-5)
