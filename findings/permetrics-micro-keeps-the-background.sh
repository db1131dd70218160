#!/bin/sh
# permetrics 2.1.0: with average="micro" the labels that are asked for are forgotten, so the background stays in; and
# a mask with rows and columns is taken for one-hot rows, of which only the first pixel of each row counts.
#
# `labels` is the "list of labels to include in the calculation", and "macro", "weighted" and None do as it says.
# "micro" counts all classes, whatever it is told; in scikit-learn, whose arguments these are, it counts the labels. An
# array of two dimensions is always read as scores: argmax of each row. For a mask of 0 and 1 that is the column of its
# first pixel, and column numbers become the classes. Three dimensions are an error, two are not. No message.
#
# Seen: 100 000 pixels, 3 % of class 1 and 2 % of class 2, 2700 of 5000 missed. IoU "micro" of labels [1, 2]:
# 0.919, the same as of all labels, instead of 0.354; F1 0.958 instead of 0.523; "macro" 0.348, "weighted" 0.353 as they
# should be. A mask of 20 x 20 pixels, of which the first column alone was found: accuracy 1, IoU 1 instead of 0.05;
# both masks flattened: 0.05.
# Consequence: a score "without background" is that of the background, and a model that found nothing here would get
# 0.9. Masks are flattened before, and micro averages are taken from counts of the classes.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "permetrics==2.1.0" "numpy==2.2.6" "scipy==1.16.3"
"$folder/env/bin/python" - <<'PYTHON'
import sys
import warnings

import numpy as np
from permetrics import ClassificationMetric

warnings.simplefilter("error")  # nothing is announced
truth = np.zeros(100_000, int)
truth[:3000], truth[3000:5000] = 1, 2
found = truth.copy()
found[:1500] = found[3000:4200] = 0  # missed
found[60_000:61_000], found[70_000:70_500] = 1, 2  # found where there is nothing
metric = ClassificationMetric(truth, found)
right = int(((truth == found) & (truth > 0)).sum())
wrong = int(((truth != found) & (truth > 0)).sum()) + int(((truth != found) & (found > 0)).sum())
by_hand = round(right / (right + wrong), 3), round(2 * right / (2 * right + wrong), 3)
seen = {}
for average in ("micro", "macro", "weighted"):
    for labels in (None, [1, 2]):
        scores = metric.jaccard_similarity_index, metric.f1_score
        seen[average, len(labels or "all")] = tuple(round(score(labels=labels, average=average), 3) for score in scores)
        print(average, "labels", labels, "IoU and F1:", seen[average, len(labels or "all")])
print("micro of the labels by hand:", by_hand)

mask, column = np.zeros((2, 64, 64), int)
mask[20:40, 20:40], column[20:40, 20] = 1, 1
both = []
for change in (np.copy, np.ravel):
    metric = ClassificationMetric(change(mask), change(column))
    classes = metric.jaccard_similarity_index(average=None)
    both.append((round(metric.accuracy_score(), 3), {label: round(iou, 3) for label, iou in classes.items()}))
print("mask of two dimensions:", both[0], "flattened:", both[1])
as_seen = [
    seen["micro", 2] == seen["micro", 3] == (0.919, 0.958),
    by_hand == (0.354, 0.523),
    seen["macro", 2] == (0.348, 0.515) and seen["weighted", 2] == (0.353, 0.521),
    both[0] == (1.0, {0: 1.0, 20: 1.0}),
    both[1][1][1] == 0.05,
]
sys.exit(not all(as_seen))
PYTHON
