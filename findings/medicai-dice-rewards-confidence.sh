#!/bin/sh
# medicai 0.0.4 (Keras 3.15.1): the Dice metrics of probabilities are not of labels: a perfect prediction gets 0.80.
#
# The documentation of `CategoricalDiceMetric` and `SparseDiceMetric` says that predictions are turned into labels by
# argmax, that of `BinaryDiceMetric` that a threshold is applied. This happens with from_logits=True only. With
# from_logits=False, for models that end in a softmax or sigmoid, the probabilities themselves are summed.
#
# Seen: two pictures, three classes, the right class of each pixel has probability 0.8, so every label is right and
# Dice is 1. From logits: 1.0; from the same probabilities: 0.80; binary: 1.0 and 0.72. With the right class at 0.98:
# 0.98. A second model that is wrong in one pixel of ten, with probability 1 everywhere: 0.90 both ways.
# Consequence: the metric ranks the second model, which is wrong in a tenth of the pixels, before the first one, which
# is right everywhere; label smoothing and soft losses look worse than they are. In the project scores are counts of
# labels.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "tensorflow-cpu==2.21.0" "keras==3.15.1" "medicai==0.0.4"
cat >"$folder/dice.py" <<'PYTHON'
import sys

import numpy as np
from medicai.metrics import BinaryDiceMetric, CategoricalDiceMetric

random = np.random.default_rng(0)
truth = random.integers(0, 3, (2, 20, 20))
one_hot = np.eye(3, dtype=np.float32)[truth]


def scores(metric, labels, probabilities, logits):
    values = []
    for from_logits, given in ((True, logits), (False, probabilities)):
        measure = metric(from_logits=from_logits, num_classes=labels.shape[-1])
        measure.update_state(labels, given)
        values.append(round(float(measure.result()), 2))
    return values


def categorical(labels, certainty):
    """Return Dice by logits and by probabilities of a model that gives these labels with this probability."""
    rest = np.float32((1 - certainty) / 2)
    probabilities = np.where(np.eye(3)[labels] == 1, np.float32(certainty), rest).astype(np.float32)
    return scores(CategoricalDiceMetric, one_hot, probabilities, np.log(probabilities + 1e-9))


wrong = truth.copy()
wrong[:, ::5, ::2] = (wrong[:, ::5, ::2] + 1) % 3
assert (wrong != truth).mean() == 0.1
binary = (truth == 1).astype(np.float32)[..., None]
half = np.where(binary == 1, 0.8, 0.2).astype(np.float32)
seen = {
    "all right, at 0.8": categorical(truth, 0.8),
    "all right, at 0.98": categorical(truth, 0.98),
    "a tenth wrong, at 1": categorical(wrong, 1.0),
    "binary, all right, at 0.8": scores(BinaryDiceMetric, binary, half, np.log(half / (1 - half))),
}
for which, (by_logits, by_probabilities) in seen.items():
    print(f"{which}: {by_logits} from logits, {by_probabilities} from probabilities")
first, sure, second, two = seen.values()
sys.exit(not (first == [1.0, 0.8] and sure == [1.0, 0.98] and second == [0.9, 0.9] and two[0] == 1.0 and two[1] < 0.9))
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 "$folder/env/bin/python" "$folder/dice.py" 2>"$folder/log" ||
    { status=$?; cat "$folder/log"; exit $status; }
