#!/bin/sh
# mmeval 0.2.1: with 17 classes or more, the mean IoU of uint8 masks is wrong; a perfect prediction does not get 1.
#
# `mmeval.MeanIoU` counts pairs by the number classes x truth + prediction, worked out in the type of the masks. In
# uint8, which is what a mask file gives, it wraps at 256: 16 classes reach 255 and fit, 17 do not. A wrapped pair is
# counted as another pair. Nothing is printed, since arrays wrap in silence. int16 is enough up to 181 classes.
#
# Seen: noise of 128 x 128 pixels as its own prediction: 16 classes: 1.0; 17: 0.85; 19 (Cityscapes): 0.59; 21 (PASCAL
# VOC): 0.35; 150 (ADE20K): 0.0003; as int64: 1.0 each time. With 20 % of the pixels wrong and 19 classes: 0.30 as
# bytes, 0.68 as int64.
# Consequence: a score that depends on how the label maps were loaded, and that falls with the number of classes.
# Labels are widened before they are multiplied; the project counts pairs in 64 bits (bench/trial/metrics.py).
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "mmeval==0.2.1" "numpy==2.2.6" "plum-dispatch==1.7.4"
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from mmeval import MeanIoU

random = np.random.default_rng(0)


def score(found, truth, classes, dtype):
    return round(float(MeanIoU(num_classes=classes)(found.astype(dtype), truth.astype(dtype))["mIoU"]), 4)


perfect, good = {}, {}
for classes in (16, 17, 19, 21, 150):
    truth = random.integers(0, classes, (1, 128, 128))
    found = np.where(random.random(truth.shape) < 0.2, random.integers(0, classes, truth.shape), truth)
    types = (np.uint8, np.int64)
    perfect[classes], good[classes] = ([score(m, truth, classes, dtype) for dtype in types] for m in (truth, found))
    print(f"{classes} classes, uint8 and int64: perfect {perfect[classes]}, one pixel in five wrong {good[classes]}")
counted = all(wide == 1.0 for _, wide in perfect.values()) and perfect[16] == [1.0, 1.0] and good[16][0] == good[16][1]
wrapped = all(perfect[classes][0] < 0.9 and good[classes][0] < good[classes][1] for classes in (17, 19, 21, 150))
sys.exit(not (counted and wrapped))
PYTHON
