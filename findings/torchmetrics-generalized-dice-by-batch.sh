#!/bin/sh
# torchmetrics 1.9.0: the generalized Dice score of a picture depends on the pictures beside it in the batch.
#
# The weight of a class is 1 / (its true pixels)^2 of that picture, which is infinite for a class that the picture
# lacks. `generalized_dice_score` replaces it by the largest weight of a class in the BATCH, and the list of
# replacements is in another order than the list of weights, so it is in general the weight of another class. In a
# batch of one picture it is 0: what is found of an absent class then costs nothing. `GeneralizedDiceScore` adds up
# these numbers.
#
# Seen: picture A, truth 10, 6, 0 pixels of three classes, of which 2 pixels of class 1 are taken for class 2; by
# itself (2 10/100 + 2 4/36) / (20/100 + 10/36) = 0.8837; before picture B, with 2/36 more in the denominator: 0.7917;
# behind B, with 2/64 more: 0.8295. The mean of A and B: 0.9085 in batches of 1, 0.8333 as A, B, and 0.8522 as B, A.
# Consequence: the score moves with the batch size, the shuffling and the last, smaller batch; two trainings that
# validate with other batches cannot be compared. In the project an absent class has no weight, whatever the batch.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "torch==2.13.0" "numpy==2.2.6" "torchmetrics==1.9.0"
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from torchmetrics.segmentation import GeneralizedDiceScore
from torchmetrics.functional.segmentation import generalized_dice_score


def row(*pixels):
    """Return a label map (1, 1, 16) with so many pixels of the classes 0, 1, 2."""
    return torch.repeat_interleave(torch.arange(3), torch.tensor(pixels)).view(1, 1, -1)


truths = {"A": row(10, 6, 0), "B": row(8, 0, 8)}
found = {"A": row(10, 4, 2), "B": row(7, 2, 7)}


def scores(batch):
    pair = (torch.cat([maps[name] for name in batch]) for maps in (found, truths))
    values = generalized_dice_score(*pair, num_classes=3, input_format="index")
    return {name: round(float(value), 4) for name, value in zip(batch, values)}


def mean(batches):
    metric = GeneralizedDiceScore(num_classes=3, input_format="index")
    for batch in batches:
        metric.update(*(torch.cat([maps[name] for name in batch]) for maps in (found, truths)))
    return round(float(metric.compute()), 4)


seen = [scores(batch)["A"] for batch in ("A", "AB", "BA")]
means = [mean(batches) for batches in (["A", "B"], ["AB"], ["BA"])]
print("A by itself, before B, behind B:", seen)
print("mean in batches of one, as A B, as B A:", means)
parts = [0.0, 2 / 36, 2 / 64]
by_hand = [round((2 * 10 / 100 + 2 * 4 / 36) / (20 / 100 + 10 / 36 + part), 4) for part in parts]
print("by hand, 0, 2/36 and 2/64 more in the denominator:", by_hand)
sys.exit(not (seen == by_hand == [0.8837, 0.7917, 0.8295] and means == [0.9085, 0.8333, 0.8522]))
PYTHON
