#!/bin/sh
# deepsig 1.2.8: the Bonferroni correction of `multi_aso` and `aso` grows weaker the more models are compared.
#
# deepsig compares models by "almost stochastic order" and returns an upper bound of the violation ratio: below 0.5, the
# model of the row is better. For m comparisons the confidence must rise from 0.95 to 1 - 0.05 / m. The package takes
# 0.95 + 0.05 / m, which FALLS from 1 towards 0.95; the two are equal for m = 2 alone, a number that no set of models
# has. The bound is linear in the normal quantile of the confidence, so what was used can be read from the result. The
# correction is on in `multi_aso` unless it is switched off.
#
# Seen: 8 scores each of models A and B, others beside them. Each score of A, in order, is above that of B: violation
# ratio 0, bound for A over B without correction 0.3243. The confidence behind the corrected bound: 2 models: 1, so the
# bound is 1 in both directions, whatever the scores; 3 models: 0.9667, and 0.9833 is right; 4: 0.9583, not 0.9917; 6:
# 0.9533, not 0.9967. There the bound is 0.3309, "A is better"; with the confidence that is right it is 0.5350, which
# is no result. `aso` with num_comparisons=15 gives 0.3309 too.
# Consequence: two models are never told apart, and a table of many models is corrected by next to nothing, so the
# more models a benchmark has, the more false winners. The confidence is worked out by hand, with use_bonferroni=False.
# Exit status: 0 as seen, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
    "deepsig==1.2.8" "numpy==2.4.6" "scipy==1.17.1" "pandas==2.3.3" "joblib==1.6.0"
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import sys
from statistics import NormalDist

import numpy as np
from deepsig import aso, multi_aso

random = np.random.default_rng(7)
a, b = list(random.normal(0.705, 0.01, 8)), list(random.normal(0.70, 0.01, 8))
normal = NormalDist()
options = {"num_bootstrap_iterations": 50, "show_progress": False, "seed": 1}


def bounds(models, **more):
    """Return the bounds for A over B and B over A in a table of so many models."""
    others = {f"other {i}": b for i in range(models - 2)}
    table = multi_aso({"A": a, "B": b, **others}, **options, **more)
    return float(table[0, 1]), float(table[1, 0])


plain, strict = (bounds(2, use_bonferroni=False, confidence_level=level)[0] for level in (0.95, 0.99))
# bound = ratio + spread x quantile(confidence): two bounds give the ratio and the spread
spread = (strict - plain) / (normal.inv_cdf(0.99) - normal.inv_cdf(0.95))
ratio = plain - spread * normal.inv_cdf(0.95)
steps = np.sort(a) - np.sort(b)
by_hand = float((steps[steps < 0] ** 2).sum() / (steps**2).sum())
print(f"violation ratio {ratio:.4f}, from the sorted scores {by_hand:.4f}; bound without correction {plain:.4f}")

both = bounds(2)
print("2 models, corrected, both directions:", both)
used, right = {}, {}
for models in (3, 4, 6):
    comparisons = models * (models - 1) // 2
    used[models] = round(normal.cdf((bounds(models)[0] - ratio) / spread), 4)
    right[models] = round(1 - 0.05 / comparisons, 4)
    print(f"{models} models: confidence used {used[models]}, right {right[models]}")
corrected = round(bounds(6)[0], 4)
needed = round(bounds(6, use_bonferroni=False, confidence_level=1 - 0.05 / 15)[0], 4)
single = round(float(aso(a, b, num_comparisons=15, **options)), 4)
print("6 models, bound:", corrected, "with the right confidence:", needed, "aso for 15 comparisons:", single)
seen = abs(ratio - by_hand) < 0.02 and both == (1.0, 1.0) and plain < corrected < 0.5 < needed
sys.exit(not (seen and used == {3: 0.9667, 4: 0.9583, 6: 0.9533} and single == corrected))
PYTHON
