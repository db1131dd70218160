"""Number formats and the metrics' units, on values computed by hand, and who imports whom among the reports."""

import ast
from pathlib import Path

import numpy as np
import pytest

import results
from reports import format as written
from reports import metrics
from reports.pages import phrases
from results.statistics import Interval

HOME = Path(__file__).parents[2]
NAN = float("nan")


def row(metric="miou", scale="difference", **values):
    return results.ComparisonRow("cell", "label", "default", metric, "ok", scale=scale, **values)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (written.number(2.345, 1), "2.3"),
        (written.percent(0.12345), "12.3"),
        (written.percent(0.12345, 2), "12.35"),
        (written.points(-0.004), "-0.40"),
        (written.percent_range(0.1, 0.25, 1), "10.0 to 25.0"),
        (written.points_range(-0.1, 0.25), "-10.00 to +25.00"),
        (written.plus_minus(0.0123, 2), "± 1.23"),
        (written.significant(1234.5), "1.2e+03"),
        (written.chance(0.995), "> 0.99"),
        (written.chance(0.99), "0.99"),
        (written.chance(0.004), "< 0.01"),
        (written.p_value(0.0009), "<0.001"),
        (written.p_value(0.001), "0.001"),
        (written.plain(["é"]), '["é"]'),
    ],
)
def test_a_number_is_written_in_one_way(shown, expected):
    assert shown == expected


@pytest.mark.parametrize(
    "shown",
    [
        written.number(NAN, 1),
        written.percent(NAN),
        written.points(NAN),
        written.significant(NAN),
        written.percent_range(NAN, NAN),
        written.points_range(NAN, NAN),
        written.chance(NAN),
        written.p_value(NAN),
        written.metric_value("miou", NAN),
        written.change(row(), NAN),
        written.amount(row(), NAN),
        written.change_interval(row()),
    ],
)
def test_what_was_not_measured_is_a_dash(shown):
    assert shown == written.DASH


def test_an_estimate_has_its_interval_where_there_is_one():
    known = {"n": 3, "sd": 0.01, "method": "own"}
    assert written.estimate(Interval(mean=0.5, low=0.48, high=0.52, **known)) == "50.0 ± 2.0"
    assert written.estimate(Interval(mean=0.5, low=0.48, high=0.52, **known), 2) == "50.00 ± 2.00"
    assert written.estimate(Interval(mean=0.5, low=NAN, high=NAN, **known)) == "50.0"


def test_a_change_is_in_points_in_the_metrics_unit_or_in_percent():
    assert written.change(row(), 0.0123) == "+1.23 pt"
    assert written.change(row("compile_s"), -2.0) == "-2.00"
    assert written.change(row("images_per_second", "ratio"), 0.0523) == "+5.2 %"
    assert written.amount(row(), 0.005) == "0.50 pt"
    assert written.change_interval(row(low=-0.01, high=0.02)) == "-1.00 to +2.00"
    assert written.change(row(), -0.00001) == "+0.00 pt", "a zero has no minus"


def test_a_metric_has_its_name_and_unit_and_an_unknown_one_its_own_name():
    assert written.metric_value(results.TRIALS, 3) == "3 ok"
    assert (metrics.name("miou"), metrics.is_percentage("miou")) == ("mIoU", True)
    assert (metrics.name("images_per_second"), metrics.is_percentage("images_per_second")) == ("images/s", False)
    assert (metrics.name("flops"), written.metric_value("flops", 0.12345)) == ("flops", "0.1235")


def test_every_metric_of_the_margins_that_come_along_has_a_name():
    rules = results.margins.read(str(results.margins.DEFAULT))
    assert {*rules.metrics} <= {*metrics.METRICS}


def test_names_are_listed_up_to_a_number_and_counted_beyond():
    assert phrases.listed([str(i) for i in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
    assert [results.counted(n, "seed") for n in (0, 1, 2)] == ["0 seeds", "1 seed", "2 seeds"]
    assert sorted([("oom", 1), ("ok", 2), ("crashed", 1)], key=phrases.ok_first)[0] == ("ok", 2)


def test_iou_of_a_matrix_by_hand():
    """Class 0: 3 of 4 pixels; class 1: 4 of 5; class 2 occurs nowhere and does not count."""
    matrix = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    np.testing.assert_array_equal(results.class_iou(matrix), [0.75, 0.8, NAN])
    assert results.mean_iou(matrix) == pytest.approx(0.775)
    assert np.isnan(results.mean_iou(np.zeros((3, 3), int)))


def test_no_file_of_the_reports_is_in_a_circle_of_imports_late_ones_included():
    files = {".".join(path.relative_to(HOME).with_suffix("").parts): path for path in (HOME / "reports").rglob("*.py")}
    files = {name.removesuffix(".__init__"): path for name, path in files.items() if path.parent.name != "reports" or
             path.name != "__init__.py"}  # fmt: skip
    arrows = {}
    for name, path in files.items():
        imported = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                imported |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        # A package's `__init__` hands on what its files hold: it comes after them, not before.
        arrows[name] = {other for other in imported & set(files) if not name.startswith(f"{other}.")} - {name}
    while free := {name for name, others in arrows.items() if not others & set(arrows)}:
        arrows = {name: others for name, others in arrows.items() if name not in free}
    assert not arrows
