#!/bin/sh
# MONAI 1.6.1: `FocalLoss` with an ignore_index that no pixel has is larger by the number of classes.
#
# Without ignore_index the reduction "mean" is the mean over pixels and channels. With it (new in MONAI 1.6) the sum
# over pixels and channels is divided by the number of pixels that count. So the option changes the scale of the loss,
# also where nothing is ignored: 19 times for the 19 classes of Cityscapes. "sum" shows no such factor, and `DiceLoss`
# none.
#
# Seen: two pictures of 8 x 8 pixels without any label 255, for 2, 5 and 19 classes: FocalLoss(ignore_index=255) over
# FocalLoss() is 2, 5 and 19, with softmax as with sigmoid. DiceLoss: 1.
# Consequence: a focal loss that is added to another one, or trained at a rate chosen without void, is another loss as
# soon as void is switched on; a comparison of losses with and without void compares the weight 19. In the project a
# void pixel leaves the sum and the number of pixels alike (losses/core/inputs.py).
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
from monai.losses import DiceLoss, FocalLoss

torch.manual_seed(0)
same = True
for classes in (2, 5, 19):
    logits, truth = torch.randn(2, classes, 8, 8), torch.randint(0, classes, (2, 1, 8, 8))

    def ratio(loss, **options):
        """Return the loss with an ignore_index that no pixel has, over the loss without one."""
        plain, ignoring = (loss(to_onehot_y=True, **options, **more) for more in ({}, {"ignore_index": 255}))
        return round(float(ignoring(logits, truth) / plain(logits, truth)), 4)

    ratios = {
        "focal, sigmoid": ratio(FocalLoss),
        "focal, softmax": ratio(FocalLoss, use_softmax=True),
        "focal, sum": ratio(FocalLoss, reduction="sum"),
        "Dice": ratio(DiceLoss, softmax=True),
    }
    print(f"{classes} classes:", ratios)
    same = same and list(ratios.values()) == [classes, classes, 1.0, 1.0]
sys.exit(not same)
PYTHON
