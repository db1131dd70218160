#!/bin/sh
# cc3d 3.29.0: `dust` hands back unsigned labels where nothing was small enough to go, so that -1 becomes 65535.
#
# `dust` removes small components from a label map and returns the map. Signed labels are looked at as unsigned ones for
# the work and turned back at the end. Where no component is smaller than the threshold, the function returns before
# that. So the type of the result depends on the content of the map: signed if a speck was found, unsigned if the map
# was clean; the same with in_place=True, while the array that was passed in keeps its type. With invert=True a map
# without anything to keep is unsigned too. The documentation promises the dusted image.
#
# Seen: 8 x 8 pixels with a square of label 1 and one of void, -1, and the same with one speck of label 2. int8, int16,
# int32, int64: with the speck the type stays and the values are -1, 0, 1; without it uint8, uint16, uint32, uint64,
# and void is 255, 65535, 2^32 - 1, 2^64 - 1. 4 pixels of void: `== -1` finds 4 in the one, 0 in the other, and raises
# nothing. Cast to int64 first, which seems safe, it stays 65535. Two such int64 maps stacked are floats, in which -1
# and 2^64 stand side by side.
# Consequence: in a loop over pictures the clean ones lose their void: it is counted as a class, or fails an index far
# away. The type is set after the call: `dust(...).view(labels.dtype)`.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "connected-components-3d==3.29.0" "numpy==2.4.6"
"$folder/env/bin/python" - <<'PYTHON'
import sys
import warnings

import cc3d
import numpy as np

warnings.simplefilter("error")  # nothing is announced
clean = np.zeros((8, 8), np.int16)
clean[1:4, 1:4] = 1
clean[5:7, 5:7] = -1
speck = clean.copy()
speck[0, 7] = 2


def dusted(labels, **options):
    """Return the type, the values and the pixels that equal -1 of the map without components of one pixel."""
    result = cc3d.dust(labels, threshold=2, connectivity=8, **options)
    return str(result.dtype), np.unique(result).tolist(), int((result == -1).sum())


as_seen = []
for bits in (8, 16, 32, 64):
    with_speck = dusted(speck.astype(f"int{bits}"))
    without = dusted(clean.astype(f"int{bits}"))
    in_place = dusted(clean.astype(f"int{bits}"), in_place=True)
    print(f"int{bits}: with a speck {with_speck}, without {without}")
    as_seen.append(with_speck == (f"int{bits}", [-1, 0, 1], 4))
    as_seen.append(without == in_place == (f"uint{bits}", [0, 1, 2**bits - 1], 0))

result = cc3d.dust(clean, threshold=2, connectivity=8)
as_int64 = np.unique(result.astype(np.int64)).tolist()
stack = np.stack([cc3d.dust(m.astype(np.int64), threshold=2, connectivity=8) for m in (speck, clean)])
inverted = dusted(clean, invert=True)
print("as int64:", as_int64, "; stacked:", stack.dtype, np.unique(stack).tolist(), "; inverted:", inverted[:2])
as_seen.append(as_int64 == [0, 1, 65535])
as_seen.append(stack.dtype == np.float64 and np.unique(stack).tolist() == [-1.0, 0.0, 1.0, 2.0**64])
as_seen.append(inverted[:2] == ("uint16", [0]))
as_seen.append(np.array_equal(result.view(np.int16), clean))  # the way out
sys.exit(not all(as_seen))
PYTHON
