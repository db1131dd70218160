#!/bin/sh
# TorchIO 1.2.1: "Right" as a mask is the upper half of the first axis; in a file stored from right to left it is Left.
#
# `RemapLabels`, `RemoveLabels`, `Mask` and the normalisations take an anatomical side as `masking_method`: "Left",
# "Right", "Anterior" and so on. The side is cut by the index alone, as if every volume lay in memory from left to
# right, from back to front and from feet to head (RAS). The affine of the file is not looked at, although the library
# knows it: `orientation` says L for such a file. RemapLabels is documented by the example of structures that are
# merged over both sides, {2: 1}, and split again by masking_method="Right".
#
# Seen: one anatomy of 8 x 8 x 8 voxels, class 1 left and class 2 right, written by nibabel as RAS, LAS and LPS. Both
# sides are merged to 1, then the right one is to be 2 again. By the affine, where x grows to the patient's right, all
# voxels are as before in RAS and none in LAS and LPS: IoU 1 and 0 for both classes. RemoveLabels([1, 2],
# masking_method="Right") leaves class 1 in RAS and class 2 in LAS. In LPS, "Anterior" is the back. After
# `ToCanonical` all three are right. No error and no warning.
# Consequence: in a data set of mixed orientations some patients have left and right swapped in the truth, and a model
# that knows its sides is marked wrong on them. Volumes are brought to one orientation first, and sides are cut by
# world coordinates.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "torch==2.13.0" "numpy==2.2.6" "scipy==1.17.1" "nibabel==5.4.2" "simpleitk==2.5.7" "torchio==1.2.1"
cat >"$folder/sides.py" <<'PYTHON'
import sys

import nibabel
import numpy as np
import torchio
from nibabel.affines import apply_affine
from nibabel.orientations import axcodes2ornt, inv_ornt_aff

shape = (8, 8, 8)
indices = np.indices(shape).reshape(3, -1).T
merge, split = torchio.RemapLabels({2: 1}), torchio.RemapLabels({1: 2}, masking_method="Right")


def iou(found, truth):
    return [float(((found == c) & (truth == c)).sum() / ((found == c) | (truth == c)).sum()) for c in (1, 2)]


seen = {}
for codes in ("RAS", "LAS", "LPS"):
    affine = inv_ornt_aff(axcodes2ornt(codes), shape)
    x, y, _ = (apply_affine(affine, indices) - 3.5).T.reshape(3, *shape)  # NIfTI: x to the right, y to the front
    truth = np.where(x > 0, 2, 1).astype(np.uint8)
    path = f"{sys.argv[1]}/{codes}.nii"
    nibabel.save(nibabel.Nifti1Image(truth, affine), path)
    labels = torchio.LabelMap(path)
    back = split(merge(labels)).numpy()[0]
    canonical = split(merge(torchio.ToCanonical()(labels))).numpy()[0]
    kept = torchio.RemoveLabels([1, 2], masking_method="Right")(labels).data.unique().tolist()
    front = torchio.RemapLabels({1: 3, 2: 3}, masking_method="Anterior")(labels).numpy()[0] == 3
    seen[codes] = {
        "orientation": "".join(labels.orientation),
        "IoU": iou(back, truth),
        "IoU after ToCanonical": iou(canonical, np.where(np.arange(8) < 4, 1, 2)[:, None, None] + 0 * truth),
        "kept without the right": kept,
        "Anterior": sorted({"front" if value > 0 else "back" for value in y[front]}),
    }
    print(codes, seen[codes])
wanted = {
    codes: {
        "orientation": codes,
        "IoU": [1.0, 1.0] if codes == "RAS" else [0.0, 0.0],
        "IoU after ToCanonical": [1.0, 1.0],
        "kept without the right": [0, 1] if codes == "RAS" else [0, 2],
        "Anterior": ["back"] if codes == "LPS" else ["front"],
    }
    for codes in ("RAS", "LAS", "LPS")
}
sys.exit(seen != wanted)
PYTHON
"$folder/env/bin/python" -W error::RuntimeWarning "$folder/sides.py" "$folder"
