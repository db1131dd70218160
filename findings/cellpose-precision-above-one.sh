#!/bin/sh
# Cellpose 4.2.1.1: where cells leave no background in the truth, the average precision of a found tissue exceeds 1.
#
# `average_precision` counts the cells of a label image as the number of its values minus one, for the background. In a
# dense tissue, a plant, an electron micrograph, or a small crop of any picture, there may be no background, and then
# one cell too few is counted: in the truth the false negatives, in the prediction the false positives are one too few.
# They get as low as -1, and AP = TP / (TP + FP + FN) gets above 1.
#
# Seen: 25 cells of 20 x 20 pixels side by side in the truth, found with gaps of 2 pixels between them, which is an IoU
# of 0.81. All found: AP at 0.5 is 1.042, with -1 false negatives; one cell missed: 1.0, with no error; three missed:
# 0.917 instead of 0.88. In a crop with four cells: 1.333; 1.0 with one missed; 0.667 instead of 0.5 with two missed.
# The other way round, with gaps in the truth and none in the prediction, the same values, for cells that were found and
# are not there. With a border of background around both: 1.0, 0.96, 0.88, and 1.0, 0.75, 0.5. No error and no warning.
# Consequence: a mean over images has values above 1 in it, and results with an error have the value of perfect ones.
# The smaller the crops of a test set, the better the method looks. The numbers of false positives and negatives, which
# are returned as well, are looked at, and a border of background is put around truth and prediction.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check "torch==2.13.0" "numpy==2.2.6" \
    "scipy==1.17.1" "opencv-python-headless==5.0.0.93" "fastremap==1.21.0" "fill-voids==2.1.2" "tqdm==4.70.1"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "cellpose==4.2.1.1"
cat >"$folder/tissue.py" <<'PYTHON'
import sys

import numpy as np
from cellpose.metrics import average_precision

WIDTH = 20


def tissue(rows, gap=0, missed=0):
    """Return the labels of `rows` x `rows` square cells with gaps between them and without the last cells."""
    labels = np.zeros((rows * WIDTH, rows * WIDTH), np.int32)
    for number in range(rows * rows - missed):
        top, left = WIDTH * (number // rows), WIDTH * (number % rows)
        labels[top : top + WIDTH - gap, left : left + WIDTH - gap] = number + 1
    return labels


def score(truth, found):
    """Return the average precision at an IoU of 0.5 and the numbers of hits, false positives and false negatives."""
    return [round(float(value[0]), 3) for value in average_precision(truth, found, threshold=[0.5])]


cases = {  # rows, missed cells: AP without and with background in the truth
    (5, 0): (1.042, 1),
    (5, 1): (1, 0.96),
    (5, 3): (0.917, 0.88),
    (2, 0): (1.333, 1),
    (2, 1): (1, 0.75),
    (2, 2): (0.667, 0.5),
}
same = True
for (rows, missed), wanted in cases.items():
    dense, gaps = tissue(rows), tissue(rows, 2, missed)
    seen = score(dense, gaps), score(np.pad(dense, 1), np.pad(gaps, 1))
    turned = score(gaps, dense)
    print(f"{rows * rows} cells, {missed} missed: AP, hits, false positives, false negatives: {seen[0]}")
    print(f"    with a border of background: {seen[1]}; without, truth and prediction exchanged: {turned}")
    same &= (seen[0][0], seen[1][0], turned[0]) == (*wanted, wanted[0])
    same &= seen[0][3] == missed - 1 and seen[1][3] == missed and turned[2] == missed - 1
sys.exit(not same)
PYTHON
"$folder/env/bin/python" -W error::RuntimeWarning -W error::UserWarning "$folder/tissue.py"
