"""The history in a terminal of any width, and as values."""

import json
from pathlib import Path

import pytest
from rich.cells import cell_len

import results
from reports import markdown, release_history
from results import margins
from tests.invented_runs import chosen as made

HERE = Path(__file__).parent

METRICS = [*margins.read(str(margins.DEFAULT)).metrics]
LONG = "16 crf(gaussian_sxy=1,gaussian_compat=1,bilateral_sxy=26,bilateral_compat=3)"


@pytest.fixture(scope="module")
def published():
    return results.cell_history(results.published_runs())


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Six releases of two cells: `dice` drifts down by 0.3 points each, speed falls on another machine at the end."""
    folder = tmp_path_factory.mktemp("releases")
    runs = []
    for n in range(6):
        cells = {
            "dice": {seed: (0.700 - 0.003 * n + 0.0005 * (seed - 1), 40.0 + 0.01 * seed) for seed in range(3)},
            LONG: {seed: (0.6 + 0.0005 * (1, -1, 0)[seed], 30.0 + 0.01 * seed) for seed in range(3)},
        }
        machine = {**made.MACHINE, "processor": "Intel Xeon"} if n == 5 else made.MACHINE
        runs.append(results.read_run(made.made_run(folder / f"0.{n}.0-candidate", cells, machine=machine)))
    return results.cell_history(runs)


def told(history, width, metrics=("miou",)):
    return [line.text for line in release_history.terminal_text(history, metrics, width)]


@pytest.mark.parametrize("width", [40, 61, 80, 132])
def test_no_line_is_wider_than_the_terminal(published, history, width):
    for one in (published, history):
        lines = told(one, width, METRICS)
        assert max(map(cell_len, lines)) <= width
    for label in ("dice", "focal_tversky"):
        assert any(line.startswith(label) for line in told(published, width)), "labels are there"


def test_the_newest_releases_are_shown_and_one_line_names_the_others(history):
    lines = told(history, 80)
    assert lines[:2] == [
        "mIoU, % on d",
        "Not shown at this width: 0.0.0-candidate, 0.1.0-candidate, 0.2.0-candidate,",
    ]
    heads = next(line for line in lines if line.startswith("cell"))
    assert heads.split() == ["cell", "0.4.0-candidate", "0.5.0-candidate"]
    assert told(history, 200)[1].split()[1:] == list(history.runs)


def test_a_long_label_is_continued_and_not_cut(history):
    lines = told(history, 80)
    first = next(index for index, line in enumerate(lines) if line.startswith("16 crf"))
    parts = [lines[first].split("  ")[0]]
    while lines[first + len(parts)].startswith("  "):
        parts.append(lines[first + len(parts)].strip())
    assert "".join(parts) == LONG
    assert len(parts) < 6


def test_values_have_intervals_and_marks_and_every_change_is_told(history):
    lines = told(history, 200)
    row = next(line for line in lines if line.startswith("dice"))
    # sd 0.05 points in both cells, so t(0.975, df 4) = 2.7764 and 2.7764 x 0.05 / sqrt(3) = 0.08.
    assert "70.00 ±0.08" in row
    assert "69.70 ±0.08 =" in row
    assert "69.10 ±0.08 ↘" in row, "the drift, at the fourth release"
    text = " ".join(lines)
    assert "0.3.0-candidate, d: regressed: dice, mIoU 69.70 → 69.10 (-0.60 pt" in text
    assert "against the level of 0.0.0-candidate to 0.2.0-candidate" in text
    assert "0.5.0-candidate against 0.4.0-candidate: processor differs: AMD EPYC / Intel Xeon" in text


def test_the_same_in_markdown_and_as_json(history):
    text = markdown.render(release_history.document(history, ["miou"]))
    assert "69.10 ±0.08 ↘" in text
    lines = json.loads(json.dumps(release_history.plain(history, METRICS), allow_nan=False))
    assert {line["metric"] for line in lines} == {"miou", "images_per_second", "peak_rss_mb", "compile_s"}
    (dice,) = [line for line in lines if line["cell"] == "dice" and line["metric"] == "miou"]
    point = dice["releases"]["0.3.0-candidate"]
    assert (point["mean"], point["seeds"], point["level"]) == (pytest.approx(0.691), 3, 1)
    assert point["step"]["against"] == ["0.0.0-candidate", "0.1.0-candidate", "0.2.0-candidate"]
    assert dice["releases"]["0.0.0-candidate"]["verdict"] is None
