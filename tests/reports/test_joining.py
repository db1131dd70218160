"""One report on several runs: whose cells they are, and what may be compared."""

import json

import pytest
from typer.testing import CliRunner

import reports
import results
from reports.joining import join, named
from reports.settings import settings
from reports.summary import summarize
from tests.invented_runs import lifelike as fake


def runs(tmp_path, **second):
    first = fake.write_run(tmp_path / "one", labels=["dice", "bce"], pictures=0)
    other = fake.write_run(tmp_path / "two", **{"labels": ["dice", "mine"], "pictures": 0} | second)
    return [results.read_run(folder) for folder in (first, other)]


def rewrite(run, **change):
    """Change the records of a run on disk, and read it again."""
    for one in run.trials:
        results.write(one.folder, one.record.model_copy(update={k: make(one.record) for k, make in change.items()}))
    return results.read_run(run.folder)


def test_a_cell_of_two_runs_is_a_cell_of_each(tmp_path):
    both = runs(tmp_path)
    joined = join(both, tmp_path / "both")
    summary = summarize(joined)
    # In these runs keys are places: dice is the first cell of both, bce and mine the second.
    assert {cell.label: len(cell.miou) for cell in summary.cells} == {
        "dice (one)": 3, "dice (two)": 3, "bce": 3, "mine": 3
    }  # fmt: skip
    assert len({cell.key for cell in summary.cells}) == 4
    alone = {cell.label: cell.miou for cell in summarize(both[1]).cells}
    assert next(cell.miou for cell in summary.cells if cell.label == "mine") == alone["mine"]
    assert {values["run"] for values in settings(joined).differing.values()} == {"one", "two"}
    assert not summary.missing


def test_speeds_of_different_machines_are_not_compared(tmp_path):
    one, two = runs(tmp_path)
    assert not summarize(join([one, two], tmp_path / "both")).incomparable
    two = rewrite(two, environment=lambda record: {**record.environment, "cores": 64})
    summary = summarize(join([one, two], tmp_path / "both"))
    assert summary.incomparable == ["the runs were measured on different machines (cores)"]
    assert not summary.timed


def test_scores_on_two_versions_of_a_data_set_are_not_ranked_together(tmp_path):
    one, two = runs(tmp_path)
    two = rewrite(two, dataset=lambda record: record.dataset.model_copy(update={"version": "fedcba987"}))
    summary = summarize(join([one, two], tmp_path / "both"))
    assert {name: [cell.label for cell in part.cells] for name, part in summary.parts.items()} == {
        "fake (abc123)": ["dice (one)", "bce"], "fake (fedcba98)": ["dice (two)", "mine"]
    }  # fmt: skip


def test_a_run_is_named_by_what_tells_it_from_the_others(tmp_path):
    folders = [tmp_path / "a" / "losses", tmp_path / "b" / "losses"]
    found = [results.read_run(fake.write_run(folder, labels=["dice"], seeds=1, pictures=0)) for folder in folders]
    assert named(found) == ["a/losses", "b/losses"]
    assert named(found[:1]) == ["losses"]
    with pytest.raises(ValueError, match="given twice"):
        named([found[0], found[0]])


def test_the_page_names_the_runs_and_links_to_their_reports_and_records(tmp_path):
    one, two = runs(tmp_path)
    reports.write(one.folder)
    before = {path: path.read_bytes() for run in (one, two) for path in run.folder.rglob("*.*")}
    text = reports.write_together([one.folder, two.folder], tmp_path / "both").read_text()
    assert text.startswith("# one and two\n")
    assert "[one](../../one/report/report.html) |" in text
    assert "| two | losses | 2 | 6 of 6 trials ok |" in text
    assert "[record](../../two/trials/mine-s0/record.json)" in text
    assert {path: path.read_bytes() for path in before} == before, "the runs are only read"
    assert not [path for path in (tmp_path / "both").iterdir() if path.name != "report"]


def test_the_command_takes_several_runs_and_refuses_what_makes_no_sense(tmp_path, monkeypatch):
    from bench.__main__ import app

    one = fake.write_run(tmp_path / "one", labels=["dice"], seeds=1, pictures=0)
    fake.write_run(tmp_path / "two", labels=["dice"], seeds=1, pictures=0)
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        return CliRunner().invoke(app, ["report", *map(str, arguments)])

    done = call("one", "two", "--out", "else")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == ["else/report/report.md", "else/report/report.html"]
    assert (tmp_path / "else" / "report" / "report.html").is_file()
    (tmp_path / "runs" / "one+two" / "trials").mkdir(parents=True)
    for arguments, told in (
        (("one", "two", "--base", "one"), "has no base"),
        (("one", "--out", "x"), "lies in its folder"),
        (("one", "two", "--out", "one"), "one: holds a run"),
        (("one", "two"), "runs/one+two: holds a run"),
        (("one", "one"), "given twice"),
        (("one", "three"), "three: no such file or folder"),
    ):
        refused = call(*arguments)
        assert refused.exit_code == 2, arguments
        assert told in refused.output
        assert len(refused.output.strip().splitlines()) == 1
    assert json.loads((one / "run.json").read_text())["name"] == "fake-losses"


def test_older_scores_on_another_data_set_stay_in_their_own_table(tmp_path):
    one, two = runs(tmp_path)
    two = rewrite(
        two,
        dataset=lambda record: record.dataset.model_copy(update={"name": "other"}),
        scoring=lambda record: results.SCORING_VERSION - 1,
    )
    text = reports.write_together([one.folder, two.folder], tmp_path / "both").read_text()
    assert "6 trials have scores of an older version than the others: they are left out of the comparison" in text
    assert "| mine | " in text.split("### other")[1].split("\n#")[0]
