"""The devices of a trial: its strategy, and batches split over the replicas."""

from __future__ import annotations

import tensorflow as tf

from bench.core import UsageError
from bench.spec import Placement
from results import counted


def visible_gpus() -> int:
    """Count the GPUs that TensorFlow sees in this process."""
    return len(tf.config.list_physical_devices("GPU"))


def own_gpus(placement: Placement) -> list[tf.config.PhysicalDevice]:
    """Return the GPUs of this host that the trial was given.

    Raises:
        UsageError: TensorFlow does not see as many.
    """
    gpus = tf.config.list_physical_devices("GPU") if placement.gpus else []
    if len(gpus) != placement.gpus:
        raise UsageError(
            f"the trial was given {counted(placement.gpus, 'GPU')} but TensorFlow sees {len(gpus)}; "
            "install its CUDA libraries (`make venv CUDA=1`) or run with --gpus-per-trial 0"
        )
    return gpus


def make_strategy(placement: Placement) -> tf.distribute.Strategy:
    """Return a strategy over exactly the devices that the trial was given.

    It is a MirroredStrategy, except for one replica on the CPU, which has nothing to mirror: TensorFlow's default makes
    its variables and traces its steps sooner, with the same operations. Several hosts, which TF_CONFIG names, have a
    MultiWorkerMirroredStrategy; they reduce by NCCL between GPUs, and in a ring between processors.

    Raises:
        UsageError: TensorFlow does not see them.
    """
    if placement.gpus:
        for gpu in own_gpus(placement):
            tf.config.experimental.set_memory_growth(gpu, True)
    else:
        tf.config.set_visible_devices([], "GPU")
    if placement.hosts > 1:
        strategy: tf.distribute.Strategy = _over_hosts(placement)
    elif placement.gpus:
        strategy = tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(placement.gpus)])
    elif placement.cpu_replicas > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        logical = [tf.config.LogicalDeviceConfiguration()] * placement.cpu_replicas
        tf.config.set_logical_device_configuration(cpu, logical)
        strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(placement.cpu_replicas)])
    else:
        strategy = tf.distribute.get_strategy()
    assert strategy.num_replicas_in_sync == placement.replicas, (strategy.num_replicas_in_sync, placement)
    return strategy


def _over_hosts(placement: Placement) -> tf.distribute.Strategy:
    """Return the strategy of several hosts, once all of them have begun."""
    ways = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(implementation=ways.NCCL if placement.gpus else ways.RING)
    strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    # Else every batch begins with a question to all hosts whether they still have one, and loses its static shape.
    strategy.extended.experimental_enable_get_next_as_optional = False
    return strategy


def distribute(
    dataset: tf.data.Dataset, strategy: tf.distribute.Strategy
) -> tf.distribute.DistributedDataset | tf.data.Dataset:
    """Split each batch of a data set over the replicas; on several hosts, each batch of this host's share.

    GPUs prefetch their share. One replica on a CPU has nothing to split and no device to prefetch to, so it reads the
    data set itself. A prefetching iterator would start a tuning thread that no option turns off. In a third of the
    runs the end of a training waited for that thread, 6 s of 40 s (seen in TensorFlow 2.15).
    """
    over_hosts = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    if not (over_hosts or isinstance(strategy, tf.distribute.MirroredStrategy)):
        return dataset
    own = strategy.extended.worker_devices
    on_gpu = "GPU" in own[0].upper()
    options = tf.distribute.InputOptions(experimental_fetch_to_device=on_gpu)
    if over_hosts:
        return strategy.distribute_datasets_from_function(lambda _: per_replica(dataset, len(own)), options)
    return strategy.experimental_distribute_dataset(dataset, options)


def per_replica(dataset: tf.data.Dataset, replicas: int) -> tf.data.Dataset:
    """Split each batch of a data set into equal parts that follow one another, one for each replica of this host."""
    if replicas == 1:
        return dataset

    def parts(values: tf.Tensor) -> tf.Tensor:
        size = values.shape[0] // replicas if values.shape[0] else -1
        return tf.reshape(values, tf.concat([[replicas, size], tf.shape(values)[1:]], 0))

    def shaped(values: tf.Tensor) -> tf.Tensor:
        size = values.shape[0] // replicas if values.shape[0] else None
        return tf.ensure_shape(parts(values), [replicas, size, *values.shape[1:]])

    return dataset.map(
        tf.autograph.experimental.do_not_convert(
            lambda *batch: tf.nest.map_structure(shaped, batch if len(batch) > 1 else batch[0])
        )
    ).unbatch()
