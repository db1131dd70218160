"""What the figures of a report say: they agree with the tests, and can be read."""

from dataclasses import replace

import matplotlib.pyplot as plt
import pytest
from matplotlib.colors import to_rgb

import results
from reports.figures import scores
from reports.figures.theme import readable, styles
from reports.summary import summarize
from tests.invented_runs import lifelike as fake


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def test_a_label_keeps_its_look_in_every_report():
    few, many = styles(["dice", "focal"]), styles(["tversky", "dice", "bce", "focal"])
    assert few["dice"] == many["dice"]
    assert few["focal"] == many["focal"]
    assert styles(["resnet18"]) == styles(["resnet18"])
    # By its letters `b` would have the colour of dice, which keeps it.
    assert styles(["b"])["b"] == styles(["dice"])["dice"]
    assert styles(["b", "dice"])["dice"] == styles(["dice"])["dice"]


def test_a_label_of_two_runs_keeps_its_colour_and_has_two_markers():
    looks = styles(["dice (a)", "dice (b)", "focal", "mine (a)", "mine (b)"])
    assert {looks[f"dice ({run})"]["color"] for run in "ab"} == {styles(["dice"])["dice"]["color"]}
    assert looks["dice (a)"]["marker"] != looks["dice (b)"]["marker"]
    assert looks["mine (a)"]["color"] == looks["mine (b)"]["color"] == styles(["mine"])["mine"]["color"]
    assert looks["focal"] == styles(["focal"])["focal"]


def test_no_two_labels_of_a_report_look_the_same():
    for number in (10, 40, 100):
        looks = styles(f"backbone {place}" for place in range(number))
        assert len({(look["color"], look["marker"]) for look in looks.values()}) == number
    assert len({look["color"] for look in styles(f"backbone {place}" for place in range(10)).values()}) == 10
    assert len(styles(f"backbone {place}" for place in range(130))) == 130


def test_an_interval_from_the_best_crosses_zero_where_the_marker_is_open(tmp_path):
    for gap in (0.004, 0.01, 0.02):
        run = results.read_run(fake.write_run(tmp_path / str(gap), gap=gap, pictures=0))
        axes = scores.best(summarize(run)).axes[0]
        markers = [line for line in axes.lines if line.get_marker() not in ("", "None") and len(line.get_xdata()) == 1]
        bars = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_linewidth() == 2.4]
        assert len(markers) == len(bars) == 6
        for marker, bar in zip(markers, bars, strict=True):
            low, high = bar.get_xdata()
            assert (low < 0 < high) == (marker.get_markerfacecolor() == "white"), gap


def test_a_frontier_joins_only_what_the_seeds_tell_apart_in_speed(tmp_path):
    run = results.read_run(fake.write_run(tmp_path / "r", labels=["a", "b", "c"], pictures=0))
    cells = summarize(run).measured

    def joined(*rates):
        timed = [replace(cell, rates=own, images_per_second=own[1]) for cell, own in zip(cells, rates, strict=True)]
        return [cell.label for cell in scores.frontier(timed)]

    assert joined((10, 11, 12), (12.5, 13, 14), (20, 21, 22)) == ["a", "b", "c"]
    assert joined((10, 11, 12), (11, 11.5, 13), (20, 21, 22)) == ["a", "c"]  # faster than most of a, not than all
    assert joined((10, 11, 12), (10.5, 13, 14), (13, 13.5, 14)) == ["a", "c"]  # b has a seed as slow as a
    assert joined((37, 37.4, 38), (37, 37.7, 38), (9, 10, 11)) == ["a"]
    assert joined((10, 10, 10), (11, 11, 11), (11, 11, 11)) == ["a", "b"]  # one seed each


def test_classes_are_in_the_order_of_the_confusion_matrix_and_their_digits_stand_out(tmp_path):
    run = results.read_run(fake.write_run(tmp_path / "r", labels=["a", "b"], classes=7, pictures=0))
    summary = summarize(run)
    for name, figure in (("classes", scores.classes(run, summary)), ("confusion", scores.confusion(run, summary))):
        heat = figure.axes[0]
        assert [label.get_text() for label in heat.get_xticklabels()] == fake.NAMES, name
        fields = heat.collections[0].get_facecolors()
        for text, field in zip(heat.texts, fields, strict=True):
            assert _contrast(to_rgb(text.get_color()), field) >= 4.5, name


def test_black_or_white_whichever_stands_out_more():
    assert [readable(color) for color in ((1, 1, 1), (0, 0, 0), (0.46, 0.46, 0.46), (0.47, 0.47, 0.47, 1))] == [
        "black", "white", "white", "black"
    ]  # fmt: skip


def _contrast(one, other):
    def light(color):
        parts = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in color[:3]]
        return 0.05 + 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    return max(light(one), light(other)) / min(light(one), light(other))
