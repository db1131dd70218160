"""What reports quote of the measured budgets: the nearest length of each data set, and the table they come from."""

import csv
from pathlib import Path

import pytest

import results
from reports import budget
from results import precedent as own
from tests.results.test_budgets import _training


@pytest.fixture
def measured(monkeypatch):
    rows = (
        own.Precedent("scenes", 24, 1200, 3, 1, 1),
        own.Precedent("scenes", 60, 1200, 6, 4, 0),
        own.Precedent("camvid", 60, 1200, 0, 0, 0),
        own.Precedent("camvid", 120, 1200, 5, 5, 0),
        own.Precedent("cats", 400, 600, 5, 5, 0),
    )
    monkeypatch.setattr(own, "_measured", lambda: rows)
    return rows


def test_the_nearest_length_of_each_data_set_is_quoted(measured):
    small, large, silent, long, last = measured
    assert results.precedents(24) == [small]
    assert results.precedents(37) == [small, silent]  # 37 / 24 is less than 60 / 37
    assert results.precedents(39) == [large, silent]
    assert results.precedents(60) == [large, silent]
    assert results.precedents(90) == [large, long]
    assert results.precedents(199) == [long]
    assert results.precedents(240) == [long, last]
    assert results.precedents(241) == [last]
    assert results.precedents(599) == [last]
    assert results.precedents(600) == []  # as many as convergence took there
    assert results.precedents(12) == [small]
    assert results.precedents(11) == []


def test_the_table_has_the_lengths_with_one_rate_and_a_schedule_of_their_own(tmp_path):
    def trainings(**more):
        return [
            _training(loss, epochs, final + 0.001 * seed, seed, **more)
            for loss, ends in {"dice": (0.3, 0.5), "bce": (0.4, 0.4)}.items()
            for epochs, final in zip((10, 100), ends, strict=True)
            for seed in range(3)
        ]

    found = results.courses([*trainings(), *trainings(tuning={"field": "train.learning_rate"})])
    assert len(found) == 4  # tuned and not, own schedule and cut short
    assert results.precedents_of(found) == [own.Precedent("d", 100, 1000, 1, 0, 1)]
    results.write_precedents(found, tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["dataset", "steps", "converged", "verdicts", "held", "turned"],
            ["d", "100", "1000", "1", "0", "1"],
        ]


def test_the_kept_table_and_the_page_are_those_of_the_release():
    found = results.courses(one.record for one in results.iterate(["0.2.0-budget.1", "0.2.0-budget.2"]))
    assert list(own._measured()) == results.precedents_of(found)
    page = Path(__file__).parents[2] / "docs" / "budget.md"
    assert budget.filled(page.read_text(encoding="utf-8"), found) == page.read_text(encoding="utf-8")
