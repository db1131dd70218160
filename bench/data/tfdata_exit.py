"""Run Python functions inside tf.data without a hang at the end of the process.

Once the interpreter shuts down, it ends every foreign thread that asks for the GIL, in the middle of its work. If this
hits a tf.data thread, its call is never reported as done. The destructor of the iterator waits for that call, so the
process never ends (seen on TensorFlow 2.15 and 2.21). Waiting for open calls in Python would not help: a thread that
asks for the GIL has not entered the function yet. So all iterators are emptied before the shutdown. TensorFlow then
joins the threads of each, since it counts those that it starts.
"""

from __future__ import annotations

import atexit
import functools
import gc
import sys
import threading
from collections.abc import Callable
from typing import Any

_used, _ending = threading.Event(), threading.Event()


def quiet_at_exit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `function` so that it raises StopIteration once the process ends, and pending batches finish quickly."""
    _used.set()

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        if _ending.is_set():
            raise StopIteration("the process is ending")  # the one exception that TensorFlow does not log
        return function(*args)

    return call


@atexit.register
def _empty_iterators() -> None:
    """Empty every iterator of the process and return when all their threads have ended."""
    _ending.set()
    if not _used.is_set():
        return  # TensorFlow may be missing, or half imported when Ctrl-C came
    for iterator in _iterators():
        try:
            _empty(iterator)
        except Exception as error:  # the other iterators still have to be emptied
            print(f"a {type(iterator).__name__} could not be emptied: {error}", file=sys.stderr)


def _iterators() -> list[Any]:
    """Return all live iterators of the process. TensorFlow keeps no list, but every object refers to its class."""
    import tensorflow as tf
    from tensorflow.python.data.ops.multi_device_iterator_ops import OwnedMultiDeviceIterator

    several, single = _instances(OwnedMultiDeviceIterator), _instances(tf.data.Iterator)
    # One iterator per device, which only waits for its source. Its data set may be on a GPU.
    behind = {id(one) for source in several for one in source._device_iterators}
    return [*several, *(one for one in single if id(one) not in behind)]


def _instances(kind: type) -> list[Any]:
    """Return all objects of a class and of its subclasses."""
    kinds, todo = set[type](), [kind]
    while todo:
        kinds.add(one := todo.pop())
        todo += one.__subclasses__()
    # Not `gc.get_objects`: it would keep references to tuples that other threads are still building, which breaks them.
    return [found for found in gc.get_referrers(*kinds) if type(found) in kinds]


def _empty(iterator: Any) -> None:
    """Restart an iterator on an empty data set. This ends the work it had begun and waits for the end."""
    import tensorflow as tf

    several = hasattr(iterator, "_multi_device_iterator_resource")
    nothing = _without_elements(iterator.element_spec) if several else iterator._dataset.take(0)
    if several:
        with tf.device(iterator._source_device):
            tf.raw_ops.MultiDeviceIteratorInit(
                dataset=nothing._variant_tensor,
                multi_device_iterator=iterator._multi_device_iterator_resource,
                max_buffer_size=1,
            )
    else:
        tf.raw_ops.MakeIterator(dataset=nothing._variant_tensor, iterator=iterator._iterator_resource)


def _without_elements(spec: Any) -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(
        tf.nest.map_structure(lambda one: tf.zeros([0, *(size or 0 for size in one.shape)], one.dtype), spec)
    )
