#!/bin/sh
# PyMIC 0.6.2: its table of HD95 has no value above 50 and that of ASSD none above 20, in pixels or millimetres alike.
#
# `pymic_eval_seg` writes a table of a metric for the pictures of a folder, with mean and standard deviation. HD95 is
# cut at 50 and ASSD at 20, "to reject outliers" as a comment in the source says; the documentation of the command and
# of the functions does not. The limit is a plain number: 50 pixels of a PNG, 50 mm or 50 micrometres of a volume. The
# functions below it, `binary_hd95` and `binary_assd`, do not cut, but a mask in which nothing was found gets 100 and 20
# by definition: with ASSD it is better than one that is off by 30.
#
# Seen: a vertical line in 64 x 400 pixels, found 30, 80 and 300 pixels to the right, and not found. By the functions
# HD95 is 30, 80, 300 and 100, ASSD 30, 80, 300 and 20. In the tables HD95 is 30, 50, 50, 50, mean 45 instead of 127.5;
# ASSD is 20 four times, mean 20, standard deviation 0. No message.
# Consequence: models that differ by hundreds of pixels get the same mean, the worse the model the more it gains, and
# its deviation looks steady; the numbers cannot be compared with those of another tool. The functions are called
# without the table, and pictures without the class are counted apart.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "numpy==2.2.6" "scipy==1.17.1" "pandas==2.3.3" "simpleitk==2.5.7" "pillow==13.0.0" "torch==2.13.0" "h5py==3.14.0"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
    "pymic==0.6.2" # what is left out serves training
mkdir "$folder/truth" "$folder/found"
cat >"$folder/lines.py" <<'PYTHON'
import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from pymic.util.evaluation_seg import binary_assd, binary_hd95

folder = Path(sys.argv[1])
functions = {"hd95": binary_hd95, "assd": binary_assd}


def line(column):
    """Return a mask of a vertical line, or of nothing."""
    mask = np.zeros((64, 400), np.uint8)
    if column is not None:
        mask[:, column] = 1
    return mask


shifts = (30, 80, 300, None)
truth = line(20)
masks = [line(None if shift is None else 20 + shift) for shift in shifts]
for i, mask in enumerate(masks):
    Image.fromarray(truth).save(folder / "truth" / f"{i}.png")
    Image.fromarray(mask).save(folder / "found" / f"{i}.png")

seen = {}
for metric, function in functions.items():
    command = [Path(sys.executable).with_name("pymic_eval_seg"), "--metric", metric, "--cls_index", "1"]
    command += ["--gt_dir", folder / "truth", "--seg_dir", folder / "found", "--out", folder / f"{metric}.csv"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with open(folder / f"{metric}.csv", newline="") as file:
        table = {row[0]: float(row[1]) for row in list(csv.reader(file))[1:]}
    direct = [float(function(mask, truth)) for mask in masks]
    seen[metric] = direct, [table[f"{i}.png"] for i in range(4)], table["mean"], table["std"]
    print(metric, "by the function", direct, "in the table", *seen[metric][1:])
wanted = {
    "hd95": ([30.0, 80.0, 300.0, 100.0], [30.0, 50.0, 50.0, 50.0], 45.0, float(np.std([30, 50, 50, 50]))),
    "assd": ([30.0, 80.0, 300.0, 20.0], [20.0, 20.0, 20.0, 20.0], 20.0, 0.0),
}
sys.exit(seen != wanted)
PYTHON
"$folder/env/bin/python" "$folder/lines.py" "$folder"
