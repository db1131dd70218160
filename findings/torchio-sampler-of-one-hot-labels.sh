#!/bin/sh
# TorchIO 1.2.1: a LabelSampler takes the foreground; after OneHot it takes nothing but the background.
#
# `LabelSampler` "yields patches whose center value is greater than 0" in the label map. Without `label_probabilities`,
# its default, it marks what is greater than 0 in every channel, and the sampler below it then draws from the first
# channel alone. In a one-hot map the first channel is the background. A queue of patches samples after the transforms,
# so `OneHot` among the transforms of a data set, the usual place, is enough. In a map whose channels are regions that
# overlap or exclude each other (whole tumour, core; liver, kidney) all channels but the first are never aimed at.
#
# Seen: volumes of 32 x 32 x 32 with 500 voxels each of class 1 and 2, 200 patches of 8 x 8 x 8 from a Queue. Class at
# the center of the patch: without OneHot 0 times the background, with OneHot 200 times. With label_probabilities
# {0: 0, 1: 1, 2: 1} 0 times both ways. With two channels of which each holds one class, all 200 are of the first. No
# error and no warning.
# Consequence: the sampler that is taken so that rare objects are seen makes sure that they are not in the middle of any
# patch: objects appear at the edges of patches or, where they are small, in few of them. Probabilities are given by
# channel, or the map is turned to one-hot after sampling, and the classes of some hundred centers are counted.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "torch==2.13.0" "numpy==2.2.6" "scipy==1.17.1" "nibabel==5.4.2" "simpleitk==2.5.7" "torchio==1.2.1"
cat >"$folder/centers.py" <<'PYTHON'
import sys

import torch
import torchio as tio

SIZE, PATCHES = 8, 200
classes = torch.zeros(1, 32, 32, 32, dtype=torch.uint8)
classes[:, 10:20, 10:20, 10:15] = 1
classes[:, 10:20, 10:20, 15:20] = 2
regions = torch.cat([classes == 1, classes == 2]).to(torch.uint8)


def centers(data, transform=None, probabilities=None):
    """Return how many patches of a queue have the background, class 1 and class 2 at their center."""
    torch.manual_seed(0)
    subject = tio.Subject(image=tio.ScalarImage(tensor=classes.float()), labels=tio.LabelMap(tensor=data))
    queue = tio.Queue(
        tio.SubjectsDataset([subject], transform=transform),
        max_length=PATCHES,
        samples_per_volume=PATCHES,
        sampler=tio.LabelSampler(SIZE, "labels", probabilities),
        num_workers=0,
    )
    middle = SIZE // 2
    found = [int(queue[index]["image"].data[0, middle, middle, middle]) for index in range(PATCHES)]
    return [found.count(number) for number in range(3)]


by_class = {0: 0, 1: 1, 2: 1}
seen = {
    "one channel": centers(classes),
    "OneHot": centers(classes, tio.OneHot()),
    "one channel, probabilities": centers(classes, None, by_class),
    "OneHot, probabilities": centers(classes, tio.OneHot(), by_class),
    "a channel for each region": centers(regions),
}
for name, counts in seen.items():
    print(f"{name}: background {counts[0]}, class 1 {counts[1]}, class 2 {counts[2]}")
both = [name for name, (nothing, *rest) in seen.items() if nothing == 0 and min(rest) > 0.3 * PATCHES]
same = seen["OneHot"] == [PATCHES, 0, 0] and seen["a channel for each region"] == [0, PATCHES, 0]
sys.exit(not (same and both == ["one channel", "one channel, probabilities", "OneHot, probabilities"]))
PYTHON
"$folder/env/bin/python" -W error::RuntimeWarning -W error::UserWarning "$folder/centers.py"
