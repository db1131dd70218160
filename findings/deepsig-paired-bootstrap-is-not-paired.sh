#!/bin/sh
# deepsig 1.2.8: its "paired bootstrap test" draws the pictures of the two models apart, and so forgets the pairs.
#
# `bootstrap_test` wants lists of one length and is called a paired bootstrap in the documentation. In each round it
# draws the scores of A and, with other random numbers, the scores of B. What makes pictures easy or hard, which both
# models share, then stays in the difference, as if the models had been run on different pictures.
#
# Seen: 20 pictures with IoU from 0.40 to 0.90 for B; A is better by 0.018 to 0.022 on each. deepsig: p = 0.325. With
# the scores of B shuffled, so that nothing is paired any more: 0.333. By hand, with the same draw for both models: no
# round of 10000 reaches the limit, p = 0; with separate draws: 0.34. The permutation test of the same package: 0.001
# (the least it can give), and 0.309 shuffled.
# Consequence: a gain on every picture is reported as chance, unless it is as large as the pictures differ. The row of a
# picture is drawn once for all models.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "deepsig==1.2.8" "numpy==2.4.6" "scipy==1.17.1" "pandas==2.3.3" "joblib==1.6.0"
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from deepsig import bootstrap_test, permutation_test

random = np.random.default_rng(0)
b = np.linspace(0.40, 0.90, 20)
a = b + np.tile([0.018, 0.022, 0.020, 0.021], 5)
shuffled = random.permutation(b)


def theirs(test, other):
    return round(float(test(list(a), list(other), num_samples=1000, seed=1)), 3)


bootstrap = theirs(bootstrap_test, b), theirs(bootstrap_test, shuffled)
permutation = theirs(permutation_test, b), theirs(permutation_test, shuffled)

# The null is made by shifting: a round counts where it is as far above the seen difference as that is above 0.
first, second = random.integers(0, 20, (2, 10000, 20))
limit = 2 * (a.mean() - b.mean())
paired = float(((a - b)[first].mean(1) >= limit).mean())
apart = float((a[first].mean(1) - b[second].mean(1) >= limit).mean())
print("bootstrap_test, pairs and shuffled:", *bootstrap)
print("permutation_test, pairs and shuffled:", *permutation)
print("bootstrap by hand, one draw for both models and separate draws:", paired, round(apart, 2))
unpaired = abs(bootstrap[0] - apart) < 0.04 and abs(bootstrap[1] - bootstrap[0]) < 0.04
sys.exit(not (unpaired and paired == 0 and permutation[0] == 0.001 and permutation[1] > 0.2))
PYTHON
