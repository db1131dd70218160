#!/bin/sh
# OpenCV 4.13: CLAHE of a picture that equals its mirror image does not equal its mirror image.
#
# Contrast-limited adaptive histogram equalisation blends the tables of the four nearest tiles. `createCLAHE(...).apply`
# takes the place of pixel x in tiles of width w as x / w - 1/2, whereas the middle of that pixel lies at
# (x + 1/2) / w - 1/2: the blending sits half a pixel to one side, in both directions. Small tiles show it most.
#
# Seen: noise of 64 x 64 pixels, mirrored about its middle, clip limit 4, tiles of 8 x 8 pixels: half of the pixels
# differ from their mirror pixels, by up to 6 of 255. With one tile, where nothing is blended, none does.
# Consequence: CLAHE does not commute with a flip, so a test-time flip under CLAHE sees slightly other pictures. The
# project takes OpenCV's CLAHE for its speed, applies it after the flip, and says so (bench/data/image_ops.py).
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "opencv-python-headless==4.13.0.92" "numpy==2.2.6"
"$folder/env/bin/python" - <<'PYTHON'
import sys

import cv2
import numpy as np

left = np.random.default_rng(0).integers(0, 256, (64, 32), np.uint8)
mirrored = np.hstack([left, left[:, ::-1]])
seen = {}
for tiles in (8, 1):
    result = cv2.createCLAHE(4.0, (tiles, tiles)).apply(mirrored).astype(int)
    apart = np.abs(result - result[:, ::-1])
    seen[tiles] = (int(apart.max()), float((apart > 0).mean()))
    print(f"{tiles} x {tiles} tiles: at most {seen[tiles][0]} apart, {seen[tiles][1]:.0%} of the pixels differ")
sys.exit(not (seen[8][0] >= 3 and seen[8][1] > 0.3 and seen[1] == (0, 0.0)))
PYTHON
