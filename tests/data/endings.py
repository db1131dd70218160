"""Processes that end while tf.data still makes batches for them, forked from one that has imported TensorFlow.

`python endings.py HOW,HOW MANY AT_ONCE SECONDS`: by turns in each of these ways. Prints how many ended with which exit
status, None for those that stayed, as a JSON object of counts by way and status.
"""

import collections
import json
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
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background has it ignored
        os.kill(os.getpid(), signal.SIGINT)
    sys.exit(3)


def main(ways, many, at_once, seconds):
    alive, ends, begun = {}, collections.Counter(), 0
    while alive or begun < many:
        while begun < many and len(alive) < at_once:
            how = ways[begun % len(ways)]
            begun += 1
            child = os.fork()
            if not child:
                return leave(how)
            alive[child] = how, time.monotonic()
        for child, (how, began) in list(alive.items()):
            ended, status = os.waitpid(child, os.WNOHANG)
            if not ended and time.monotonic() > began + seconds:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                ended, status = child, None
            if ended:
                del alive[child]
                ends[f"{how} {status if status is None else os.waitstatus_to_exitcode(status)}"] += 1
        time.sleep(0.05)
    print(json.dumps(ends))
    return None


if __name__ == "__main__":
    main(sys.argv[1].split(","), *map(int, sys.argv[2:]))
