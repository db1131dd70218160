"""Processes that end while tf.data still makes batches for them, forked from one that has imported TensorFlow.

`python endings.py HOW MANY AT_ONCE SECONDS`: prints how each ended, an exit status or None for one that stayed.
"""

import os
import signal
import sys
import time

import numpy as np
import tensorflow as tf

from bench.data import pipeline
from bench.data.dataset import Split
from bench.spec import DataSpec


def leave(how):
    """End this process with the pipeline running: `batches` is a global of this module until the interpreter ends."""
    global batches
    split = Split(("a",), lambda key: (np.zeros((160, 160, 3), np.uint8), np.zeros((160, 160), np.uint8)))
    made = pipeline.train(pipeline.Crops(split, DataSpec(), 0), 64, 10**6)
    if how == "fit":
        model = tf.keras.Sequential([tf.keras.layers.Conv2D(1, 1)])
        model.compile("sgd", "mse")
        as_floats = made.map(lambda image, label: (tf.cast(image, tf.float32), tf.cast(label, tf.float32)[..., None]))
        stop = tf.keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: batch < 2 or sys.exit(3))
        model.fit(as_floats, steps_per_epoch=10, verbose=0, callbacks=[stop])
    batches = iter(made)
    for _ in range(3):
        next(batches)
    if how == "raise":
        raise RuntimeError("with the pipeline running")
    if how == "interrupt":
        os.kill(os.getpid(), signal.SIGINT)
    sys.exit(3)


def main(how, many, at_once, seconds):
    alive, ends, left = {}, [], many
    while alive or left:
        while left and len(alive) < at_once:
            left -= 1
            child = os.fork()
            if not child:
                return leave(how)
            alive[child] = time.monotonic()
        for child, began in list(alive.items()):
            ended, status = os.waitpid(child, os.WNOHANG)
            if not ended and time.monotonic() > began + seconds:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                ended, status = child, None
            if ended:
                del alive[child]
                ends.append(status if status is None else os.waitstatus_to_exitcode(status))
        time.sleep(0.05)
    print(*ends)
    return None


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
