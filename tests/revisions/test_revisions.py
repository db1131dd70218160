"""Revisions by name, their worktrees and environments, and trials that run their code and no other."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import results
from bench.core import ROOMS, UsageError
from bench.plan import Cell, grid
from bench.revisions import Runnable, Worktrees, environments, launcher, measure, refusal, resolve, runnable
from bench.spec import as_settings
from tests.revisions import toy_project as toy

ROOT = Path(__file__).parents[2]
CELL = Cell("thin", {"loss": "dice"}, grid.single(["loss.name=dice", "placement.cpus=1"], "smoke", "float32"))


@pytest.fixture
def project(tmp_path):
    return toy.make(tmp_path / "project")


def test_a_revision_is_a_commit_a_tag_or_a_working_tree(project, tmp_path):
    first = resolve(project, "HEAD").commit
    toy.git(project, "tag", "v1")
    second = toy.commit(project, "Second", RATE=50.0)
    assert resolve(project / "bench", "v1").commit == first  # from any folder of the checkout
    assert resolve(project, "v1").name == f"v1 ({first[:12]})"
    assert resolve(project, second[:9]).name == second[:12]
    assert resolve(project, "main~1").commit == first
    clean = resolve(project, str(project))
    assert (clean.commit, clean.dirty, clean.recorded) == (second, False, second[:12])
    toy.git(project, "clone", "--quiet", str(project), str(tmp_path / "other"))
    toy.git(tmp_path / "other", "checkout", "--quiet", "v1")
    other = resolve(project, str(tmp_path / "other"))
    assert (other.repository, other.commit) == (tmp_path / "other", first)


@pytest.mark.parametrize("text", ["nothing", "--help", "main~9", "0000000"])
def test_an_unknown_revision_is_refused_in_one_line(project, text):
    with pytest.raises(UsageError, match=rf"^unknown revision '{text}' in .*/project: no commit"):
        resolve(project, text)


def test_a_near_name_is_suggested(project):
    with pytest.raises(UsageError, match="did you mean 'main'"):
        resolve(project, "mian")


def test_a_revision_without_the_command_is_refused(project, tmp_path):
    toy.git(project, "rm", "--quiet", "bench/trial.py")
    toy.commit(project, "Without")
    with pytest.raises(UsageError, match=r"^revision HEAD \(.*\) predates the command bench.trial"):
        resolve(project, "HEAD")
    (tmp_path / "plain").mkdir()
    with pytest.raises(UsageError, match="no git checkout"):
        resolve(tmp_path / "plain", "HEAD")


def test_uncommitted_changes_are_kept_as_they_are_now(project):
    (project / "runs").mkdir()
    (project / ".gitignore").write_text("__pycache__/\nruns/\n")
    parent = toy.commit(project, "Ignore")
    toy.edit(project, RATE=77.0)
    (project / "new.txt").write_text("new\n")
    (project / "runs" / "large.bin").write_text("ignored\n")
    before = toy.git(project, "status", "--porcelain")
    found = resolve(project, str(project))
    assert found.dirty
    assert found.name == f"{project} ({parent[:12]}) with uncommitted changes"
    assert found.recorded == f"{parent[:12]}+"
    assert resolve(project, str(project)) == found  # equal files, equal commits: a comparison can be resumed
    assert toy.git(project, "status", "--porcelain") == before
    with Worktrees() as trees:
        toy.edit(project, RATE=1.0)
        folder = trees.add(found).folder
        assert "RATE = 77.0" in (folder / "losses" / "__init__.py").read_text()
        assert (folder / "new.txt").exists()
        assert not (folder / "runs").exists()


def test_worktrees_are_removed_after_an_exception_and_before_the_end(project, tmp_path):
    place = tmp_path / "place"

    def work():
        with Worktrees(place) as trees:
            one, other = trees.add(resolve(project, "HEAD")), trees.add(resolve(project, "main"))
            assert one.folder != other.folder
            assert toy.traces(project, place)[0] == 2
            trees.remove(one)
            assert toy.traces(project, place)[0] == 1
            assert not one.scratch.exists()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert toy.traces(project, place) == (0, [])


DRIVER = """
import sys, time
from pathlib import Path
from bench.core import command, signals
from bench.plan import Cell, grid
from bench.revisions import Worktrees, measure, resolve, runnable
project, place, folder = map(Path, sys.argv[1:])

@command
def main():
    signals.install()
    with Worktrees(place) as trees:
        side = runnable(trees.add(resolve(project, "HEAD")))
        print("ready", flush=True)
        cell = Cell("thin", {}, grid.single([], "smoke", "float32"))
        measure(side, cell, 0, folder, alive=lambda: print("alive", flush=True))
    return 0

