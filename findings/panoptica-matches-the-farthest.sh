#!/bin/sh
# panoptica 2.1.7: matched by a distance, the farthest pairs are chosen, and an object that is found exactly is missed.
#
# Matchers take any metric, and the threshold turns round for those of which less is better. `MaxBipartiteMatching`,
# which "maximizes the global matching score", solves an assignment with the costs 1 - score. With a distance for score
# the sum of the distances becomes as large as it can. A pair at distance 0 costs 1, and pairs count below 1 only.
# `MaximizeMergeMatching` adds a second part to an object where the distance of both together is larger than of one.
# `NaiveThresholdMatching` turns its order round and is right.
#
# Seen, ASSD up to 3 as the metric: four squares, 0 to 4 of them found exactly and the others one pixel off: 4, 3, 2, 1
# and 0 matched; a perfect prediction has recognition quality 0. By naive matching, and by hand: 4 each time; by IoU: 4.
# A bar of 20 x 10 pixels with two parts found, 17 x 10 in it and 8 x 10 at its end, 3 x 10 of them in it: matched to
# the second, ASSD 5.38, where the first has 0.50 (threshold 20). A bar found as two halves: the halves stay apart,
# though together they are exact; the bar with the part at its end: both are joined, and ASSD grows from 0.50 to 0.71.
# Consequence: recognition and panoptic quality fall as the objects get better. A distance is turned into a gain before
# it is assigned; the project's scores are overlaps.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "panoptica==2.1.7" "numpy==2.2.6" "scipy==1.17.1" "scikit-image==0.26.0" "pandas==2.3.3"
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import itertools
import sys

import numpy as np
from panoptica import InputType, MaxBipartiteMatching, Metric, NaiveThresholdMatching, Panoptica_Evaluator
from panoptica.instance_matcher import MaximizeMergeMatching
from scipy.ndimage import binary_erosion


def evaluated(matcher, found, truth):
    evaluator = Panoptica_Evaluator(
        expected_input=InputType.UNMATCHED_INSTANCE,
        instance_matcher=matcher,
        instance_metrics=[Metric.ASSD, Metric.DSC, Metric.IOU],
    )
    result = evaluator.evaluate(found, truth, verbose=False)["ungrouped"]
    return result.tp, result.rq, round(float(result.sq_assd), 2)


def assd(first, second):
    """Return the mean of the two mean distances between border pixels."""
    one, other = (np.argwhere(m & ~binary_erosion(m)) for m in (first, second))
    far = np.hypot(*(one[:, None] - other[None]).transpose(2, 0, 1))
    return float((far.min(0).mean() + far.min(1).mean()) / 2)


def most_pairs(found, truth, limit):
    """Return how many pairs within the limit an assignment of least distance has, by trying all of them."""
    cost = np.array([[assd(found == f, truth == t) for f in range(1, 5)] for t in range(1, 5)])
    best = max(itertools.permutations(range(4)), key=lambda p: (cost[range(4), p] <= limit).sum())
    return int((cost[range(4), best] <= limit).sum())


truth, moved = np.zeros((2, 20, 100), np.uint8)
for label in range(1, 5):
    left = 20 * label
    truth[5:13, left : left + 8] = label
    moved[5:13, left + 1 : left + 9] = label
counts = {"MaxBipartite, ASSD": [], "Naive, ASSD": [], "MaxBipartite, IoU": [], "by hand": []}
for exact in range(5):
    found = np.where(np.arange(100) < 20 * exact + 15, truth, moved)
    counts["MaxBipartite, ASSD"].append(evaluated(MaxBipartiteMatching(Metric.ASSD, 3.0), found, truth)[0])
    counts["Naive, ASSD"].append(evaluated(NaiveThresholdMatching(Metric.ASSD, 3.0), found, truth)[0])
    counts["MaxBipartite, IoU"].append(evaluated(MaxBipartiteMatching(Metric.IOU, 0.5), found, truth)[0])
    counts["by hand"].append(most_pairs(found, truth, 3.0))
print("matched of 4, with 0 to 4 found exactly:", counts)
perfect = evaluated(MaxBipartiteMatching(Metric.ASSD, 3.0), truth, truth)[1]
print("recognition quality of a perfect prediction:", perfect)

bar, parts, halves = np.zeros((3, 20, 60), np.uint8)
bar[5:15, 5:25] = 1
parts[5:15, 5:22], parts[5:15, 22:30] = 1, 2
halves[5:15, 5:15], halves[5:15, 15:25] = 1, 2
matchers = (NaiveThresholdMatching, MaxBipartiteMatching)
chosen = [evaluated(matcher(Metric.ASSD, 20.0), parts, bar)[2] for matcher in matchers]
hand = [round(assd(parts == part, bar == 1), 2) for part in (1, 2)] + [round(assd(parts > 0, bar == 1), 2)]
print("ASSD of the part that is matched, naive and bipartite:", chosen, "; by hand, first, second, both:", hand)
merged = [evaluated(MaximizeMergeMatching(Metric.ASSD, 20.0), found, bar)[2] for found in (parts, halves)]
print("ASSD after merging the parts, the halves:", merged, "; one half:", round(assd(halves == 1, bar == 1), 2))

four = [4] * 5
right = counts["Naive, ASSD"] == counts["MaxBipartite, IoU"] == counts["by hand"] == four
wrong = counts["MaxBipartite, ASSD"] == [4, 3, 2, 1, 0] and perfect == 0
farthest = chosen == [0.5, 5.38] and hand == [0.5, 5.38, 0.71]
apart = merged == [0.71, round(assd(halves == 1, bar == 1), 2)] and (halves > 0).tolist() == (bar > 0).tolist()
sys.exit(not (right and wrong and farthest and apart))
PYTHON
