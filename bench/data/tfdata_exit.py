"""Python functions inside tf.data, without the hang at the end of the process.

Once the interpreter has begun to shut down, it ends every foreign thread that asks for its lock, in the middle of what
that thread was doing. The call of a tf.data thread that is ended so is never reported as done, and the destructor of
the iterator waits for it: the process stays for ever (seen on TensorFlow 2.15 and 2.21). No wait of ours could tell
that no thread is on its way into Python: a thread that asks for the lock has not entered a function yet. So before the
shutdown the iterators themselves are emptied, and TensorFlow joins the threads of each: what it starts it counts.
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
    """`function`, refused once the process ends, so that what is in the making then is soon done."""
    _used.set()

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        if _ending.is_set():
            raise StopIteration("the process is ending")  # the one exception that TensorFlow does not log
        return function(*args)

    return call


@atexit.register
def _empty_iterators() -> None:
    """Give every iterator of the process nothing more to do; returns when the threads of all have ended."""
    _ending.set()
    if not _used.is_set():
        return  # TensorFlow may not be there, or half imported when Ctrl-C came
    for iterator in _iterators():
        try:
            _empty(iterator)
        except Exception as error:  # the others have to be emptied all the same
            print(f"a {type(iterator).__name__} could not be emptied: {error}", file=sys.stderr)


def _iterators() -> list[Any]:
    """All that are alive, whoever made them. TensorFlow keeps no list of them, but an object refers to its class."""
    import tensorflow as tf
    from tensorflow.python.data.ops.multi_device_iterator_ops import OwnedMultiDeviceIterator

    several, single = _instances(OwnedMultiDeviceIterator), _instances(tf.data.Iterator)
    # One a device, which only waits for what its source gives it; its data set may lie on a GPU.
    behind = {id(one) for source in several for one in source._device_iterators}
    return [*several, *(one for one in single if id(one) not in behind)]


def _instances(kind: type) -> list[Any]:
    """Objects of a class and of those below it."""
    kinds, todo = set[type](), [kind]
    while todo:
        kinds.add(one := todo.pop())
        todo += one.__subclasses__()
    # Not `gc.get_objects`: it would hold on to tuples that other threads are still building, which breaks these.
    return [found for found in gc.get_referrers(*kinds) if type(found) in kinds]


def _empty(iterator: Any) -> None:
    """Start it again on a data set without elements, which ends what it had begun and waits for that end."""
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
