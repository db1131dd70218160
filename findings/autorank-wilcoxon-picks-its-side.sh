#!/bin/sh
# autorank 1.3.0: two models get a one-sided Wilcoxon test whose side their medians choose, so p is half or near 1.
#
# For two columns that are not both normal, `autorank` takes the Wilcoxon signed-rank test. It asks in one direction
# only, that the column with the larger MEDIAN is greater, and compares this p-value with alpha. The direction comes
# from the same data. Where the medians point as the pairs do, p is half of the two-sided one. The median of a column is
# one data set or two; where that one goes against the others, the test asks the wrong way and p comes close to 1. The
# documentation of the function says Wilcoxon's signed-rank test and no more; normal columns get a two-sided t-test.
#
# Seen: 5 data sets, A ahead on each: p 0.0312, "significant" at 0.05; by counting signs 0.0625 = 2 / 32, the least
# that five pairs can give. 6 data sets, all 64 ways to give their differences a sign, as chance does between equal
# models: 6 of 64, 9.4 %, are "significant" at 5 %; by counting 2 of 64. 11 data sets, A ahead by 0.021 to 0.030 on ten
# and behind by 0.005 on the middle one: p 0.9995; by counting 0.0020.
# Consequence: a comparison of two models errs about twice as often as its alpha says, five folds suffice where they
# cannot, and a clear winner can be reported as no difference. A test of two models asks in both directions, or in one
# that was chosen before the data.
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
import itertools
import sys

import numpy as np
import pandas as pd
from autorank import autorank


def ranked(base, differences):
    """Return autorank's p-value of A = B + differences against B, having checked which test it took."""
    frame = pd.DataFrame({"A": base + differences, "B": base})
    with contextlib.redirect_stdout(io.StringIO()):
        result = autorank(frame, alpha=0.05)
    assert result.omnibus == "wilcoxon" and not result.all_normal
    return float(result.pvalue)


def counted(differences):
    """Return the two-sided p-value: the share of all signs with a sum of ranks as extreme as the seen one."""
    ranks = np.argsort(np.argsort(np.abs(differences))) + 1  # no two are equal here
    positive = np.array(list(itertools.product((0, 1), repeat=len(ranks)))) @ ranks
    smaller = np.minimum(positive, ranks.sum() - positive)
    seen = ranks[differences > 0].sum()
    return float(np.mean(smaller <= min(seen, ranks.sum() - seen)))


five = np.array([0.31, 0.32, 0.33, 0.95, 0.96]), np.array([0.01, 0.02, 0.03, 0.04, 0.05])
p_five = round(ranked(*five), 4), counted(five[1])
print("A ahead on 5 of 5, autorank and by counting:", *p_five)

base, sizes = np.array([0.31, 0.32, 0.33, 0.94, 0.95, 0.96]), np.array([0.011, 0.024, 0.035, 0.046, 0.052, 0.013])
signed = [sizes * signs for signs in itertools.product((-1, 1), repeat=6)]
errors = sum(ranked(base, d) < 0.05 for d in signed), sum(counted(d) < 0.05 for d in signed)
print("significant among the 64 signs of equal models, autorank and by counting:", *errors)

base = np.array([0.30, 0.31, 0.32, 0.33, 0.34, 0.70, 0.93, 0.94, 0.95, 0.96, 0.97])
ahead = np.array([0.021, 0.022, 0.023, 0.024, 0.025, -0.005, 0.026, 0.027, 0.028, 0.029, 0.030])
p_eleven = round(ranked(base, ahead), 4), round(counted(ahead), 4)
print("A ahead on 10 of 11, autorank and by counting:", *p_eleven)
sys.exit(not (p_five == (0.0312, 0.0625) and errors == (6, 2) and p_eleven == (0.9995, 0.002)))
PYTHON
