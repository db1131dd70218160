"""The devices of a trial: its strategy, and batches split over the replicas."""

from __future__ import annotations

import tensorflow as tf

from bench.core import UsageError
from bench.spec import Placement
from results import counted


def visible_gpus() -> int:
    """Count the GPUs that TensorFlow sees in this process."""
    return len(tf.config.list_physical_devices("GPU"))


def make_strategy(placement: Placement) -> tf.distribute.Strategy:
    """Return a strategy over exactly the devices that the trial was given.

    It is a MirroredStrategy, except for one replica on the CPU, which has nothing to mirror: TensorFlow's default makes
    its variables and traces its steps sooner, with the same operations.

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
        if placement.cpu_replicas > 1:
            cpu = tf.config.list_physical_devices("CPU")[0]
            logical = [tf.config.LogicalDeviceConfiguration()] * placement.cpu_replicas
            tf.config.set_logical_device_configuration(cpu, logical)
            strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(placement.cpu_replicas)])
        else:
            strategy = tf.distribute.get_strategy()
    assert strategy.num_replicas_in_sync == placement.replicas, (strategy.num_replicas_in_sync, placement)
    return strategy


def distribute(
    dataset: tf.data.Dataset, strategy: tf.distribute.Strategy
) -> tf.distribute.DistributedDataset | tf.data.Dataset:
    """Split each batch of a data set over the replicas.

    GPUs prefetch their share. One replica on a CPU has nothing to split and no device to prefetch to, so it reads the
    data set itself. A prefetching iterator would start a tuning thread that no option turns off. In a third of the
    runs the end of a training waited for that thread, 6 s of 40 s (seen in TensorFlow 2.15).
    """
    if not isinstance(strategy, tf.distribute.MirroredStrategy):
        return dataset
    on_gpu = "GPU" in strategy.extended.worker_devices[0].upper()
    options = tf.distribute.InputOptions(experimental_fetch_to_device=on_gpu)
    return strategy.experimental_distribute_dataset(dataset, options)
