#!/bin/sh
# Pillow 13.0.0 resizes some tall pictures to other pixels than 12.3.0 does.
#
# A resize works along one side and then along the other, and rounds to 8 bits in between, so the order decides the
# last bit. Pillow 12.3.0 always works along the rows first. Pillow 13.0.0 works along the columns first if a picture
# loses over twice as many rows as columns (the switch was found by trying sizes). The release is otherwise silent: a
# picture of 100 x 300 that becomes 50 x 60 changes, the same picture turned by 90 degrees does not.
#
# Seen: of noise of 100 x 300 pixels made 50 x 60, 15 % of the values differ, by 1; made 50 x 250: none;
# of 300 x 100 made 60 x 50: none.
# Consequence: a score on portraits can move by itself where an environment takes the new version, so records name the
# version of Pillow, and a comparison says where it differs.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/resize.py" <<'PYTHON'
import sys

import numpy as np
from PIL import Image

made = {}
for old, new in (((100, 300), (50, 60)), ((100, 300), (50, 250)), ((300, 100), (60, 50))):
    noise = np.random.default_rng(0).integers(0, 256, (old[1], old[0], 3), np.uint8)
    made["{}x{} -> {}x{}".format(*old, *new)] = np.asarray(Image.fromarray(noise).resize(new, Image.BILINEAR))
np.savez(sys.argv[1], **made)
PYTHON
for version in 12.3.0 13.0.0; do
    "${PYTHON:-python3}" -m venv "$folder/$version"
    "$folder/$version/bin/python" -m pip install --quiet --disable-pip-version-check "pillow==$version" "numpy==2.2.6"
    "$folder/$version/bin/python" "$folder/resize.py" "$folder/$version.npz"
done
"$folder/13.0.0/bin/python" - "$folder/12.3.0.npz" "$folder/13.0.0.npz" <<'PYTHON'
import sys

import numpy as np

before, after = map(np.load, sys.argv[1:])
shares = {}
for name in before:
    apart = np.abs(before[name].astype(int) - after[name])
    shares[name] = (int(apart.max()), float((apart > 0).mean()))
    print(f"{name}: at most {shares[name][0]} apart, {shares[name][1]:.0%} of the values differ")
tall, slight, wide = shares.values()
sys.exit(not (tall[0] == 1 and tall[1] > 0.1 and slight == wide == (0, 0.0)))
PYTHON
