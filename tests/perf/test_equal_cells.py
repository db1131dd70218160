"""The rules of letters and intervals as arrays against those themselves, and what they promise in uneven noise."""

import numpy as np
import pytest

from bench.perf import equal_cells
from bench.perf.sequential import NOISES
from results.statistics import intervals, rank


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
@pytest.mark.parametrize(("cells", "seeds"), equal_cells.SIZES)
def test_the_arrays_judge_as_reports_do(noise, cells, seeds):
    y = equal_cells.drawn(noise, cells, seeds, 4)
    found, half = equal_cells.judge(y, equal_cells.Rule()), equal_cells.half_lengths(y, equal_cells.Rule())
    pairs = np.transpose(np.triu_indices(cells, 1))
    for grid, one in enumerate(y):
        named = {f"{cell:02}": {s: x for s, x in enumerate(row) if not np.isnan(x)} for cell, row in enumerate(one)}
        ranking = rank(named)
        differ = [not ranking.indistinguishable(f"{a:02}", f"{b:02}") for a, b in pairs]
        assert equal_cells.rejected(found.p())[grid].tolist() == differ
        smallest = min(p for p in ranking.p.values())
        assert smallest == pytest.approx(min(1.0, found.p()[grid].min() * len(pairs)))
        spans = intervals(named)
        assert half[grid] == pytest.approx([(spans[name].high - spans[name].low) / 2 for name in named])


@pytest.mark.parametrize("name", ["normal", "spread .5", "one cell x3", "one cell x6"])
def test_uneven_noise_tells_hardly_more_equal_cells_apart(name):
    noise = next(noise for noise in NOISES if noise.name == name)
    grids = 4000
    found = equal_cells.kept(equal_cells.drawn(noise, 14, (3,), grids), equal_cells.Rule())
    assert found.apart <= 0.056 + 2 * np.sqrt(0.05 * 0.95 / grids)
    assert found.covers >= {"one cell x3": 0.88, "one cell x6": 0.92}.get(name, 0.94)


def test_without_the_rule_a_noisy_cell_is_told_from_its_equals():
    noise = next(noise for noise in NOISES if noise.name == "one cell x6")
    found = equal_cells.kept(equal_cells.drawn(noise, 7, (3,), 4000), equal_cells.BEFORE)
    assert found.apart > 0.07
    assert found.covers < 0.88


def test_a_length_of_one_grid_by_hand():
    """Variances 1, 1 and 9 with 2 degrees each: the last has its own, t(2) = 4.303; the others 11 / 3, t(6) = 2.447."""
    y = np.array([[[1.0, 2.0, 3.0, np.nan], [4.0, 5.0, 6.0, np.nan], [0.0, 3.0, 6.0, np.nan]]])
    half = equal_cells.half_lengths(y, equal_cells.Rule())[0]
    assert half == pytest.approx([2.447 * np.sqrt(11 / 9), 2.447 * np.sqrt(11 / 9), 4.303 * np.sqrt(3)], rel=1e-3)
    before = equal_cells.half_lengths(y, equal_cells.BEFORE)[0]
    assert before == pytest.approx([2.447 * np.sqrt(11 / 9)] * 2 + [2.447 * np.sqrt(3)], rel=1e-3)


def test_the_difference_that_a_report_names_is_detected_in_four_of_five_of_the_next_and_is_no_bound():
    assert 0.78 <= equal_cells.seen(7, 3, 4000) <= 0.84
    # A report must not say that smaller ones would probably be missed.
    assert 0.5 < equal_cells.seen(7, 3, 4000, 0.75) < 0.78


def test_a_noisy_cell_is_called_surely_not_the_best_hardly_more_often():
    for noise in NOISES:
        assert max(equal_cells.left_out(equal_cells.drawn(noise, 14, (3,), 3000))) <= 0.075, noise.name
