"""The command that names the commit: a real repository, real worktrees and processes, and trials of a second.

The trials write numbers with noise that depends on turn and commit alone, so that every search can be repeated.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import results
from bench.bisection import JOURNAL, BisectRequest, Limits, Measure, begin, read_journal, resume
from bench.core import UsageError
from bench.plan import GridRequest
from bench.revisions import line_between, resolve
from tests.revisions import toy_project as toy

ROOT = Path(__file__).parents[2]
CACHE = """
cache = Path(os.environ["SEGMENTATION_BENCH_CACHE"])
(asked.out / "warm.json").write_text(json.dumps((cache / "decoded").exists()))
cache.mkdir(exist_ok=True)
(cache / "decoded").touch()
"""
TRIAL = toy.TRIAL.replace("random.Random()", "random.Random(asked.out.name)") + CACHE
WHAT = GridRequest(grid="losses", only=("loss=dice",), preset="smoke", settings=("data.train_limit=8",))
COMMITS = 16
FREE = Limits()


def history(folder, at, commits=COMMITS, broken=(), refuses=(), **worse):
    """Make a project whose commits from number `at` on have the numbers `worse`; commit 0 has the tag `good`."""
    project = toy.make(folder / "project")
    (project / "bench" / "trial.py").write_text(TRIAL)
    toy.commit(project, "Begin")
    toy.git(project, "tag", "good")
    for number in range(1, commits + 1):
        moved = number in broken
        file, other = project / "bench" / "trial.py", project / "bench" / "tried.py"
        if moved != other.exists():  # the command of a trial is away, and back
            (file if moved else other).rename(other if moved else file)
        (project / "number.txt").write_text(f"{number}\n")
        unknown = {"UNKNOWN": ("train.epochs",) if number in refuses else ()}
        toy.commit(project, f"Change {number}", **unknown, **(worse if number >= at else {}))
    return project


def search(project, folder, limits=FREE, bad="main", **asked):
    said = []
    request = BisectRequest(repository=project, good="good", bad=bad, what=WHAT, out=folder, **asked)
    _, answer = begin(request, limits, said.append)
    assert toy.traces(project, Path("/nowhere"))[0] == 0
    assert not list((folder / "trials").glob(".*"))
    journal = read_journal(folder)
    assert journal.answer == answer
    assert len(journal.trials) <= answer.trials
    return answer, said, journal


def test_the_commit_that_slows_the_step_by_15_percent_is_named(tmp_path):
    project = history(tmp_path, at=11, RATE=85.0)
    answer, said, journal = search(project, tmp_path / "search")
    (commit,) = answer.commits
    assert (answer.outcome, commit.number, commit.subject) == ("found", 11, "Change 11")
    assert commit.commit == toy.git(project, "rev-parse", "main~5")
    assert answer.worse.low < 0.15 < answer.worse.high
    assert answer.worse.high - answer.worse.low < 0.1
    assert answer.error_chance == 0.05
    assert sum(step.level for step in answer.steps[1:]) <= 0.05 + 1e-12
    assert answer.trials < 3 * COMMITS
    assert answer.text.startswith(f'Found: {commit.commit[:12]} "Change 11" ({commit.author_date}) made images_per')
    assert any(line.startswith("commit 8 of 16 (") and "as good as GOOD, after" in line for line in said)
    warm = [*(tmp_path / "search").rglob("warm.json")]
    assert len(warm) == len(journal.trials)
    assert not any(json.loads(file.read_text()) for file in warm), "the tested commit would be the only one without"
    record = json.loads((tmp_path / "search" / journal.trials[0].folder / "record.json").read_text())
    assert record["throughput"]["images_per_second"] == journal.trials[0].value


def test_a_spoilt_loss_is_named_and_the_ends_are_trained_once_per_seed(tmp_path):
    project = history(tmp_path, at=3, commits=8, broken=(2,), refuses=(4,), MIOU=0.44)
    answer, said, journal = search(project, tmp_path / "search", metric="miou")
    # Commit 2 has no command of a trial: the first bad commit may be it, or the one after it.
    assert [commit.number for commit in answer.commits] == [2, 3]
    assert "1 could not be measured" in answer.text
    assert answer.worse.low < 0.06 < answer.worse.high
    assert len({(trial.commit, trial.turn) for trial in journal.trials}) == answer.trials
    assert any("commit 2 is skipped: revision" in line and "predates the command" in line for line in said)
    assert any("commit 4 is skipped" in line and "unknown field 'train.epochs'" in line for line in said)
    assert journal.broken.keys() == {2, 4}


def test_without_a_change_the_answer_is_none(tmp_path):
    project = history(tmp_path, at=99, commits=4)
    answer, _, _ = search(project, tmp_path / "search", metric="start", margin=0.2)
    assert (answer.outcome, answer.commits) == ("none", ())
    assert answer.worse.low < 0 < answer.worse.high
    assert answer.trials == 6


def test_a_budget_ends_with_a_range_and_resume_goes_on(tmp_path):
    project = history(tmp_path, at=3, commits=4, MEMORY=1200.0)
    answer, _, journal = search(project, tmp_path / "search", Limits(trials=13), metric="memory")
    assert (answer.outcome, answer.trials) == ("found", 13)
    assert [commit.number for commit in answer.commits] == [3, 4]
    assert "the budget of 13 trials is used up" in answer.text
    with pytest.raises(UsageError, match="a search is there"):
        begin(BisectRequest(project, "good", "main", WHAT, out=tmp_path / "search"), FREE, print)
    answer = resume(tmp_path / "search", FREE, lambda text: None)
    assert [commit.number for commit in answer.commits] == [3]
    assert answer.worse.estimate == pytest.approx(0.2)
    undecided = resume_copy(tmp_path, journal, Limits(trials=1))
    assert (undecided.outcome, undecided.commits) == ("undecided", ())


def test_uncommitted_changes_are_a_commit_of_their_own_if_the_working_tree_is_bad(tmp_path):
    project = history(tmp_path, at=9, commits=1)
    toy.edit(project, MEMORY=1200.0)
    answer, said, _ = search(project, tmp_path / "with", bad=str(project), metric="memory")
    assert [(commit.number, commit.subject) for commit in answer.commits] == [(2, "Uncommitted changes")]
    assert "with uncommitted changes" in said[0]
    answer, said, _ = search(project, tmp_path / "without", metric="memory")
    assert answer.outcome == "none"
    assert said[0].startswith("Uncommitted changes are left out")


def test_an_end_that_fails_ends_the_search_with_the_reason(tmp_path):
    project = history(tmp_path, at=1, commits=1, DIES=True)
    answer, _, _ = search(project, tmp_path / "search")
    assert (answer.outcome, answer.commits, answer.worse) == ("failed", (), None)
    assert answer.text.startswith("Failed: BAD gives no images_per_second: main (")
    assert "ended by SIGKILL" in answer.text
    assert answer.trials == 3, "BAD twice, GOOD once: the second turn begins with BAD"


def resume_copy(folder, journal, limits):
    """Resume a copy of a search without any trial."""
    (folder / "copy").mkdir()
    journal.model_copy(update={"trials": (), "answer": None}).save(folder / "copy")
    return resume(folder / "copy", limits, lambda text: None)


def start(project, folder, *more):
    asked = [sys.executable, "-m", "bench.bisect", *more]
    return subprocess.Popen(
        asked, cwd=project, env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_an_interrupted_search_leaves_nothing_and_resumes_to_the_same_answer(tmp_path):
    project = history(tmp_path, at=2, commits=4, RATE=85.0)
    whole, _, _ = search(project, tmp_path / "whole")
    options = ["--grid", "losses", "--only", "loss=dice", "--preset", "smoke", "--set", "data.train_limit=8"]
    process = start(project, tmp_path, "good", "main", *options, "--out", str(tmp_path / "cut"))
    for line in process.stdout:  # in the middle of a turn
        if line.startswith("  turn 4, commit 2"):
            process.send_signal(signal.SIGINT)
            break
    rest = process.stdout.read()
    assert process.wait(60) == 130
    assert f"--resume {tmp_path / 'cut'}" in rest
    assert toy.traces(project, Path("/nowhere"))[0] == 0
    kept = len(read_journal(tmp_path / "cut").trials)
    assert not list((tmp_path / "cut" / "trials").glob(".*"))
    process = start(project, tmp_path, "--resume", str(tmp_path / "cut"), "--format", "json")
    output, _ = process.communicate()
    assert process.returncode == 1
    answer = json.loads(output)
    assert answer["commits"] == [commit.model_dump() for commit in whole.commits]
    assert answer["worse"] == whole.worse.model_dump()
    assert answer["steps"] == [step.model_dump() for step in whole.steps]
    assert 6 < kept < whole.trials
    assert answer["trials"] == whole.trials + (kept - 6) % 3, "the trials of a turn that was cut are run again"
    assert toy.traces(project, Path("/nowhere"))[0] == 0


def test_bad_input_is_refused_in_one_line_and_nothing_is_left(tmp_path):
    project = history(tmp_path, at=1, commits=2)
    toy.git(project, "checkout", "--quiet", "-b", "side", "good")
    toy.commit(project, "Beside", RATE=1.0)

    def refused(good, bad, match, **asked):
        with pytest.raises(UsageError, match=match) as error:
            begin(BisectRequest(project, good, bad, **{"what": WHAT, **asked}), FREE, print)
        assert "\n" not in str(error.value)

    refused("nowhere", "main", "unknown revision 'nowhere'")
    refused("main", "good", r"^main \(.*\) is no ancestor of good \(.*\); name an older one, or exchange them$")
    refused("side", "main", "is no ancestor of")
    refused("good", "good", "are the same commit")
    refused("good", "main", r"has 7 cells \(.*\); a search follows one.*--only loss=", what=GridRequest(preset="smoke"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    refused("good", "main", "the folder is not empty", out=tmp_path / "full")
    blob = toy.git(project, "rev-parse", "main:number.txt")
    kept = project / ".git" / "objects" / blob[:2] / blob[2:]
    kept.rename(tmp_path / "object")
    refused("good", "main", r"^revision main \(.*\) cannot be checked out: ", out=tmp_path / "new")
    (tmp_path / "object").rename(kept)
    toy.git(project, "checkout", "--quiet", "main")
    toy.git(project, "merge", "--quiet", "--no-ff", "--strategy", "ours", "--message", "Merge", "side")
    refused("side", "main", "lies on a branch that was merged")
    toy.commit(project, "Refuses", UNKNOWN=("train.epochs",))
    refused("good", "main", "does not take the settings: --set: unknown field 'train.epochs'", out=tmp_path / "new")
    assert {path.name for path in tmp_path.iterdir()} == {"project", "full"}
    assert toy.traces(project, Path("/nowhere"))[0] == 0
    with pytest.raises(UsageError, match="no search there"):
        resume(tmp_path, FREE, print)
    (tmp_path / "full" / JOURNAL).write_text("{}")
    with pytest.raises(UsageError, match="begin a new search"):
        resume(tmp_path / "full", FREE, print)


def test_a_merge_counts_as_one_change(tmp_path):
    project = history(tmp_path, at=9, commits=2)
    toy.git(project, "checkout", "--quiet", "-b", "side", "good")
    for number in range(3):
        (project / f"side{number}.txt").touch()
        toy.commit(project, f"Side {number}")
    toy.git(project, "checkout", "--quiet", "main")
    toy.git(project, "merge", "--quiet", "--no-ff", "--message", "Merge side", "side")
    line = line_between(resolve(project, "good"), resolve(project, "main"))
    assert [commit.subject for commit in line] == ["Begin", "Change 1", "Change 2", "Merge side"]
    assert line[-1].commit == toy.git(project, "rev-parse", "main")


def record(**parts):
    plain = {"trial": "t", "cell": "c", "label": "l", "seed": 0, "status": "ok"}
    return results.Record.model_validate({**plain, **parts})


def test_a_metric_is_read_from_a_record():
    speed = {"images_per_second": 9.0, "windows": [5.0, 7.0, 8.0]}
    full = record(
        views=[{"images": 4, "miou": 0.5}, {"images": 4, "miou": 0.9, "split": "test"}],
        clocks={"init_s": 2.0, "compile_s": 3.0}, memory={"peak_rss_mb": 100.0, "peak_gpu_mb": 30.0},
        throughput={**speed, "comparable": True},
    )  # fmt: skip
    found = {name: Measure(name).read(full).value for name in ("miou", "images_per_second", "memory", "start")}
    assert found == {"miou": 0.5, "images_per_second": 9.0, "memory": 30.0, "start": 5.0}
    for metric in found:
        empty = Measure(metric).read(record())
        assert (empty.value, empty.reason, empty.disturbed) == (None, f"its record has no {metric}", False)
    failed = record(status="crashed", error={"kind": "died", "message": "it died"}, throughput=speed)
    assert Measure("images_per_second").read(failed) == (None, "it died", False)


def test_a_disturbed_speed_counts_only_if_asked_for():
    speed = {"images_per_second": 9.0, "windows": [5.0, 7.0, 8.0], "comparable": False, "reason": "other work"}
    assert Measure("images_per_second").read(record(throughput=speed)) == (None, "other work", True)
    assert Measure("images_per_second", disturbed=True).read(record(throughput=speed)).value == 7.0
    older = {**speed, "reason": results.UNKNOWN_STATE}  # of older code, which does not say what else ran
    assert Measure("images_per_second").read(record(throughput=older)).value == 9.0


def test_a_speed_counts_if_the_cores_were_where_they_were_for_the_others_of_its_turn():
    speed = {"images_per_second": 9.0, "windows": [9.0] * 3, "comparable": True, "hand_over_ns": 583.0}
    measure, trial = Measure("images_per_second"), record(throughput=speed, memory={"peak_rss_mb": 100.0})
    assert measure.read(trial).value == measure.read(trial, [590.0]).value == 9.0
    why = "the cores of this machine were placed otherwise (583 ns for a hand-over, mostly 231 ns)"
    assert measure.read(trial, [231.0, 590.0]) == (None, why, True)
    assert Measure("images_per_second", disturbed=True).read(trial, [231.0]) == (None, why, True), "no other work"
    assert Measure("memory").read(trial, [231.0]).value == 100.0
    assert measure.read(record(throughput={**speed, "hand_over_ns": None}), [231.0]).value == 9.0


def test_a_disturbed_turn_is_begun_again_three_times(tmp_path):
    project = history(tmp_path, at=9, commits=2)
    _, _, journal = search(project, tmp_path / "search", FREE, metric="memory")
    turn = [trial for trial in journal.trials if trial.turn == 2]
    bad = turn[1].model_copy(update={"value": None, "disturbed": True, "reason": "other work"})
    journal = journal.model_copy(update={"trials": journal.trials[:-1], "used": 5})
    for times in range(1, 4):
        journal = journal.with_trial(bad)
        assert (len(journal.trials), journal.again, journal.used) == (4, {2: times}, 4 + 2 * times)
        journal = journal.with_trial(turn[0])
    journal = journal.with_trial(bad)
    assert (len(journal.trials), journal.trials[-1].value) == (6, None), "then it is lost"


@pytest.mark.parametrize(
    ("metric", "score", "share", "words"),
    [
        ("miou", 0.02, 0.02, "2.0 points"),
        ("images_per_second", 0.1625, 0.15, "15.0 %"),  # -ln(.85)
        ("memory", 0.1823, 0.2, "20.0 %"),  # ln(1.2)
    ],
)
def test_differences_in_words(metric, score, share, words):
    measure = Measure(metric)
    assert measure.plain(score) == pytest.approx(share, abs=1e-4)
    assert measure.words(score) == words
