#!/bin/sh
# segmentation_models.pytorch 0.6.0: with from_logits=False, two multiclass losses do not take probabilities.
#
# `LovaszLoss(from_logits=False)` stores nothing and applies the softmax all the same: probabilities of 0 and 1 become
# 0.27 and 0.73. `FocalLoss(from_logits=False)` turns probabilities into their logarithms, as a softmax would want
# them, and hands these to a loss that applies a sigmoid: p becomes p / (1 + p), so a certain pixel counts as 0.5.
# `DiceLoss(from_logits=False)` is right.
#
# Seen: two pixels, two classes, everything found with probability 1. By hand all three losses are 0. Dice: 0; Lovasz:
# 0.2689 = 1 / (1 + e), the same number with from_logits=True; focal: 0.0866 = (0.25 ln 2) / 2.
# Consequence: a model that ends in a softmax has a Lovasz loss that cannot fall below 0.2689 for two classes, and a
# focal loss that still pulls at pixels that are certain; losses compared over such models compare the flag as well.
# The project turns probabilities into logits in one place, before any loss (losses/core/inputs.py).
# Only the module of the losses is loaded: the whole package would need timm and torchvision as well.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check "torch==2.13.0" "numpy==2.2.6"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
    "segmentation-models-pytorch==0.6.0"
"$folder/env/bin/python" - <<'PYTHON'
import importlib.util
import math
import sys
import types

import torch

name = "segmentation_models_pytorch"
package = types.ModuleType(name)
package.__path__ = list(importlib.util.find_spec(name).submodule_search_locations)
sys.modules[name] = package
from segmentation_models_pytorch import losses  # noqa: E402

truth = torch.tensor([[[0, 1]]])
certain = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])  # probabilities, (1, 2, 1, 2)
seen = {
    "Dice": losses.DiceLoss("multiclass", from_logits=False)(certain, truth),
    "Lovasz": losses.LovaszLoss("multiclass", from_logits=False)(certain, truth),
    "Lovasz, as logits": losses.LovaszLoss("multiclass", from_logits=True)(certain, truth),
    "focal": losses.FocalLoss("multiclass", gamma=2.0, from_logits=False)(certain, truth),
}
for which, value in seen.items():
    print(f"{which}: {float(value):.4f} (by hand 0 for probabilities)")
lovasz = 1 / (1 + math.e)
expected = {"Dice": 0.0, "Lovasz": lovasz, "Lovasz, as logits": lovasz, "focal": 0.25 * math.log(2) / 2}
sys.exit(not all(math.isclose(float(seen[which]), expected[which], abs_tol=1e-4) for which in expected))
PYTHON
