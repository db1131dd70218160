#!/bin/sh
# autorank 1.3.0: the confidence interval of a median is too wide and leans upwards; errors get another one than scores.
#
# Where a column is not normal, `autorank` gives medians with intervals between two order statistics. Their ranks are
# n / 2 - z root(n) / 2 and n / 2 + 1 + z root(n) / 2. The package takes root(n / 2), 1.41 times as far, and uses the
# ranks, which count from 1, as positions, which count from 0, so both ends are one value too high. With
# force_mode="nonparametric" and normal columns, the interval beside the median is the t interval of the MEAN. The
# documentation says confidence interval for the median. Alpha is divided by the number of columns.
#
# Seen: 3 models, 20 data sets, alpha 0.05, so 0.0167 a column: ranks 3 and 20, the largest score of all, which have the
# median between them in 99.98 % of samples; by hand 5 and 16, in 98.82 %, where 98.33 % is asked for. Ranked as errors,
# 1 - score: 3 and 20 again, which are the scores 1 and 18. 30 data sets: 7 and 26, by hand 8 and 23. Normal columns,
# forced: median 0.7000, interval 0.6782 to 0.7338, by hand the same for the mean, 0.7060.
# Consequence: intervals of a report overlap where they need not, and how far they reach to each side depends on
# whether IoU or 1 - IoU is ranked. Ranks of an interval are taken from the binomial distribution.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "autorank==1.3.0" "numpy==2.4.6" "scipy==1.17.1" "pandas==2.3.3" "statsmodels==0.15.0" "baycomp==1.0.3"
MPLBACKEND=Agg "$folder/env/bin/python" -W ignore - <<'PYTHON'
import contextlib
import io
import sys
from math import comb, sqrt
from statistics import NormalDist

import numpy as np
import pandas as pd
from autorank import autorank
from scipy.stats import norm, t


def table(frame, **options):
    with contextlib.redirect_stdout(io.StringIO()):
        return autorank(frame, alpha=0.05, **options)


def ranks(values, errors=False):
    """Return which order statistics of the first of three models autorank's interval ends at, from 1."""
    frame = pd.DataFrame({"A": values, "B": values**1.1, "C": values**1.2})
    result = table(1 - frame, order="ascending") if errors else table(frame)
    assert not result.all_normal
    ends = result.rankdf.loc["A", ["ci_lower", "ci_upper"]].to_numpy(float)
    ordered = np.sort(1 - values if errors else values)
    return [int(np.abs(ordered - end).argmin()) + 1 for end in ends]


def holds(n, low, high):
    """Return the share of samples of n whose order statistics low and high have the median between them."""
    return sum(comb(n, below) for below in range(low, high)) / 2**n


def expected(n):
    reach = NormalDist().inv_cdf(1 - 0.05 / 3 / 2) * sqrt(n) / 2
    return [round(n / 2 - reach), round(n / 2 + 1 + reach)]


seen = {}
for n in (20, 30):
    scores = 0.98 - 0.9 * np.linspace(0, 1, n) ** 6  # skewed and without ties
    seen[n] = ranks(scores), ranks(scores, errors=True), expected(n)
    shares = [round(100 * holds(n, *pair), 2) for pair in (seen[n][0], seen[n][2])]
    print(f"{n} data sets: ranks of scores and errors {seen[n][:2]}, by hand {seen[n][2]}; hold the median: {shares} %")

normal = norm.ppf((np.arange(20) + 0.5) / 20)
frame = pd.DataFrame({name: mean + 0.04 * normal for name, mean in (("A", 0.7), ("B", 0.69), ("C", 0.68))})
frame["A"] += 0.02 * (frame["A"] > 0.72)  # the mean is not the median
forced = table(frame, force_mode="nonparametric")
got = [round(float(value), 4) for value in forced.rankdf.loc["A", ["median", "ci_lower", "ci_upper"]]]
mean, reach = frame["A"].mean(), t.ppf(1 - 0.05 / 3 / 2, 19) * frame["A"].std() / sqrt(20)
of_mean = [round(float(mean - reach), 4), round(float(mean + reach), 4)]
print("forced, median and interval:", got, "interval of the mean by hand:", of_mean)
leans = [values[:2] for values in seen.values()] == [([3, 20], [3, 20]), ([7, 26], [7, 26])]
sys.exit(not (leans and [v[2] for v in seen.values()] == [[5, 16], [8, 23]] and got[1:] == of_mean))
PYTHON
