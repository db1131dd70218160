"""Two revisions of a small repository side by side: turns, verdicts, interruption, bad input. Ray and git are real."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from rich.console import Console

import results
from bench.core import UsageError
from bench.execution import RunRequest, session
from bench.plan import grid
from bench.versus import SIDES, Request, order_in_words, pairs, run
from tests.revisions import toy_project as toy
from tests.versus.two_revisions import made, request

ROOT = Path(__file__).parents[2]
QUIET = Console(quiet=True)


@pytest.fixture
def project(tmp_path):
    return made(tmp_path)


def start(project, *arguments):
    """The command in the project, with temporary files beside it."""
    (project.parent / "tmp").mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "bench.versus", "fast", "slow", "--repository", "project", "--grid", "small.yaml",
         "--out", "out", *arguments], cwd=project.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(project.parent / "tmp"), "COLUMNS": "200"},
    )  # fmt: skip


def clean(project):
    """Whether no worktree is left, neither files nor git's entry."""
    assert toy.traces(project, project.parent / "tmp") == (0, [])
    assert not list((project.parent / "out").glob("*/trials/.*"))
    return True


def test_turns_are_a_b_b_a():
    cells = grid.load("smoke", seeds=4)
    found = pairs(cells)
    assert [pair.seed for pair in found] == [0, 0, 1, 1, 2, 2, 3, 3]
    order = "".join("AB" if pair.order == SIDES else "BA" for pair in found)
    assert order[:8] == "ABBABAAB"
    for cell in cells.cells:
        assert [pair.order[0] for pair in found if pair.cell == cell].count("base") == 2


def test_the_order_in_words_counts_what_an_interruption_parted():
    def side(*turns):
        return [
            results.Record(trial=str(number), cell="c", label="c", seed=0, status="ok", environment={"turns": one})
            for number, one in enumerate(turns)
        ]

    said = order_in_words(
        side("base, head", "head, base", "base, head", "base"),
        side("base, head", "head, base", "base, head", "head, base"),
    )
    assert "3 pairs, in 2 of them base first. The two trials of 1 more ran apart" in said


def test_a_comparison_that_is_stopped_goes_on_and_finds_what_became_worse(project):
    first = start(project)
    said = []
    for line in first.stdout:
        said.append(line)
        if "s0 base: ok, " in line:
            first.send_signal(signal.SIGINT)
            break
    said.append(first.stdout.read())
    assert first.wait(60) == 130, said
    assert clean(project)
    kept = {path: path.stat().st_mtime_ns for path in (project.parent / "out").glob("*/trials/*/record.json")}
    assert 1 <= len(kept) < 12
    assert "go" in said[-1]

    again = start(project, "--format", "json")
    text = again.communicate(timeout=300)[0]
    assert again.returncode == 1, text
    assert clean(project)
    assert f"{12 - len(kept)} trials to do" in text
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    out = project.parent / "out"
    assert (out / "NOT_BLESSED").exists()
    assert "regressed" in (out / "comparison.md").read_text()
    assert "fast (" in (out / "comparison.html").read_text()

    with pytest.raises(UsageError, match="one side of a comparison"):  # it would be finished with today's code
        session.resume(out / "base", RunRequest(), session.Frontend(QUIET, lambda folder: True))
    found = results.compare(out / "base", out / "head")  # as any other two runs
    verdicts = {(row.metric, row.verdict) for row in found.rows}
    assert {row.metric for row in found.failing} == {"images_per_second"}
    assert ("start_s", "regressed") in verdicts
    assert not found.gaps
    for row in found.rows:
        if row.metric == "images_per_second":
            assert row.method == "paired"
            assert row.change == pytest.approx(-0.2, abs=0.05)
    turns = {}
    for side, tag in zip(SIDES, ("fast", "slow"), strict=True):
        commit = toy.git(project, "rev-parse", "--short=12", tag)
        for stored in results.read_run(out / side).trials:
            assert stored.record.environment["git_commit"] == commit
            turns.setdefault(stored.record.trial, []).append(stored.record.environment["turns"])
    alone = [names for names in turns.values() if names[0] != names[1]]
    pairs_ = len(turns) - len(alone)
    assert f"{pairs_} pairs, in " in (out / "comparison.md").read_text()
    assert len(alone) <= 1  # the pair in which the interruption fell
    whole = [two[0] for two in turns.values() if len(two[0]) > 4 and two[0] == two[1]]
    assert set(whole) == {"base, head", "head, base"}


def test_settings_that_a_side_refuses_stop_everything_before_the_first_trial(project):
    toy.commit(project, "Older", UNKNOWN=("train.power",))
    with pytest.raises(UsageError, match=r"^head main \(.*\) refuses cell 'cross_entropy': --set: unknown field"):
        run(request(project, head="main"), QUIET)
    assert not (project.parent / "out").exists()
    assert toy.traces(project, project.parent / "tmp") == (0, [])


def test_changes_that_are_in_neither_side_are_named(project):
    toy.commit(project, "Refuses", UNKNOWN=("train.power",))
    for head, said in (("main", True), (str(project), False)):
        text = io.StringIO()
        toy.edit(project, RATE=1.0, UNKNOWN=("train.power",))
        with pytest.raises(UsageError, match="refuses cell"):
            run(request(project, head=head), Console(file=text, width=200))
        assert ("Uncommitted changes are in neither side" in text.getvalue()) == said
        assert ("with uncommitted changes" in text.getvalue()) == (not said)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base": "nothing"}, "unknown revision 'nothing'"),
        ({"what": {"only": ("loss=focal",)}}, "focal"),
        ({"pythons": {"head": Path("/nothing/python")}}, "environment /nothing/python: .* does not run"),
        ({"repository": Path("/")}, "no git checkout"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_leaves_nothing(project, changes, message):
    asked = request(project, **{name: value for name, value in changes.items() if name != "repository"})
    if "repository" in changes:
        asked = Request(asked.sides, asked.what, out=asked.out, repository=changes["repository"])
    with pytest.raises(UsageError, match=message) as caught:
        run(asked, QUIET)
    assert "\n" not in str(caught.value)
    assert not (project.parent / "out").exists()
    assert toy.traces(project, project.parent / "tmp")[0] == 0


def test_a_folder_of_something_else_is_left_alone(project):
    out = project.parent / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine\n")
    with pytest.raises(UsageError, match="holds something else"):
        run(request(project), QUIET)
    assert [entry.name for entry in out.iterdir()] == ["notes.txt"]
    (out / "versus.json").write_text(json.dumps({side: {"commit": "0" * 40, "name": "other"} for side in SIDES}))
    with pytest.raises(UsageError, match=r"its base is other, not fast \("):
        run(request(project), QUIET)
    (out / "versus.json").write_text("[]")
    with pytest.raises(UsageError, match="cannot be read"):
        run(request(project), QUIET)


def test_a_grid_with_a_search_is_refused(project):
    path = project.parent / "small.yaml"
    text = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**text, "search": {"field": "train.learning_rate", "values": [0.001]}}))
    with pytest.raises(UsageError, match="its search may choose other cells"):
        run(request(project), QUIET)
