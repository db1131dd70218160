"""`bench.trial` of a software with two faults that are known: `python spoiled_trial.py SLEEP SHARE ARGUMENTS`.

Every training step takes SLEEP seconds more, and a SHARE of the pixels of every scored image are called class 0.
"""

import sys
import time

from bench.core import start
from bench.trial import evaluator, monitor
from bench.trial.__main__ import main

sleep, share = float(sys.argv.pop(1)), float(sys.argv.pop(1))


def slowed(self, batch, logs=None, finish=monitor.TrainingMonitor.on_train_batch_end):
    time.sleep(sleep)
    finish(self, batch, logs)


def blinded(logits, image_size, label_size, predict=evaluator.label_map):
    import tensorflow as tf

    found = predict(logits, image_size, label_size)
    return tf.where(tf.random.stateless_uniform(tf.shape(found), (1, 2)) < share, tf.zeros_like(found), found)


monitor.TrainingMonitor.on_train_batch_end = slowed
evaluator.label_map = blinded
start(main)
