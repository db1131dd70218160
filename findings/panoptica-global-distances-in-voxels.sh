#!/bin/sh
# panoptica 2.1.7: beside distances of instances in millimetres, it gives those of the whole mask in voxels, unmarked.
#
# `evaluate` takes the voxel spacing, "for the evaluation", or reads it from the header of a NIfTI file. Distances of
# instances (sq_hd, sq_hd95, sq_assd, sq_cedi) use it. Those of the whole mask (global_bin_hd, ..) are computed without
# it, whatever was given. The surface Dice differs on a grid of 1 too: its tolerance is 1 for an instance, and 0.5 for
# the whole mask, which is exact hits only.
#
# Seen: one box, which is its one instance, so that both families measure the same two masks. Voxels of 5 x 1 x 1 mm.
# Moved by one slice, by hand 5 mm: sq_hd 5, sq_cedi 5, global_bin_hd and global_bin_cedi 1. Moved by 3 voxels within
# the slice, by hand 3 mm: all four 3. From NIfTI files the same. Spacing 1: sq = global but for the surface Dice of the
# box moved by one slice, 1.00 and 0.40.
# Consequence: one row of a table has two units. By the global distances the box that is 5 mm away is three times better
# than the one that is 3 mm away; thick slices make errors across slices vanish. Distances of whole masks are computed
# apart, with the spacing.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "panoptica==2.1.7" "numpy==2.2.6" "scipy==1.17.1" "scikit-image==0.26.0" "pandas==2.3.3" "nibabel==5.4.2"
cd "$folder"
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import sys

import nibabel as nib
import numpy as np
from panoptica import InputType, Metric, NaiveThresholdMatching, Panoptica_Evaluator
from scipy.ndimage import binary_erosion

METRICS = [Metric.DSC, Metric.IOU, Metric.HD, Metric.HD95, Metric.ASSD, Metric.CEDI, Metric.NSD]
truth = np.zeros((12, 32, 32), np.uint8)
truth[4:8, 8:18, 8:18] = 1
pairs = {"one slice away": np.roll(truth, 1, 0), "3 voxels within the slice": np.roll(truth, 3, 2)}


def theirs(found, mask, spacing):
    """Return (of the instance, of the whole mask) for each distance and the surface Dice."""
    evaluator = Panoptica_Evaluator(
        expected_input=InputType.UNMATCHED_INSTANCE,
        instance_matcher=NaiveThresholdMatching(),
        instance_metrics=METRICS,
        global_metrics=METRICS,
    )
    result = evaluator.evaluate(found, mask, voxelspacing=spacing, verbose=False)["ungrouped"]
    assert result.tp == 1 and result.sq_dsc == result.global_bin_dsc
    names = ("hd", "hd95", "assd", "cedi", "nsd")
    return {n: tuple(round(float(getattr(result, f"{k}_{n}")), 3) for k in ("sq", "global_bin")) for n in names}


def by_hand(found, mask, spacing):
    """Return the Hausdorff distance of the border voxels."""
    first, second = (np.argwhere(m & ~binary_erosion(m)) * spacing for m in (found > 0, mask > 0))
    far = np.sqrt(((first[:, None] - second[None]) ** 2).sum(2))
    return float(max(far.min(0).max(), far.min(1).max()))


thick, cubes = (5.0, 1.0, 1.0), (1.0, 1.0, 1.0)
seen = {name: theirs(found, truth, thick) for name, found in pairs.items()}
hand = {name: by_hand(found, truth, thick) for name, found in pairs.items()}
for name in pairs:
    print(f"{name}, 5 mm slices: (instance, global) {seen[name]}, Hausdorff by hand {hand[name]} mm")

for name, array in {"truth.nii.gz": truth, "found.nii.gz": pairs["one slice away"]}.items():
    nib.save(nib.Nifti1Image(array, np.diag([*thick, 1.0])), name)
from_files = theirs("found.nii.gz", "truth.nii.gz", None)
print("one slice away, from NIfTI files:", from_files)
plain = theirs(pairs["one slice away"], truth, cubes)
print("one slice away, spacing 1:", plain)

right = all(seen[name]["hd"][0] == hand[name] for name in pairs) and list(hand.values()) == [5, 3]
voxels = [seen[name][metric] for metric in ("hd", "cedi") for name in pairs] == [(5, 1), (3, 3), (5, 1), (3, 3)]
only_dice = all(a == b for n, (a, b) in plain.items() if n != "nsd") and plain["nsd"] == (1, 0.397)
sys.exit(not (right and voxels and from_files == seen["one slice away"] and only_dice))
PYTHON
