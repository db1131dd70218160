"""Releases by their names: in which order they stand, and what the runs of one are called."""

from pathlib import Path
from types import SimpleNamespace

import pytest

import reports
import results
from bench import compare, publish, report, run
from bench.core import UsageError
from results import release
from tests.commands.here import call
from tests.invented_runs import chosen as made
from tests.invented_runs import lifelike


@pytest.fixture
def releases(tmp_path, monkeypatch):
    """An empty folder of releases in the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results" / "releases"
    folder.mkdir(parents=True)
    return folder


def complete(folder, grid, **more):
    """A run with the files that its tables and its report would be."""
    made.made_run(folder, {"dice": {0: (0.7, 40.0)}}, grid=grid, **more)
    for name in ("report/report.md", "report/report.html", "tables/trials.parquet"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    return folder


def test_a_version_stands_behind_its_candidates_and_before_a_larger_number(releases):
    for name in ("0.10.0", "0.2.0", "0.2.0-rc2", "0.2.0-rc1", "0.2.1", "notes", ".0.3.0.tmp"):
        (releases / name).mkdir()
    assert results.published() == ["0.2.0-rc1", "0.2.0-rc2", "0.2.0", "0.2.1", "0.10.0"]


def test_runs_of_a_release_have_the_names_of_their_grids_or_of_their_folders_if_they_share_one(releases, tmp_path):
    runs = [
        complete(tmp_path / name, grid) for name, grid in (("a", "losses"), ("b", "losses"), ("c", "my/heads.yaml"))
    ]
    found = release.publish(runs, "1.0.0")
    assert {path.name for path in found.iterdir() if path.is_dir()} == {"a", "b", "heads"}
    with pytest.raises(ValueError, match="the same run is given twice"):
        release.publish([runs[0], runs[0]], "1.1.0")
    assert [path.name for path in releases.iterdir()] == ["1.0.0"]


def test_folders_of_this_machine_are_left_out_of_a_release_and_no_others(releases, tmp_path):
    """A root that is relative is none of this machine's, and neither is `/`, from where the command may be started."""
    data = {"data": {"root": "sets/cats", "planned_root": str(tmp_path / "sets" / "cats")}}
    folder = complete(tmp_path / "r", "losses", spec=data)
    log = next(folder.glob("trials/*")) / "log.txt"
    log.write_text(f"of sets/cats, {tmp_path}/sets/cats, {tmp_path}/r and /usr/share\n")
    found = release.publish([folder], "1.0.0")
    assert next(found.rglob("log.txt")).read_text() == "of sets/cats, cats, r and /usr/share\n"
    assert Path("/") not in release._places(results.read_run(folder))


def test_a_release_is_written_into_the_working_tree_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = results.read_run(made.made_run(tmp_path / "r", {"ce": {0: (0.7, 40.0)}}))
    with pytest.raises(ValueError, match="releases are kept in the project's working tree; start from there"):
        release.check([run], "1.0.0")


def test_what_a_run_lacks_is_named_up_to_three(releases, tmp_path):
    run = results.read_run(made.made_run(tmp_path / "r", {"ce": dict.fromkeys(range(5))}))
    lacks = "ce-s0: diverged; ce-s1: diverged; ce-s2: diverged and 2 more"
    with pytest.raises(ValueError, match=rf"r: incomplete \({lacks}\); finish it or use --incomplete"):
        release.check([run], "1.0.0")
    assert release.check([run], "1.0.0", incomplete=True) == releases / "1.0.0"
    three = results.read_run(made.made_run(tmp_path / "three", {"ce": dict.fromkeys(range(3))}))
    with pytest.raises(ValueError, match=r"ce-s2: diverged\); finish"):
        release.check([three], "1.0.0")


def test_a_release_may_show_no_picture_of_the_data_and_the_run_keeps_its_own(releases, tmp_path):
    run = lifelike.write_run(tmp_path / "r", labels=["dice"], seeds=1, pictures=2)
    for version, pictures in (("1.0.0", False), ("1.0.1", True)):
        with pytest.raises(SystemExit, match="0"):
            publish.main([run], version, pictures=pictures)
    without, shown = (next((releases / version).rglob("report.html")) for version in ("1.0.0", "1.0.1"))
    assert not (without.parent / "figures" / "pictures.png").exists()
    assert (shown.parent / "figures" / "pictures.png").exists()
    assert (run / "report" / "figures" / "pictures.png").exists()
    texts = [path.read_text() for path in (without, shown)]
    for part in ("Predictions", "Picture viewer"):
        assert [part in text for text in texts] == [False, True]


def test_what_writes_into_a_run_refuses_a_release_by_path_and_by_name(releases, tmp_path, monkeypatch, capsys):
    found = release.publish([complete(tmp_path / "r", "losses")], "1.0.0")
    before = {path: path.read_bytes() for path in found.rglob("*") if path.is_file()}
    for write in (results.write_tables, reports.write):
        for name in (found, "1.0.0"):
            with pytest.raises(ValueError, match="a published release never changes"):
                write(name)
    for main, words in (
        (report.main, ("1.0.0",)),
        (run.main, ("--resume", found)),
        (publish.main, (found, "--release", "2.0.0")),
    ):
        status, _, told = call(main, *words, cwd=tmp_path, patch=monkeypatch, capsys=capsys)
        assert (status, told.count("\n")) == (2, 1), told
        assert "a published release never changes" in told
    assert {path: path.read_bytes() for path in found.rglob("*") if path.is_file()} == before
    assert [path.name for path in releases.iterdir()] == ["1.0.0"]


def test_a_list_of_sums_with_a_line_that_is_none_is_named(tmp_path):
    (tmp_path / "record.json").write_text("{}")
    (tmp_path / "SHA256SUMS").write_text(release._sums(tmp_path))
    release.verify(tmp_path)
    with (tmp_path / "SHA256SUMS").open("a") as file:
        file.write("a line of another kind\n")
    with pytest.raises(ValueError, match=r"SHA256SUMS changed after publishing; restore the release$"):
        release.verify(tmp_path)


def test_no_blessing_is_written_into_a_release(tmp_path):
    (tmp_path / "SHA256SUMS").write_text("")
    with pytest.raises(UsageError, match="a published release never changes; name another folder"):
        compare.bless(SimpleNamespace(head=SimpleNamespace(folder=str(tmp_path))), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["SHA256SUMS"]
