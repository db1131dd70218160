"""What a range test makes of a curve, by hand; a real one is in test_trial.py."""

import numpy as np
import pytest

from bench.trial.rate_range import HIGHEST, LOWEST, judged, running_mean


def test_the_running_mean_of_equal_losses_is_that_loss_from_the_first_on():
    np.testing.assert_allclose(running_mean(np.full(7, 3.0), 100), 3.0)
    # It looks back over 2 of 40 steps: momentum 1/2, so (1, 3) make (1/4 + 3/2) / (3/4).
    np.testing.assert_allclose(running_mean(np.array([1.0, 3.0]), 40), [1, 7 / 3])


def _curve(steps=140):
    """Twenty steps per tenfold rate: flat up to 1e-4, then down to 1e-1, fastest from 1e-3 to 1e-2, then up."""
    decades = np.log10(LOWEST) + 7 * np.arange(steps) / steps
    return np.interp(decades, [-6, -4, -3, -2, -1, 1], [1.0, 1.0, 0.9, 0.3, 0.2, 3.0])


def test_the_rate_of_the_fastest_fall_is_suggested():
    found = judged(_curve(), 140)
    assert 1e-3 < found.suggested < 2e-2  # the mean of seven losses follows a few steps late
    assert 9e-2 < found.limit < 3e-1
    assert (found.rates[0], found.rates[70]) == pytest.approx((LOWEST, (LOWEST * HIGHEST) ** 0.5))
    assert str(found).startswith("learning rate 0.0")


def test_a_loss_that_is_no_longer_finite_ends_the_curve_and_is_not_the_least():
    losses = np.append(_curve()[:105], np.nan)
    found = judged(losses, 140)
    assert 1e-3 < found.suggested < 2e-2
    assert len(found.smoothed) == 106


@pytest.mark.parametrize("losses", [np.linspace(1, 2, 100), np.ones(100)])
def test_a_loss_that_never_falls_suggests_nothing(losses):
    found = judged(losses, 100)
    assert (found.suggested, found.limit) == (None, None)
    assert str(found).startswith("no learning rate from 1e-06 to 8.5 lowered the loss")
