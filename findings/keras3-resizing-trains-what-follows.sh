#!/bin/sh
# Keras 3.15.1: in a model that is called, `Resizing` switches every layer after it to training.
#
# `Resizing.call` has the argument training=True, as all layers for pictures have it. Keras takes the default of the
# first layer that has one for the whole call, unless the caller gives `training`. So `model(x)` of a model that
# resizes a map between its layers, as decoders do, normalises what follows by the statistics of the batch and updates
# the moving ones, and its dropout drops. `predict`, `evaluate` and `model(x, training=False)` do not.
#
# Seen: batch normalisation after `Resizing` on values 5 to 7 with moving statistics 0 and 1: `predict` gives them back,
# mean 6.0; called, the same model gives mean 0.0, and its moving mean has become 0.06. With `UpSampling2D` in its
# place, or with the normalisation before it, the call gives 6.0 and changes nothing.
# Consequence: a loop of one's own, a tf.function or an exported model scores another model than `fit` validated, it
# depends on what else is in the batch, and each call changes the weights. KerasHub 0.32.0 builds DeepLabV3 and SegFormer
# this way. Decoders resize by an operation, and models are called with training=False.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check "tensorflow-cpu==2.21.0" "keras==3.15.1"
cat >"$folder/call.py" <<'PYTHON'
import sys

import keras
import numpy as np

values = np.linspace(5, 7, 2 * 4 * 4).astype(np.float32).reshape(2, 4, 4, 1)


def normalisation():
    return keras.layers.BatchNormalization(epsilon=0.0)


models = {
    "resizing, normalisation": [keras.layers.Resizing(8, 8), normalisation()],
    "upsampling, normalisation": [keras.layers.UpSampling2D(2, interpolation="bilinear"), normalisation()],
    "normalisation, resizing": [normalisation(), keras.layers.Resizing(8, 8)],
}
seen = {}
for name, layers in models.items():
    image = output = keras.Input((4, 4, 1))
    for layer in layers:
        output = layer(output)
    model = keras.Model(image, output)
    (batch_norm,) = (layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization))
    means = [model.predict(values, verbose=0), model(values, training=False)]
    means = [round(float(np.mean(np.asarray(one))), 2) for one in means]
    before = float(np.asarray(batch_norm.moving_mean)[0])
    means.append(round(float(np.mean(np.asarray(model(values)))), 2) + 0.0)
    after = round(float(np.asarray(batch_norm.moving_mean)[0]), 2)
    assert before == 0.0
    seen[name] = (*means, after)
    print(f"{name}: mean {means[0]} by predict, {means[1]} with training=False, {means[2]} called; moving mean {after}")
expected = {
    "resizing, normalisation": (6.0, 6.0, 0.0, 0.06),
    "upsampling, normalisation": (6.0, 6.0, 6.0, 0.0),
    "normalisation, resizing": (6.0, 6.0, 6.0, 0.0),
}
sys.exit(seen != expected)
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 "$folder/env/bin/python" "$folder/call.py" 2>"$folder/log" ||
    { status=$?; cat "$folder/log"; exit $status; }
