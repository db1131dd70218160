#!/bin/sh
# grand-challenge-metrics 0.6.0 (formerly evalutils): the accuracy of a class is 0 unless not one pixel is wrong.
#
# `accuracies_from_confusion_matrix` divides the number of right pixels by that of all pixels with rounding down, // in
# place of /, so that each share below 1 becomes 0. The documentation: "1d ndarray containing accuracy scores for all N
# classes". Dice and Jaccard scores of the same matrix are right. No message.
#
# Seen: 100 000 pixels of three classes, none wrong: accuracy [1, 1, 1]. One wrong, of class 0 taken for 1: [0, 0, 1]
# instead of [0.99999, 0.99999, 1], Dice at least 0.9999. 5 % wrong: [0, 0, 0] instead of [0.96, 0.95, 0.99].
# Consequence: a mean over pictures is the share of pictures without any error in that class, and a ranking by
# it knows nothing else. Accuracies are taken from the matrix by hand.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "numpy==2.2.6" "scipy==1.16.3"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
    "grand-challenge-metrics==0.6.0" # what is left out serves other scores
"$folder/env/bin/python" - <<'PYTHON'
import sys
import warnings

import numpy as np
from grand_challenge_metrics.stats import (
    accuracies_from_confusion_matrix,
    calculate_confusion_matrix,
    dice_from_confusion_matrix,
)

warnings.simplefilter("error")  # nothing is announced


def by_hand(matrix):
    """Return the accuracy of each class against the rest."""
    wrong = matrix.sum(0) + matrix.sum(1) - 2 * np.diag(matrix)
    return (1 - wrong / matrix.sum()).round(5).tolist()


truth = np.repeat([0, 1, 2], [90_000, 7000, 3000])
one_wrong, many_wrong = truth.copy(), truth.copy()
one_wrong[0] = 1
many_wrong[:3500], many_wrong[90_000:90_500], many_wrong[97_000:98_000] = 1, 0, 1
seen = []
for name, found in (("none", truth), ("one", one_wrong), ("many", many_wrong)):
    matrix = calculate_confusion_matrix(truth, found, [0, 1, 2])
    right = by_hand(matrix), dice_from_confusion_matrix(matrix).round(4).tolist()
    seen.append((accuracies_from_confusion_matrix(matrix).tolist(), *right))
    print(f"{name} wrong: accuracy {seen[-1][0]}, by hand {right[0]}, Dice {right[1]}")
wanted = [[1, 1, 1], [0, 0, 1], [0, 0, 0]]
sys.exit(not ([scores[0] for scores in seen] == wanted and min(seen[1][1] + seen[1][2]) > 0.999))
PYTHON
