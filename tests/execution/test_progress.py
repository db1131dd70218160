"""What the view of a running grid and its file say of the trials, and of the time that is left."""

import io
from datetime import datetime

import pytest
from rich.console import Console

from bench.core import PROGRESS_FILE, Underway, read_progress
from bench.execution import progress_file, standing
from bench.execution.progress import ProgressView
from bench.execution.progress_file import ProgressFile
from bench.execution.standing import Standing
from bench.execution.time_left import TimeLeft, time_left


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(standing.time, "monotonic", lambda: now[0])
    return now


def _standing(trials, lasted=()):
    return Standing(dict.fromkeys(trials, ("cell", 1)), [("cell", seconds) for seconds in lasted])


def test_the_time_left_is_unknown_until_a_trial_is_complete(clock):
    out = io.StringIO()
    found = _standing("abcd")
    view = ProgressView(found, Console(file=out, width=200))
    assert found.time_left() is None
    found.started("a")
    clock[0] += 5
    view.ended("a", "crashed", found.ended("a", "crashed"))
    assert found.time_left() is None, "one that failed tells nothing of the others"
    assert "? left" in out.getvalue()
    found.started("b")
    clock[0] += 60
    view.ended("b", "ok", found.ended("b", "ok"))
    assert found.time_left() == TimeLeft(120, 120, 120, 1)
    assert "~2:00 left" in out.getvalue()


def test_trials_that_were_complete_before_tell_the_time(clock):
    found = _standing("ab", lasted=[30.0, 50.0])
    assert found.time_left() == TimeLeft(60, 80, 100, 2)
    found.started("a")
    clock[0] += 10
    assert found.time_left() == TimeLeft(50, 70, 90, 2)
    found.retried("a")
    assert found.time_left() == TimeLeft(60, 80, 100, 2)


def test_trials_wait_for_one_another_and_take_the_time_of_their_cell():
    # Two at a time: long ends at 90, short at 5; the waiting three start at 5, 15 and 25 behind the short one.
    lasted = {"long": [100.0], "short": [10.0]}
    left = time_left(lasted, [("long", 10.0), ("short", 5.0)], ["short"] * 3, 2)
    assert left == TimeLeft(90, 90, 90, 2)
    left = time_left(lasted, [("long", 10.0), ("short", 5.0)], ["short", "new", "long"], 2)
    # "new" has the least, the middle and the most of all: 10, 55, 100 s, from 15 on; "long" starts at the next end.
    assert left == TimeLeft(25 + 100, 70 + 100, 90 + 100, 2)
    assert time_left(lasted, [("short", 60.0)], [], 2) == TimeLeft(0, 0, 0, 2), "later than any before: any moment"


def test_the_file_says_where_the_run_stands_and_is_gone_at_the_end(tmp_path, clock):
    found = _standing("abc", lasted=[40.0])
    file = ProgressFile(tmp_path / "search", found)
    file.write()
    assert read_progress(tmp_path / "search").waiting == ("a", "b", "c")
    found.started("b")
    found.message("b", {"host": "node1", "epoch": 3, "loss": 0.5, "miou": 0.25})
    file.write()
    assert read_progress(tmp_path / "search").running == {}, "younger than EVERY: left as it is"
    clock[0] += progress_file.EVERY
    file.write()
    told = read_progress(tmp_path / "search")
    assert told.waiting == ("a", "c")
    assert told.running == {"b": Underway(told.running["b"].since, 1, "node1", 3, 1, 0.5, 0.25, None)}
    assert datetime.fromisoformat(told.running["b"].since).tzinfo is not None
    assert (told.left, told.told_by) == ((115.0, 115.0, 115.0), 1)
    assert told.held == {}
    found.hold("node1", "it cannot write")
    assert found.progress().held == {"node1": "it cannot write"}
    found.let_go("node1")
    assert found.progress().held == {}
    file.close()
    assert read_progress(tmp_path / "search") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": "a"}', '{"running": [], "left": null, "waiting": []}'])
def test_a_file_that_cannot_be_read_is_none(tmp_path, text):
    (tmp_path / PROGRESS_FILE).write_text(text)
    assert read_progress(tmp_path) is None


def test_a_folder_that_cannot_be_written_ends_nothing(tmp_path):
    (tmp_path / "run").touch()
    ProgressFile(tmp_path / "run", _standing("a")).write()
