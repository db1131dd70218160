#!/bin/sh
# lifelines 0.30.3: whether the median of a survival curve is the time at one half or the next one is up to rounding.
#
# The median is the first time whose survival is at most 0.5. The curve is exp(sum of log1p(-deaths / at risk)), which
# where half is left gives 0.5 for some numbers of runs and 0.5000000000000001 for others, and the two are compared
# without a tolerance. If the other half is censored, no later step exists and the median is infinite. Other quantiles
# are found in the same way. The documentation: the time at which the curve is 0.5, the first time it is crossed.
#
# Seen: times 1, 2, .. n, all reached: the median is n / 2 for n = 4, 10, 12, 16, but n / 2 + 1 for 6, 8, 14, 18, 20
# (another exponential may round at other n). Times 10, 20, .. for one half of the runs, the other half stopped at 1000:
# 5 of 10 runs: 50; 3 of 6: infinite; 10 of 20: infinite; 12 of 24: 120. By hand, with fractions: the n / 2th time.
# Consequence: of two systems with 8 and with 10 runs whose times to a target are alike, one gets the 5th of 8 and the
# other the 5th of 10, or one never and one a time. The project compares with a tolerance, and takes the mean of both
# times where the curve is 1/2 between them (results/statistics/time_to_target.py).
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "lifelines==0.30.3" "numpy==2.4.6" "scipy==1.17.1" "pandas==2.3.3"
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import sys
from fractions import Fraction

from lifelines import KaplanMeierFitter


def median(times, reached):
    return float(KaplanMeierFitter().fit(times, reached).median_survival_time_)


def by_hand(times, reached):
    """Return the first of the times, all different and rising, after which at most one half is left."""
    left = Fraction(1)
    for at_risk, time, event in zip(range(len(times), 0, -1), times, reached):
        left *= 1 - Fraction(event, at_risk)
        if left <= Fraction(1, 2):
            return float(time)


sizes = range(2, 41, 2)
late, never = [], []
for n in sizes:
    times, all_of_them = list(range(1, n + 1)), [1] * n
    seen, true = median(times, all_of_them), by_hand(times, all_of_them)
    assert true == n / 2 and seen in (true, true + 1)
    late += [n] * (seen > true)

    times = [10 * i for i in range(1, n // 2 + 1)] + [1000 + i for i in range(n // 2)]
    half = [1] * (n // 2) + [0] * (n // 2)
    seen, true = median(times, half), by_hand(times, half)
    assert true == 10 * n / 2 and seen in (true, float("inf"))
    never += [n] * (seen > true)
    if n in (6, 10, 20, 24):
        print(f"{n // 2} of {n} runs reached the target: median {seen}, by hand {true}")
print("all reached, a time too late:", late, "right:", [n for n in sizes if n not in late])
print("half reached, infinite:", never)
sys.exit(not (late == never and 0 < len(late) < len(sizes)))
PYTHON
