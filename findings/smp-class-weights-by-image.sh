#!/bin/sh
# segmentation_models.pytorch 0.6.0: a score "weighted-imagewise" of a perfect prediction is 1 / number of classes.
#
# The metrics of smp scale the class weights to a sum of 1. The reduction "weighted" then takes the weighted sum,
# which is right. "weighted-imagewise" takes the mean of the weighted values instead, and so divides by the number of
# classes once more. "macro" and "macro-imagewise" do the same where weights are passed with them. No warning, and the
# number lies in the range of a score.
#
# Seen: four pictures without any error, weights 1, 2, 3, 4 for four classes. weighted: 1.0; weighted-imagewise: 0.25;
# macro and macro-imagewise: 1.0 without weights, 0.25 with them. With 19 classes it would be 0.053.
# Consequence: a weighted score per image cannot be compared with one over all pixels, nor over data sets of another
# number of classes. The order of models on one data set stays right.
# Only the module of the metrics is loaded: the whole package would need timm and torchvision as well.
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
import sys
import types

import torch

name = "segmentation_models_pytorch"
package = types.ModuleType(name)
package.__path__ = list(importlib.util.find_spec(name).submodule_search_locations)
sys.modules[name] = package
from segmentation_models_pytorch import metrics  # noqa: E402

truth = torch.randint(0, 4, (4, 32, 32), generator=torch.Generator().manual_seed(0))
counts = metrics.get_stats(truth, truth, mode="multiclass", num_classes=4)
seen = {}
for reduction in ("weighted", "weighted-imagewise", "macro", "macro-imagewise"):
    for weights in (None, [1.0, 2.0, 3.0, 4.0]):
        if weights is None and "weighted" in reduction:
            continue
        score = float(metrics.iou_score(*counts, reduction=reduction, class_weights=weights))
        seen[reduction, weights is not None] = round(score, 4)
        print(f"{reduction}, {'weights 1 2 3 4' if weights else 'no weights'}: {score:.4f}")
right = {("weighted", True): 1.0, ("macro", False): 1.0, ("macro-imagewise", False): 1.0}
wrong = {(reduction, True): 0.25 for reduction in ("weighted-imagewise", "macro", "macro-imagewise")}
sys.exit(seen != right | wrong)
PYTHON
