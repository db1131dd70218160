#!/bin/sh
# SOLT 0.2.1: CutOut and GridMask write into the image they are given, so a data set in memory gets blacker each epoch.
#
# SOLT augments images and masks together. All its transforms return new arrays but two: CutOut sets its square to zero
# in the array that the caller passed, GridMask multiplies that array by its grid. The result of a call looks right.
# Where the images are kept in memory (a cache, an array of a small data set), the holes are still there at the next
# epoch and new ones are added. In addition GridMask takes the same step for rows and columns, so it does not mark a
# grid but squares on one diagonal, and without `mode="reverse"` these squares are all that is left of the image.
#
# Seen: 40 images of 64 x 64 pixels without a zero, in an array, one random CutOut of 16 x 16 pixels (6 % of the image)
# in half of the calls. Pixels of the data set that are zero after epoch 1, 10, 50: 2 %, 26 %, 68 %; those of the masks
# do not change. GridMask with a step of 8 to 16 pixels: 37 %, 100 %, 100 %; a single call keeps 4 to 10 % of an image,
# at one place in each row and column at most. Flip, Rotate, Noise, Blur, GammaCorrection, JPEGCompression: 0 %. No
# error and no warning.
# Consequence: training is fine at the first epochs and worse with each one, on images whose masks still have their
# objects; validation on the same arrays is wrong too. Only a data set that reads its files anew each time is safe. A
# copy is passed, and the sum over the data set is compared before and after an epoch.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check "torch==2.13.0" "numpy==2.2.6" \
    "scipy==1.17.1" "opencv-python-headless==5.0.0.93" "pyyaml==6.0.4"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "solt==0.2.1"
cat >"$folder/epochs.py" <<'PYTHON'
import random
import sys

import numpy as np
import solt
import solt.transforms as slt

EPOCHS = (1, 10, 50)


def zeros(transform):
    """Return the share of zeros in images and in masks of a data set in memory after some epochs."""
    random.seed(0)
    generator = np.random.default_rng(0)
    images = generator.integers(1, 256, (40, 64, 64, 3), dtype=np.uint8)
    masks = generator.integers(1, 4, (40, 64, 64), dtype=np.uint8)
    stream = solt.Stream([transform])
    shares = []
    for epoch in range(1, max(EPOCHS) + 1):
        for image, mask in zip(images, masks, strict=True):
            stream({"image": image, "mask": mask})
        if epoch in EPOCHS:
            shares.append(float(np.round((images == 0).mean(), 2)))
    return shares, float((masks == 0).mean())


def kept_by_gridmask():
    """Return the least and the greatest share of an image that GridMask keeps, and whether it keeps one diagonal."""
    shares, diagonal = [], True
    for seed in range(100):
        random.seed(seed)
        image = np.full((64, 64, 3), 255, np.uint8)
        kept = slt.GridMask(p=1, d_range=(8, 16))(image).data[0][..., 0] > 0
        shares.append(float(kept.mean()))
        for lines in (kept, kept.T):
            diagonal &= max(int((np.diff(np.r_[0, line, 0]) == 1).sum()) for line in lines.astype(int)) == 1
    return float(np.round(min(shares), 2)), float(np.round(max(shares), 2)), diagonal


transforms = {
    "CutOut": slt.CutOut(p=0.5, cutout_size=16),
    "GridMask": slt.GridMask(p=0.5, d_range=(8, 16)),
    "Flip": slt.Flip(p=0.5),
    "Rotate": slt.Rotate(p=0.5, angle_range=(-20, 20)),
    "Noise": slt.Noise(p=0.5),
    "Blur": slt.Blur(p=0.5, k_size=5),
    "GammaCorrection": slt.GammaCorrection(p=0.5),
    "JPEGCompression": slt.JPEGCompression(p=0.5, quality_range=(30, 60)),
}
seen = {}
for name, transform in transforms.items():
    seen[name], in_masks = zeros(transform)
    print(f"{name}: zeros of the images after epoch {EPOCHS}: {seen[name]}, of the masks: {in_masks}")
    seen[name].append(in_masks)
least, greatest, diagonal = kept_by_gridmask()
print(f"GridMask, one call: {least} to {greatest} of the image is kept, on one diagonal: {diagonal}")
cutout, gridmask = seen.pop("CutOut"), seen.pop("GridMask")
same = np.allclose(cutout, [0.02, 0.26, 0.68, 0], atol=0.02) and np.allclose(gridmask, [0.37, 1, 1, 0], atol=0.02)
sys.exit(not (same and diagonal and greatest < 0.12 and not any(any(values) for values in seen.values())))
PYTHON
"$folder/env/bin/python" -W error::RuntimeWarning -W error::UserWarning "$folder/epochs.py"
