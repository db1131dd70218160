#!/bin/sh
# Keras 2.15 (TensorFlow 2.15.1): on several workers, `fit` hands callbacks a loss per batch that is too large.
#
# Under MultiWorkerMirroredStrategy the metric `loss` is the same number on all workers, because its sums are reduced
# over them. `Model.reduce_per_replica` with its default "auto" adds the values of the replicas in this one strategy, as
# if each had a part. What `on_train_batch_end` gets is the loss times the number of workers; `on_epoch_end` and the
# History read the metric itself and are right.
#
# Seen: two workers on loopback, a model whose mean squared error is 4 at every step: on_train_batch_end gets 8,
# on_epoch_end 4. With `model.distribute_reduction_method = "first"` both get 4.
# Consequence: curves by step, and whatever stops a training by them, depend on the number of hosts. The project sets
# "first" for trials over several hosts (bench/trial/setup.py).
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/worker.py" <<'PYTHON'
import json
import os
import sys

number, ports, method = int(sys.argv[1]), sys.argv[2].split(","), sys.argv[3]
hosts = [f"127.0.0.1:{port}" for port in ports]
os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": hosts}, "task": {"type": "worker", "index": number}})

import tensorflow as tf

strategy = tf.distribute.MultiWorkerMirroredStrategy()
with strategy.scope():
    model = tf.keras.Sequential([tf.keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.build([None, 1])
    model.distribute_reduction_method = method
    model.compile(tf.keras.optimizers.SGD(0.0), "mse")  # a rate of 0: the loss stays what it is
data = tf.data.Dataset.from_tensor_slices((tf.ones([8, 1]), tf.fill([8, 1], 2.0))).batch(4)
seen = {}


class Listener(tf.keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        seen["batch"] = float(logs["loss"])

    def on_epoch_end(self, epoch, logs=None):
        seen["epoch"] = float(logs["loss"])


model.fit(data, verbose=0, callbacks=[Listener()])
if number == 0:
    print(json.dumps(seen), flush=True)
PYTHON
cat >"$folder/both.py" <<'PYTHON'
import json
import socket
import subprocess
import sys


def seen(method):
    """Return what the callbacks of the first of two workers get."""
    sockets = [socket.socket() for _ in range(2)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = ",".join(str(one.getsockname()[1]) for one in sockets)
    for one in sockets:
        one.close()
    workers = [
        subprocess.Popen([sys.executable, sys.argv[1], str(n), ports, method], stdout=subprocess.PIPE, text=True)
        for n in range(2)
    ]
    return json.loads([worker.communicate(timeout=600)[0] for worker in workers][0])


found = {method: seen(method) for method in ("auto", "first")}
for method, losses in found.items():
    print(f"{method}: {losses['batch']} in on_train_batch_end, {losses['epoch']} in on_epoch_end")
sys.exit(found != {"auto": {"batch": 8.0, "epoch": 4.0}, "first": {"batch": 4.0, "epoch": 4.0}})
PYTHON
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check "tensorflow-cpu==2.15.1"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/env/bin/python" "$folder/both.py" "$folder/worker.py" 2>"$folder/log" ||
    { status=$?; cat "$folder/log"; exit $status; }
