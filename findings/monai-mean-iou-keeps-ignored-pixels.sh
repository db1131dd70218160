#!/bin/sh
# MONAI 1.6.1: with ignore_index set to a class, DiceMetric leaves its pixels out, MeanIoU counts what was found
# there.
#
# `ignore_index` is new in MONAI 1.6 and has one description for all metrics: voxels of that label are excluded. Where
# the value is one of the classes, for example an "unlabelled" class 0, `compute_dice` and `compute_generalized_dice`
# mask those pixels. `compute_iou` and `get_confusion_matrix` only empty the channel of the class: other classes found
# on the pixels stay false positives. With ignore_empty=False the emptied channel is then a perfect class of the mean.
# A value outside the classes, such as 255, is masked by all.
#
# Seen: truth 0 0 0 0 1 1 2 2, found 1 1 1 1 1 1 2 2, ignore_index=0. By hand, without the first four pixels, all is
# right: IoU 1 and 1. Dice: 1 and 1; IoU: 0.3333 = 2 / 6 and 1. IoU = Dice / (2 - Dice) holds no longer. The mean with
# ignore_empty=False: Dice 1, IoU (1 + 0.3333 + 1) / 3 = 0.7778.
# Consequence: on data whose class 0 is void, a model is punished by IoU for pixels that nobody labelled, and not by
# Dice: the two rank models differently. In the project void is a value, not a class, and leaves the one confusion
# matrix from which both numbers come.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "torch==2.13.0" "numpy==2.2.6" "scipy==1.17.1" "monai==1.6.1"
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.metrics import compute_dice, compute_iou
from monai.networks import one_hot

truth = one_hot(torch.tensor([[[[0, 0, 0, 0, 1, 1, 2, 2]]]]), 3)
found = one_hot(torch.tensor([[[[1, 1, 1, 1, 1, 1, 2, 2]]]]), 3)


def scores(metric, **options):
    values = metric(found, truth, ignore_index=0, **options)[0]
    return [round(float(value), 4) for value in values]


dice, iou = (scores(metric, include_background=False) for metric in (compute_dice, compute_iou))
means = [round(sum(scores(metric, ignore_empty=False)) / 3, 4) for metric in (compute_dice, compute_iou)]
print("classes 1 and 2, Dice:", dice, "IoU:", iou, "by hand: 1 and 1 both times")
print("mean of three classes with ignore_empty=False, Dice and IoU:", means)

void = truth * (truth[:, :1] == 0)  # the same pixels as void: no class at all
sentinel = compute_iou(found, void, include_background=False, ignore_index=255)[0].tolist()
print("the same pixels as 255, IoU:", sentinel)
seen = dice == [1.0, 1.0] and iou == [0.3333, 1.0] and means == [1.0, 0.7778] and sentinel == [1.0, 1.0]
sys.exit(not seen)
PYTHON
