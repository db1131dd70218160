"""Steps beside what hand-over and reference do."""

import os

import pytest

from bench.perf.cores import Moment, moments, table


def test_the_table_has_quarters_by_the_hand_over_and_both_correlations():
    # Four near moments, four far ones: longer hand-overs, slower steps, the same reference in another order.
    found = [Moment(230 + i, reference, 70.0 + i) for i, reference in enumerate((190, 200, 195, 198))]
    found += [Moment(580 + i, reference, 90.0 + i) for i, reference in enumerate((198, 195, 200, 190))]
    lines = table(found[::-1])
    assert lines[2:6] == [
        "| 230 | 195 | 70.5 |",
        "| 232 | 196 | 72.5 |",
        "| 580 | 196 | 90.5 |",
        "| 582 | 195 | 92.5 |",
    ]
    assert lines[-1] == (
        "8 moments. Rank correlation of the time of a step with that of a hand-over +1.00, with the reference +0.00."
    )


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="a hand-over takes two cores, and there is one")
def test_moments_have_the_time_of_a_hand_over_of_this_machine():
    steps = []
    found = moments(lambda: steps.append(1), 3)
    assert all(50 < one.hand_over < 5000 and one.reference > 0 for one in found)
    assert len(steps) >= 8 * len(found) > 0
