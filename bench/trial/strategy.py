"""The devices of a trial: its MirroredStrategy, and batches split over the replicas."""

from __future__ import annotations

import tensorflow as tf

from bench.core import UsageError
from bench.spec import Placement
from results import counted


def visible_gpus() -> int:
    """Count the GPUs that TensorFlow sees in this process."""
    return len(tf.config.list_physical_devices("GPU"))


def make_strategy(placement: Placement) -> tf.distribute.Strategy:
    """Return a MirroredStrategy over exactly the devices that the trial was given.

    Raises:
        UsageError: TensorFlow does not see them.
    """
    if placement.gpus:
        gpus = tf.config.list_physical_devices("GPU")
        if len(gpus) != placement.gpus:
            raise UsageError(
                f"the trial was given {counted(placement.gpus, 'GPU')} but TensorFlow sees {len(gpus)}; "
                "install its CUDA libraries (`make venv CUDA=1`) or run with --gpus-per-trial 0"
            )
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
        strategy = tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(len(gpus))])
    else:
        tf.config.set_visible_devices([], "GPU")
        cpu = tf.config.list_physical_devices("CPU")[0]
        if placement.cpu_replicas > 1:
            logical = [tf.config.LogicalDeviceConfiguration()] * placement.cpu_replicas
            tf.config.set_logical_device_configuration(cpu, logical)
        strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(placement.cpu_replicas)])
    assert strategy.num_replicas_in_sync == placement.replicas, (strategy.num_replicas_in_sync, placement)
    return strategy


def distribute(dataset: tf.data.Dataset, strategy: tf.distribute.Strategy) -> tf.distribute.DistributedDataset:
    """Split each batch of a data set over the replicas.

    GPUs prefetch their share. One replica on a CPU has nothing to split and no device to prefetch to, so it reads the
    data set directly. The prefetching iterator would start a tuning thread that no option turns off. In a third of the
    runs the end of a training waited for that thread, 6 s of 40 s (seen in TensorFlow 2.15).
    """
    on_gpu = "GPU" in strategy.extended.worker_devices[0].upper()
    one = strategy.num_replicas_in_sync == 1 and isinstance(strategy, tf.distribute.MirroredStrategy)
    if on_gpu or not one:
        options = tf.distribute.InputOptions(experimental_fetch_to_device=on_gpu)
        return strategy.experimental_distribute_dataset(dataset, options)
    options = tf.distribute.InputOptions(
        experimental_fetch_to_device=False,
        experimental_replication_mode=tf.distribute.InputReplicationMode.PER_REPLICA,
    )
    return strategy.distribute_datasets_from_function(lambda _: dataset, options)
