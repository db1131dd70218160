#!/bin/sh
# One TIFF, two labels: where 0 is white (PhotometricInterpretation 0), Pillow 13.0.0 and tifffile 2026.3.3
# disagree.
#
# tifffile hands on the values as they are stored. Pillow hands on their complements, but only up to 8 bits: at
# 16 bits it hands on the stored values as well. So a mask of class ids 0, 1, 2 is 255, 254, 253 by Pillow in 8
# bits and 0, 1, 2 in 16 bits, with the same tag.
#
# Seen: 8 bits: tifffile 0 1 2, Pillow 255 254 253; 16 bits: both 0 1 2.
# Consequence: such a mask has no ids for certain, and is refused; see bench/data/sources/stored.py.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check pillow==13.0.0 tifffile==2026.3.3
"$folder/env/bin/python" - "$folder/mask.tif" <<'PYTHON'
import sys

import numpy as np
import tifffile
from PIL import Image

path, seen = sys.argv[1], {}
for dtype in (np.uint8, np.uint16):
    tifffile.imwrite(path, np.array([[0, 1, 2]], dtype), photometric="miniswhite")
    both = tifffile.imread(path), np.asarray(Image.open(path))
    seen[np.dtype(dtype).itemsize * 8] = tuple(one.ravel().tolist() for one in both)
for bits, (stored, shown) in seen.items():
    print(f"{bits} bits: tifffile {stored}, Pillow {shown}")
raise SystemExit(seen != {8: ([0, 1, 2], [255, 254, 253]), 16: ([0, 1, 2], [0, 1, 2])})
PYTHON
