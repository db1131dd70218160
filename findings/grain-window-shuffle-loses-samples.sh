#!/bin/sh
# Grain 0.2.18: WindowShuffleMapDataset loses samples and repeats others, unless the window divides their number.
#
# The class mixes places within a window, and every window is full: the last one reaches behind the end. A place behind
# the end is no error, since a MapDataset goes on with its next epoch: it is taken from the beginning. Samples drawn
# there push out as many of the last window. The length stays right, and nothing is printed. The class promises that no
# place is repeated within a window; the example in `MapDataset.pipe` has 1000 samples and windows of 128.
# WindowShuffleIterDataset cuts its last window and keeps every sample.
#
# Seen, 1000 samples and windows of 128: seeds 0, 1 and 2 lose 14, 17 and 22 samples of the last 104, and give as many
# of the first 24 twice. Windows of 125 lose none. 10 samples and a window of 100: 9 3 0 7 9 9 5 9 2 0, four lost, one
# shown four times. The places worked out by hand, from the permutation of each window, are the same; cut windows lose
# none.
# Consequence: a pass over a data set is not a pass. A validation score is the mean over other pictures than those
# named, and changes with a seed that should not matter. Let the window divide the number of samples, or shuffle the
# iterator, and check the number of distinct samples of a pass.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "grain==0.2.18" "array-record==0.8.6" "numpy==2.4.6"
"$folder/env/bin/python" - 2>"$folder/log" <<'PYTHON' || { status=$?; cat "$folder/log"; exit $status; }
import sys
from collections import Counter

import grain

WINDOW = grain.experimental.WindowShuffleMapDataset


def one_pass(samples, window, seed):
    return list(grain.MapDataset.range(samples).pipe(WINDOW, window_size=window, seed=seed))


def by_hand(samples, window, seed, cut):
    """Return what each place of a pass shows, with the last window full or cut at the end."""
    places = []
    for first in range(0, samples, window):
        size = min(window, samples - first) if cut else window
        inside = list(grain.MapDataset.range(size).shuffle(seed=seed + first // window))
        assert sorted(inside) == list(range(size))
        places += [(first + place) % samples for place in inside]
    return places[:samples]


seen = True
for samples, window, seed in ((1000, 128, 0), (1000, 128, 1), (1000, 128, 2), (1000, 125, 0), (10, 100, 0)):
    shown = one_pass(samples, window, seed)
    counts = Counter(shown)
    lost = sorted(set(range(samples)) - set(shown))
    twice = sorted(sample for sample, count in counts.items() if count > 1)
    print(f"{samples} samples, windows of {window}, seed {seed}: {len(lost)} lost, repeated: {twice}")
    whole = samples - samples % window
    seen &= len(shown) == samples and shown == by_hand(samples, window, seed, cut=False)
    seen &= sorted(by_hand(samples, window, seed, cut=True)) == list(range(samples))
    seen &= all(sample >= whole for sample in lost)
    seen &= len(lost) == {(128, 0): 14, (128, 1): 17, (128, 2): 22, (125, 0): 0, (100, 0): 4}[window, seed]
few = one_pass(10, 100, 0)
print("10 samples, one window of 100:", *few)
iterator = grain.MapDataset.range(1000).to_iter_dataset()
kept = len(set(iterator.pipe(grain.experimental.WindowShuffleIterDataset, window_size=128, seed=0)))
print("WindowShuffleIterDataset, windows of 128:", kept, "distinct samples")
sys.exit(not (seen and few == [9, 3, 0, 7, 9, 9, 5, 9, 2, 0] and kept == 1000))
PYTHON
