#!/bin/sh
# rliable 1.2.0: from curves of training, the bootstrap puts together curves of which each point is from another run.
#
# `get_interval_estimates` takes scores of shape (runs, tasks, points), "evaluation scores at multiple points during
# training". It draws a run for each task, as it says, and also for each point, so what makes a run good or bad is
# averaged out along the curve. The interval of a single point is right; that of the best point, of a mean over points,
# or of a difference between points is not. Its argument `random_state`, "if specified, ensures reproducibility", is not
# used: the runs are drawn by NumPy's global generator.
#
# Seen: 10 runs, 3 tasks, 50 points, scores about 0.70, spread of the runs 0.05, of the points of a run 0.002. Mean over
# the runs of their best point, 0.698: interval 0.752 to 0.753, which does not hold it; by hand, whole curves drawn,
# 0.683 to 0.712. Mean of all points: interval 7 times too narrow. A single point: as by hand. With RandomState(1) and
# two seeds of numpy.random: two intervals; with one seed, the same interval with and without a random_state.
# Consequence: intervals around the score of the best epoch, or around the mean of the last ones, are far too narrow and
# in the wrong place. Each run is reduced to its number first, and the bootstrap draws runs.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "arch==7.2.0" "numpy==2.4.6" "scipy==1.17.1" "pandas==2.3.3" "statsmodels==0.15.0" "absl-py==2.5.1"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "rliable==1.2.0"
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from rliable.library import get_interval_estimates

RUNS, TASKS, POINTS = 10, 3, 50
random = np.random.default_rng(0)
scores = 0.7 + 0.05 * random.normal(size=(RUNS, TASKS, 1)) + 0.002 * random.normal(size=(RUNS, TASKS, POINTS))
REDUCED = {
    "best point": lambda curves: curves.max(-1),
    "mean of the points": lambda curves: curves.mean(-1),
    "last point": lambda curves: curves[..., -1],
}


def theirs(reduce, seed=1, state=None):
    np.random.seed(seed)
    _, interval = get_interval_estimates(
        {"model": scores}, lambda curves: np.array([reduce(curves).mean()]), reps=2000, random_state=state
    )
    return interval["model"].ravel()


def by_hand(reduce):
    """Return the interval from whole runs, drawn for each task."""
    values = reduce(scores)
    drawn = random.integers(0, RUNS, (4000, RUNS, TASKS))
    return np.percentile(values[drawn, np.arange(TASKS)].mean((1, 2)), [2.5, 97.5])


seen = {name: (float(reduce(scores).mean()), theirs(reduce), by_hand(reduce)) for name, reduce in REDUCED.items()}
for name, (value, interval, hand) in seen.items():
    print(f"{name}: {value:.3f}, interval {interval.round(4)}, by hand {hand.round(4)}")


def width(ends):
    return ends[1] - ends[0]


best, best_hand = seen["best point"][1:]
outside = best[0] > seen["best point"][0] + 0.05 and best_hand[0] < seen["best point"][0] < best_hand[1]
narrow = width(seen["mean of the points"][2]) / width(seen["mean of the points"][1])
single = abs(seen["last point"][1] - seen["last point"][2]).max() < 0.003
print(f"mean of the points: {narrow:.1f} times too narrow")

last = REDUCED["last point"]
states = [theirs(last, seed, np.random.RandomState(1)).round(6).tolist() for seed in (1, 2, 1)]
print("random_state 1, global seeds 1, 2, 1:", states)
unused = states[0] != states[1] and states[0] == states[2] == theirs(last).round(6).tolist()
sys.exit(not (outside and 5 < narrow < 10 and single and unused))
PYTHON
