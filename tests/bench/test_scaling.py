"""Scaling efficiency by hand, and its interval."""

import math

import pytest

from bench.scaling import rows


def test_efficiency_is_the_rate_over_n_times_that_of_one():
    one, four = rows([("1", 1, 16, 100.0, 0.1), ("weak 4", 4, 64, 300.0, 0.4)])
    assert (one.efficiency, one.low) == (1.0, None)
    assert four.efficiency == pytest.approx(0.75)
    assert (four.low, four.high) == (None, None)  # one start each: no spread is known
    assert four.input_share == 0.4


def test_the_interval_is_that_of_a_ratio_of_geometric_means():
    found = rows([("1", 1, 8, r, None) for r in (90.0, 110.0)] + [("weak 2", 2, 16, r, None) for r in (150.0, 170.0)])
    # Two freedoms: t = 4.3027; squares of the logarithms 2 * (ln(11/9)/2)**2 and 2 * (ln(17/15)/2)**2.
    squares = math.log(11 / 9) ** 2 / 2 + math.log(17 / 15) ** 2 / 2
    margin = 4.302653 * math.sqrt(squares / 2 * (1 / 2 + 1 / 2))
    centre = math.sqrt(150 * 170) / math.sqrt(90 * 110) / 2
    assert found[1].efficiency == pytest.approx(centre)
    assert found[1].low == pytest.approx(centre / math.exp(margin))
    assert found[1].high == pytest.approx(centre * math.exp(margin))
    assert found[1].input_share is None


def test_without_one_replica_there_is_no_efficiency():
    with pytest.raises(ValueError, match="one replica"):
        rows([("weak 2", 2, 16, 100.0, None)])
