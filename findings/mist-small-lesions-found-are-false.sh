#!/bin/sh
# MIST 2.3.0: a perfect mask has a lesion-wise Dice of 0.5, because a found lesion that is too small to count is a
# false one; and the penalty for a missed lesion grows with its distance from the others.
#
# The lesion-wise metrics of MIST, a framework that trains and scores segmentation of volumes, leave out lesions of the
# truth below `min_lesion_volume`, 10 mm3. A comment beside the constant says that they count neither as lesions nor
# towards false positives. In the code a small lesion is passed over before the predicted parts on it are noted as
# matched, so each of these parts is a false positive: 0 in the sum, 1 in the denominator. The penalty for HD95 is "the
# image diagonal" by the docstring. The evaluator cuts both masks to the box around all that is in either of them
# first, so it is the diagonal of that box.
#
# Seen: volumes of 60 x 60 x 60 mm, files of NIfTI, the table of the Evaluator. Truth: a cube of 10 mm and one of 2 mm.
# Found exactly: Dice 1 and HD95 0, but lesion-wise Dice and surface Dice 0.5, F1 0.667, HD95 27.7 mm. With the small
# cube NOT found: 1, 1, 1 and 0. Truth of nothing but the small cube, found exactly: 0, 0, 0. With a small cube of
# 3 mm, which counts, found exactly: 1, 1, 1, 0. A cube of 3 mm that was missed, 5 mm behind the large one on each axis:
# lesion-wise HD95 15.6; 35 mm behind it: 41.6; by the diagonal of the image 52.0 both times. No error and no warning.
# Consequence: a model that finds the small lesions of a data set loses to one that does not look for them, and
# post-processing that deletes what was found right seems to help. A metric is tried on the truth against itself first.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check "torch==2.13.0" "monai==1.6.1" \
    "numpy==2.2.6" "scipy==1.17.1" "pandas==3.0.5" "scikit-learn==1.9.1" "simpleitk==2.5.7" "einops==0.8.2" \
    "rich==15.0.0"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "mist-medical==2.3.0"
cat >"$folder/lesions.py" <<'PYTHON'
import sys

import numpy as np
import pandas as pd
import SimpleITK as sitk
from mist.evaluation.evaluator import Evaluator

METRICS = [
    "dice",
    "haus95",
    "lesion_wise_dice",
    "lesion_wise_surf_dice",
    "lesion_wise_f1",
    "lesion_wise_haus95",
]


def volume(*cubes):
    """Return a mask of cubes, each given by its first corner on the diagonal and its side."""
    mask = np.zeros((60, 60, 60), np.uint8)
    for corner, side in cubes:
        mask[(slice(corner, corner + side),) * 3] = 1
    return mask


def main(folder):
    large, small, counts = (10, 10), (40, 2), (40, 3)
    cases = {  # name: truth, prediction, values of the metrics
        "both, found": ([large, small], [large, small], [1, 0, 0.5, 0.5, 0.667, 27.713]),
        "small not found": ([large, small], [large], [0.996, 0, 1, 1, 1, 0]),
        "only small, found": ([small], [small], [1, 0, 0, 0, 0, 3.464]),
        "both count, found": ([large, counts], [large, counts], [1, 0, 1, 1, 1, 0]),
        "missed, near": ([large, (25, 3)], [large], [0.987, 10.488, 0.5, 0.5, 0.667, 15.588]),
        "missed, far": ([large, (55, 3)], [large], [0.987, 62.37, 0.5, 0.5, 0.667, 41.569]),
    }
    rows = []
    for number, (name, (truth, found, _)) in enumerate(cases.items()):
        row = {"id": name}
        for kind, cubes in (("mask", truth), ("prediction", found)):
            row[kind] = f"{folder}/{number}-{kind}.nii.gz"
            sitk.WriteImage(sitk.GetImageFromArray(volume(*cubes)), row[kind])
        rows.append(row)
    config = {"lesion": {"labels": [1], "metrics": {name: {} for name in METRICS}}}
    Evaluator(pd.DataFrame(rows), config, f"{folder}/results.csv").run()
    table = pd.read_csv(f"{folder}/results.csv").set_index("id").loc[list(cases)].round(3)
    table.columns = METRICS
    print(table.to_string())
    wanted = np.array([values for _, _, values in cases.values()])
    return 0 if np.allclose(table.to_numpy(), wanted, atol=0.0011) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
PYTHON
"$folder/env/bin/python" -W error::RuntimeWarning "$folder/lesions.py" "$folder"
