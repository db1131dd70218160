"""What is asked of a run, as a value: how a manifest keeps it, and what a run that is resumed takes of it."""

import json
from pathlib import Path

import pytest

from bench.core import UsageError
from bench.execution import FailurePolicy, RunFolder, RunRequest
from bench.execution.resumption import check_request, choose_trials_to_redo, overrides
from bench.plan import GridRequest


def test_a_manifest_gives_the_request_back():
    request = GridRequest(
        grid="heads", data_root=Path("/data/cats"), only=("head=bilinear",), gpus_per_trial=0, settings=("seed=1",)
    )
    assert GridRequest.stored(json.loads(json.dumps(request.options()))) == request
    assert request.options() == {
        "grid": "heads", "dataset": None, "data_root": "/data/cats", "seeds": None, "only": ["head=bilinear"],
        "preset": None, "gpus_per_trial": 0, "settings": ["seed=1"],
    }  # fmt: skip
    assert GridRequest.stored({}) == GridRequest()


def test_a_new_run_has_a_grid_and_an_absolute_folder_of_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert GridRequest().begun() == GridRequest(grid="losses")
    assert GridRequest(data_root=Path("cats")).begun().data_root == tmp_path / "cats"


def test_a_policy_keeps_what_was_given_and_replaces_what_was_stored():
    policy = FailurePolicy.of({"retries": 2, "on_oom": None})
    assert policy.given == {"retries": 2}
    resumed = policy.over({"retries": 1, "trial_timeout": 5.0})
    assert (resumed.retries, resumed.trial_timeout, resumed.on_oom) == (2, 5.0, "record")
    with pytest.raises(UsageError, match=r"^--on-oom explode: must be 'record' or 'shrink'$"):
        policy.over({"on_oom": "explode"})


def test_a_run_that_grows_notes_its_options_in_one_order():
    what = GridRequest(data_root=Path("cats"), seeds=5, grid="losses")
    assert list(overrides(what).items()) == [("grid", "losses"), ("seeds", 5), ("data_root", Path("cats"))]


@pytest.mark.parametrize(
    "changes",
    [
        {"what": GridRequest(gpus_per_trial=0)},
        {"what": GridRequest(settings=("train.epochs=1",))},
        {"dry_run": True},
        {"name": "r"},
        {"out": Path("runs")},
    ],
)
def test_what_would_plan_a_run_anew_does_not_go_with_resume(changes):
    grows = GridRequest(grid="losses", seeds=5, data_root=Path("cats"))
    check_request(RunRequest(grows, address="auto", max_concurrent=2, changed="redo", track=("wandb",)))
    with pytest.raises(UsageError, match=r"^--resume keeps the plan of the run"):
        check_request(RunRequest(**changes))


def test_outdated_trials_are_redone_all_or_none_and_never_unasked():
    outdated = {RunFolder(Path("r")): {"a": ["code 1 -> 2", "data x -> y"]}, RunFolder(Path("s")): {"b": ["code"]}}
    what = "2 complete trials were made by other code, versions or data (code 1 -> 2; data x -> y)"
    asked = []
    assert choose_trials_to_redo(outdated, "keep", None) == {}
    assert choose_trials_to_redo(outdated, "redo", None) is outdated
    assert choose_trials_to_redo(outdated, "ask", lambda text: not asked.append(text)) is outdated
    assert choose_trials_to_redo(outdated, "ask", lambda text: False) == {}
    assert asked == [what]
    with pytest.raises(UsageError) as error:
        choose_trials_to_redo(outdated, "ask", None)
    assert str(error.value).startswith(f"{what}: --changed keep leaves")
    assert choose_trials_to_redo({}, "ask", None) == {}


def test_trials_with_other_scores_are_never_kept_beside_new_ones():
    outdated = {RunFolder(Path("r")): {"a": ["scoring 1 -> 2"]}}
    assert choose_trials_to_redo(outdated, "redo", None, {1}) is outdated
    for changed, ask in (("keep", None), ("ask", lambda text: False)):
        with pytest.raises(UsageError, match=r"^complete trials have scores of version 1, .*--changed redo runs them"):
            choose_trials_to_redo(outdated, changed, ask, {1})
