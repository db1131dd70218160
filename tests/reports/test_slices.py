"""The section on slices: a table per feature, whose estimates are those of the statistics, and none without slices."""

import numpy as np
import pytest

import reports
import results
from reports.document import Document
from reports.format import estimate
from reports.markdown import render
from reports.pages.run import slices
from reports.summary import summarize
from results.statistics import intervals
from tests.invented_runs import lifelike
from tests.reports.text import text_of

VALUES = {"site": {"Lund": 10, "Umeå": 6}, "time": {"night": 16}}


def with_slices(folder, values=VALUES, only=("a", "b"), split="val"):
    """Give each trial of a run slices of chosen scores: {(feature, value): {cell: {seed: mIoU}}}."""
    rng = np.random.default_rng(3)
    scores = {}
    for path in sorted(folder.glob("trials/*")):
        record = results.read(path)
        if record.status != "ok" or record.label not in only:
            continue
        found = []
        for feature, images in values.items():
            for value, count in images.items():
                wrong = int(rng.integers(5, 40))
                confusion = np.zeros((len(record.views[0].confusion),) * 2, int)
                confusion[0, 0], confusion[1, 1], confusion[0, 1] = 100, 80, wrong
                found.append({"feature": feature, "value": value, "images": count, "confusion": confusion})
                miou = (100 / (100 + wrong) + 80 / (80 + wrong)) / 2  # the other classes do not occur
                scores.setdefault((feature, value), {}).setdefault(record.label, {})[record.seed] = miou
        views = [
            results.ViewScores(**{**view.model_dump(), "slices": found if view.split == split else []})
            for view in record.views
        ]
        results.write(path, record.model_copy(update={"views": views}))
    return scores


def section(folder):
    run = results.read_run(folder)
    return render(Document("run", slices.section(run, summarize(run)))).partition("## Per slice")[2]


def rows(table):
    return [[part.strip() for part in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")]


def test_the_report_has_the_section_where_there_are_slices(tmp_path):
    folder = lifelike.write_run(tmp_path / "r", labels=["a"], seeds=2, pictures=0)
    assert "## Per slice" not in text_of(folder)
    with_slices(folder)
    assert section(folder).strip() in reports.write(folder).read_text()


def test_each_feature_has_a_table_with_the_intervals_of_the_statistics(tmp_path):
    folder = lifelike.write_run(tmp_path / "r", labels=["a", "b"], seeds=4, pictures=0)
    assert section(folder) == ""
    scores = with_slices(folder)
    found = section(folder)
    assert "mean ± 95 % interval over the seeds, noise shared by the cells of a column" in " ".join(found.split())
    site, time = found.split("###")[1:]
    assert [part.split("\n")[0].strip() for part in (site, time)] == ["site", "time"]
    assert rows(site)[0] == ["cell", "Lund (10)", "Umeå (6)"]
    assert rows(time)[0] == ["cell", "night (16)"]
    shown = {row[0]: row[1:] for row in rows(site)[2:]}
    for column, value in enumerate(("Lund", "Umeå")):
        expected = intervals(scores["site", value])
        assert all("±" in estimate(one) for one in expected.values())
        assert {cell: row[column] for cell, row in shown.items()} == {
            cell: estimate(one) for cell, one in expected.items()
        }


def test_one_seed_has_no_interval_and_the_page_says_so(tmp_path):
    folder = lifelike.write_run(tmp_path / "r", labels=["a", "b"], seeds=1, pictures=0)
    scores = with_slices(folder)
    found = section(folder)
    assert "no intervals: one seed per cell shows no spread" in " ".join(found.split())
    assert {row[0]: row[1] for row in rows(found.split("###")[2])[2:]} == {
        cell: f"{100 * seeds[0]:.1f}" for cell, seeds in scores["time", "night"].items()
    }


def test_other_images_of_a_value_are_another_column_and_a_cell_without_slices_is_left_out(tmp_path):
    folder = lifelike.write_run(tmp_path / "r", labels=["a", "b", "c"], seeds=2, pictures=0)
    with_slices(folder, only=("a",))
    with_slices(folder, {"site": {"Lund": 9}}, only=("b",))
    site = rows(section(folder).split("###")[1])
    assert site[0] == ["cell", "Lund (9)", "Lund (10)", "Umeå (6)"]
    shown = {row[0]: [cell != "–" for cell in row[1:]] for row in site[2:]}
    assert shown == {"a": [False, True, True], "b": [True, False, False]}


def test_slices_are_of_the_split_that_judges_the_cells(tmp_path):
    folder = lifelike.write_run(tmp_path / "r", labels=["a"], seeds=2, pictures=0, test=True)
    with_slices(folder, split="val")
    assert "on the images of the validation split" in " ".join(section(folder).split())
    for path in folder.glob("trials/*"):
        record = results.read(path)
        swapped = [one.model_copy(update={"split": {"val": "test", "test": "val"}[one.split]}) for one in record.views]
        results.write(path, record.model_copy(update={"views": swapped}))
    assert section(folder) == "", "slices of the test split do not judge"


@pytest.mark.parametrize("shared", [True, False])
def test_each_data_set_has_its_own_tables(tmp_path, shared):
    """Noise is shared by the cells of one data set, and the estimates of the others do not change it."""
    folder = lifelike.write_run(tmp_path / "r", labels=["a", "b"], seeds=3, pictures=0)
    scores = with_slices(folder, {"time": {"night": 16}})
    for path in folder.glob("trials/b-*"):
        record = results.read(path)
        other = record.dataset.model_copy(update={"name": "other"} if not shared else {})
        results.write(path, record.model_copy(update={"dataset": other}))
    tables = section(folder).split("###")[1:]
    shown = {row[0]: row[1] for table in tables for row in rows(table)[2:]}
    by_cell = scores["time", "night"]
    if shared:
        assert [table.split("\n")[0].strip() for table in tables] == ["time"]
        assert shown == {cell: estimate(one) for cell, one in intervals(by_cell).items()}
    else:
        assert [table.split("\n")[0].strip() for table in tables] == ["fake: time", "other: time"]
        alone = {cell: intervals({cell: seeds})[cell] for cell, seeds in by_cell.items()}
        assert shown == {cell: estimate(one) for cell, one in alone.items()}
