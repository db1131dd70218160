"""Metrics of the user's own: values of the confusion matrix of each view, and none where they raise."""

import sys
from types import SimpleNamespace

import pytest

from bench.trial.own_metrics import with_own_metrics

ROWS = [
    {"view": "default", "split": "val", "confusion": [[3, 1], [0, 4]]},
    {"view": "flip", "split": "val", "confusion": [[4, 0], [2, 2]]},
]


@pytest.fixture(autouse=True)
def _module(monkeypatch):
    functions = {"accuracy": lambda matrix: matrix.trace() / matrix.sum(), "raises": lambda matrix: matrix[5]}
    monkeypatch.setitem(sys.modules, "mymetrics", SimpleNamespace(**functions))


def test_each_view_has_its_own_value():
    found = with_own_metrics(ROWS, ["mymetrics:accuracy"])
    assert [row["own"] for row in found] == [{"mymetrics:accuracy": 7 / 8}, {"mymetrics:accuracy": 6 / 8}]
    assert [row["view"] for row in found] == ["default", "flip"]
    assert with_own_metrics(ROWS, []) == ROWS


def test_a_metric_that_raises_is_unknown_and_costs_nothing_else(capsys):
    found = with_own_metrics(ROWS, ["mymetrics:raises", "mymetrics:accuracy"])
    assert found[0]["own"] == {"mymetrics:raises": None, "mymetrics:accuracy": 7 / 8}
    assert "mymetrics:raises raises IndexError" in capsys.readouterr().out