main()
"""


def driver(project, place, folder):
    """A process that measures a trial which sleeps for a minute, once that trial has begun."""
    toy.commit(project, "Slow", SECONDS=60.0)
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(project), str(place), str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert [process.stdout.readline().strip() for _ in range(2)] == ["ready", "alive"]
    return process


def trials_of(place):
    """Processes whose command line names the place."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = entry.read_bytes()
        except OSError:
            continue
        found += [entry.parent.name] if b"launcher.py" in text and str(place).encode() in text else []
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_no_worktree_no_process_and_no_folder(project, tmp_path, number):
    place, folder = tmp_path / "place", tmp_path / "trials" / "one"
    process = driver(project, place, folder)
    assert toy.traces(project, place)[0] == 1
    process.send_signal(number)
    assert process.wait(60) == 130
    assert toy.traces(project, place) == (0, [])
    assert not trials_of(place)
    assert not any((tmp_path / "trials").iterdir())


def test_what_a_killed_process_left_is_removed_the_next_time_and_a_live_ones_stays(project, tmp_path):
    place = tmp_path / "place"
    process = driver(project, place, tmp_path / "trials" / "one")
    toy.git(project, "worktree", "add", "--quiet", "--detach", str(tmp_path / "users"))
    with Worktrees(tmp_path / "mine") as trees:
        trees.add(resolve(project, "HEAD"))
        assert toy.traces(project, place)[0] == 3  # the live process's, the user's, mine
    process.kill()
    process.wait()
    for _ in range(100):  # its trial ends with it
        if not trials_of(place):
            break
        time.sleep(0.1)
    assert not trials_of(place)
    assert len(toy.traces(project, place)[1]) == 1
    with Worktrees(tmp_path / "mine") as trees:
        trees.add(resolve(project, "HEAD"))
        assert toy.traces(project, place) == (2, [])
    assert toy.traces(project, place) == (1, [])
    assert (tmp_path / "users" / "bench").is_dir()


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="no folder for checkouts"), Worktrees(tmp_path / "file" / "place"):
        pass


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The numbers of a revision, and a function that measures a trial of it with other numbers."""
    home = tmp_path_factory.mktemp("measured")
    project = toy.make(home / "project")

    def trial(name, seed=0, timeout=None, **numbers):
        commit = toy.commit(project, name, **numbers)
        with Worktrees(home / "place") as trees:
            side = runnable(trees.add(resolve(project, "HEAD")))
            record = measure(side, CELL, seed, home / "trials" / name, timeout=timeout)
        assert toy.traces(project, home / "place") == (0, [])
        assert record == results.read(home / "trials" / name)
        assert not list((home / "trials").glob(".*"))
        return record, commit, home / "trials" / name

    return trial


def test_a_record_has_the_plan_s_cell_and_the_revision_s_numbers(measured):
    record, commit, folder = measured("good", seed=2, RATE=50.0, NOISE=0.0)
    assert (record.status, record.trial, record.label, record.axes) == ("ok", "good", "thin", {"loss": "dice"})
    assert (record.cell, record.seed) == (CELL.spec.cell, 2)
    assert record.throughput.images_per_second == 50.0
    assert record.environment["git_commit"] == commit[:12]
    assert record.environment["cores"] >= 1  # the machine is the same for both sides: an old record may say less
    assert record.spec["placement"]["cpus"] == 1
    assert "step 1" in (folder / "log.txt").read_text()


def test_the_checkout_s_own_code_ran(measured):
    """The environment has an editable installation of this copy, and the parent has it on its path."""
    _, _, folder = measured("own")
    trial, losses, path, python, _ = json.loads((folder / "where.json").read_text())
    home = Path(trial).parents[1]
    assert Path(losses).parents[1] == home
    assert home != ROOT
    assert str(ROOT) not in path
    assert python == sys.executable


def test_the_launcher_knows_the_packages_of_the_project():
    assert launcher.PACKAGES == ROOMS


def test_a_package_that_the_checkout_lacks_is_not_taken_from_here(measured):
    record, _, folder = measured("lacks", UNKNOWN=())
    assert record.status == "ok"
    project = folder.parents[1] / "project"
    (project / "bench" / "trial.py").write_text("import models\n")
    record, *_ = measured("models")
    assert record.status == "crashed"
    assert "No module named 'models'" in record.error.message
    (project / "bench" / "trial.py").write_text(toy.TRIAL)


def test_a_trial_without_a_record_states_why(measured):
    record, commit, _ = measured("refuses", UNKNOWN=("train.power",))
    assert record.status == "invalid"
    assert record.error.message == f"HEAD ({commit[:12]}) refuses it: --set: unknown field 'train.power'"
    record, *_ = measured("dies", DIES=True)
    assert record.status == "crashed"
    assert "ended by SIGKILL, without a record: step 1" in record.error.message
    record, _, folder = measured("sleeps", timeout=1.0, SECONDS=60.0)
    assert record.status == "timeout"
    assert not trials_of(folder.parents[1])


def test_a_refusal_of_settings_is_known_before_anything_is_trained(project, tmp_path):
    toy.commit(project, "Slow", SECONDS=60.0)
    with Worktrees() as trees:
        assert refusal(runnable(trees.add(resolve(project, "HEAD"))), CELL) == ""
        toy.commit(project, "Refuses", UNKNOWN=("train.power",))
        side = runnable(trees.add(resolve(project, "HEAD")))
        assert refusal(side, CELL) == "--set: unknown field 'train.power'"
        assert not list(side.checkout.scratch.iterdir())


def test_numbers_of_other_code_or_other_settings_do_not_count(measured):
    record, *_ = measured("elsewhere", COMMIT="123456789abc")
    assert record.status == "invalid"
    assert "names commit 123456789abc" in record.error.message
    assert record.throughput is None
    record, *_ = measured("other", EPOCHS=9)
    assert record.status == "invalid"
    assert "train.epochs: 9 instead of 2" in record.error.message


def test_the_speed_of_an_older_version_is_judged_by_what_was_seen_beside_the_trial(measured):
    record, *_ = measured("older", SCHEMA=4, SECONDS=0.5)
    speed = record.throughput
    assert speed.images_per_second > 0
    assert speed.reason != results.UNKNOWN_STATE
    assert speed.comparable == (speed.reason is None)
    assert speed.reason is None or speed.reason.endswith(", over the whole trial")


def test_settings_make_the_spec_again_and_leave_out_what_older_versions_lack():
    plain = grid.single(["eval.window_steps=10"], "smoke", "float32")
    names = {text.partition("=")[0] for text in as_settings(plain)}
    assert {"loss.name", "train.epochs", "seed"} <= names
    assert not {"data.pixel_weights", "train.jit_compile", "placement.cpus", "eval.window_steps"} & names
    fields = grid.presets()["smoke"]["set"]
    assert "eval.window_steps=10" in as_settings(plain, fields)  # which the preset smoke would set to 5
    given = [
        "loss.name=focal", "loss.params.gamma=1.0e-6", "data.pixel_weights=unet", "train.jit_compile=true", "seed=4"
    ]  # fmt: skip
    spec = grid.single(given, "full", "float32")
    assert grid.single(as_settings(spec, fields), "smoke", "mixed_float16") == spec


def test_an_environment_is_the_present_one_unless_the_lock_file_has_other_versions(project, tmp_path, monkeypatch):
    lock = project / "locks" / "tf2.15-cpu.txt"
    lock.parent.mkdir()
    monkeypatch.setenv("SEGMENTATION_BENCH_CACHE", str(tmp_path / "cache"))
    for name in ("tf2.15-cpu.txt", "tf2.21-cpu.txt", "tf2.15-cuda.txt", "tf2.21-cuda.txt"):
        (lock.parent / name).write_text("# another comment\n" + (ROOT / "locks" / name).read_text())
    toy.commit(project, "Same versions")
    with Worktrees() as trees:
        assert runnable(trees.add(resolve(project, "HEAD"))).python == Path(sys.executable)
        for path in lock.parent.iterdir():
            path.write_text("numpy==0.0.1\n")
        toy.commit(project, "Others, and no way to make them")
        checkout = trees.add(resolve(project, "HEAD"))
        with pytest.raises(UsageError, match=r"^the environment of HEAD \(.*\) cannot be made: .*venv"):
            runnable(checkout)
        (project / "Makefile").write_text("venv:\n\tmkdir $(VENV)\n\techo no such package >&2; false\n")
        toy.commit(project, "A way that fails")
        checkout = trees.add(resolve(project, "HEAD"))
        with pytest.raises(UsageError, match="cannot be made: no such package; make it by hand"):
            runnable(checkout)
        assert [entry.suffix for entry in (tmp_path / "cache" / "environments").iterdir()] == [".lock"]
        recipe = "venv:\n\t$(PYTHON) -m venv --without-pip --system-site-packages $(VENV)\n\techo made >>count\n"
        (project / "Makefile").write_text(recipe)
        toy.commit(project, "With a way")
        checkout = trees.add(resolve(project, "HEAD"))
        python = runnable(checkout).python
        assert python.is_relative_to(tmp_path / "cache" / "environments")
        assert runnable(checkout).python == python
        assert (checkout.folder / "count").read_text() == "made\n"  # once


def test_an_environment_by_name_has_to_run(project, tmp_path):
    with Worktrees() as trees:
        checkout = trees.add(resolve(project, "HEAD"))
        home = Path(sys.executable).parents[1]
        assert runnable(checkout, home) == Runnable(checkout, home / "bin" / "python")
        for wrong in (tmp_path / "nothing", project):
            with pytest.raises(UsageError, match=f"environment {wrong}: .* does not run"):
                runnable(checkout, wrong)


def test_pins_are_the_versions_of_a_lock_file():
    found = environments.pins(ROOT)
    assert "tensorflow" in found
    assert len(found) > 50
