#!/bin/sh
# segmentation_models.pytorch 0.6.0 (torch 2.13.0): in large pictures `get_stats` stops counting at 16 777 216 pixels.
#
# In mode "multiclass", `smp.metrics.get_stats` counts pixels by a histogram of floats, one picture at a time. A
# float32 that has reached 2^24 no longer grows by 1. The library casts the counts to integers, so they look exact.
# The picture is divided between the threads of torch and each part stops for itself, so the score depends on the
# number of threads.
#
# Seen: a tile of 5000 x 5000 pixels, the size of the Inria Aerial Image Labeling tiles; 2.5 million pixels are class
# 1 and 5 million pixels of class 0 are taken for class 1. By hand the IoU of class 0 is 17.5 / 22.5 = 0.7778. With
# one thread it is 1.0, and no pixel of class 0 counts as missed; with two threads it is 0.7778. The IoU of class 1 is
# 2.5 / 7.5 = 0.3333 both times, so the mean is 0.667 or 0.556.
# Consequence: a benchmark on whole tiles praises whoever overlooks the commonest class, and by how much depends on
# OMP_NUM_THREADS. The project adds up its confusion matrix in integers.
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

truth = torch.zeros(1, 5000, 5000, dtype=torch.long)
truth[:, :500] = 1
found = truth.clone()
found[:, 500:1500] = 1
seen = {}
for threads in (1, 2):
    torch.set_num_threads(threads)
    counts = metrics.get_stats(found, truth, mode="multiclass", num_classes=2)
    per_class = metrics.iou_score(*counts, reduction="none")[0]
    seen[threads] = [round(float(value), 4) for value in per_class], int(counts[2][0, 0])
    print(f"{threads} thread(s): IoU {seen[threads][0]}, missed pixels of class 0: {seen[threads][1]}")
print("by hand: IoU", [round(17.5 / 22.5, 4), round(2.5 / 7.5, 4)], "missed: 5000000")
sys.exit(seen != {1: ([1.0, 0.3333], 0), 2: ([0.7778, 0.3333], 5_000_000)})
PYTHON
