#!/bin/sh
# TensorFlow Addons 0.23.0 (TensorFlow 2.15.1): `median_filter2d` of bytes with an even window makes bright areas dark.
#
# A window with an even number of pixels has two middle values; their mean is the median. `tfa.image.median_filter2d`
# adds the two in the type of the picture: for uint8 a sum of 256 or more loses 256, and the median 128. Odd windows add
# nothing and are right, and so is the same picture as float32. There is no error, and an edge-preserving filter is the
# one whose output one expects to jump.
#
# Seen: a picture that is 200 everywhere, whose median is 200 by any window: 3 x 3: 200; 2 x 2, 2 x 3 and 4 x 4: 72,
# which is (200 + 200 - 256) / 2. Noise of 64 x 64 pixels, 4 x 4, against numpy.median: about half of the pixels are
# wrong, each by 128. As float32: none.
# Consequence: pictures that were smoothed this way have their bright half darkened by 128, sky and roads first, before
# a model sees them; label maps are right up to id 127 and wrong for void = 255, which becomes 127. Pictures are cast to
# float32 first, or windows are odd.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "tensorflow-cpu==2.15.1" "tensorflow-addons==0.23.0" "numpy==1.26.4"
cat >"$folder/median.py" <<'PYTHON'
import sys

import numpy as np
import tensorflow_addons as tfa


def flat(value, window):
    """Return the values of a filtered picture that has one value."""
    return np.unique(tfa.image.median_filter2d(np.full((8, 8), value, np.uint8), window).numpy()).tolist()


noise = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
# A window of 4 begins one pixel before the pixel and ends two behind it; pixels whose window is inside are compared.
windows = np.lib.stride_tricks.sliding_window_view(noise, (4, 4))
right = np.floor(np.median(windows, (2, 3))).astype(int)
found = tfa.image.median_filter2d(noise, (4, 4)).numpy()[1:-2, 1:-2].astype(int)
floats = tfa.image.median_filter2d(noise.astype(np.float32), (4, 4)).numpy()[1:-2, 1:-2]
wrong = found != right
flats = {window: flat(200, window) for window in [(3, 3), (2, 2), (2, 3), (4, 4)]}
print("200 everywhere:", flats, "255 everywhere, 2 x 2:", flat(255, (2, 2)))
print(f"noise: {wrong.mean():.3f} wrong, by {np.unique(right[wrong] - found[wrong])}")
print("as float32, wrong:", int((floats.astype(int) != right).sum()))
as_seen = flats == {(3, 3): [200], (2, 2): [72], (2, 3): [72], (4, 4): [72]} and flat(255, (2, 2)) == [127]
as_seen = as_seen and 0.3 < wrong.mean() < 0.7 and np.unique(right[wrong] - found[wrong]).tolist() == [128]
sys.exit(not (as_seen and (floats.astype(int) == right).all()))
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 "$folder/env/bin/python" "$folder/median.py" 2>"$folder/log" ||
    { status=$?; cat "$folder/log"; exit $status; }
