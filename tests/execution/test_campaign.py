"""What a run may be asked to decide, and what it is told of the trials to expect."""

import json

import pytest

import results
from bench.core import UsageError
from bench.execution import FailurePolicy, RunFolder, RunRequest, UntilRequest, campaign, session
from bench.plan import GridRequest, Until, make, this_machine
from bench.plan import grid as grids
from results.statistics.sequential import Look, Out, Plan

GRID = "axes: {loss: [dice, focal, bce]}\n"


@pytest.fixture
def load(tmp_path):
    def load(text=GRID, until=None, **more):
        path = tmp_path / "g.yaml"
        path.write_text(text)
        return campaign.replace(grids.load(str(path), **more), until=until or Until())

    return load


def write_release(folder, grid, seeds, scoring=results.SCORING_VERSION, without=()):
    for cell in grid.cells:
        for seed in range(seeds):
            if (cell.label, seed) in without:
                continue
            name, spec = cell.trial(seed)
            record = results.Record(
                trial=name, cell=spec.cell, label=cell.label, axes={}, seed=seed, status="ok", scoring=scoring,
                spec=spec.model_dump(mode="json"),
                views=[{"view": "default", "split": "val", "images": 1, "miou": 0.7 + 0.01 * seed}],
            )  # fmt: skip
            results.write(folder / "trials" / name, record)
    cells = [{"cell": c.spec.cell, "label": c.label, "axes": {}, "seeds": [*range(seeds)]} for c in grid.cells]
    (folder / "run.json").write_text(json.dumps({"grid": "g", "cells": cells}))
    return str(folder)


def test_a_plan_takes_the_seeds_that_a_release_has(load, tmp_path):
    grid = load()
    release = write_release(tmp_path / "old", grid, 4)
    found = campaign.planned(grid, 0.005, release, FailurePolicy())
    assert (found.plan.question, found.plan.last) == ("release", 4)
    assert found.base[grid.cells[0].spec.cell] == pytest.approx({0: 0.7, 1: 0.71, 2: 0.72, 3: 0.73})
    assert results.decision_of(json.loads(json.dumps(found.plain()))) == found


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"text": GRID + "search: {values: [0.1, 0.2]}\n"}, "the grid has a search"),
        ({"text": "axes: {loss: [dice]}\n"}, "1 cells; a sequential plan has 2 to 40"),
        ({"text": GRID + "base: {}\n", "until": Until(budget=5)}, "a budget of 5 trials is below the first round"),
        ({"until": Until(seeds=(2, 21))}, "seeds 2 to 21"),
    ],
)
def test_what_does_not_go_with_a_decision_is_refused(load, change, why):
    with pytest.raises(UsageError, match=why) as refused:
        campaign.planned(load(**change), 0.005, None, FailurePolicy())
    assert "\n" not in str(refused.value)


def test_a_release_that_cannot_be_a_base_is_refused(load, tmp_path):
    grid = load()
    one = write_release(tmp_path / "one", grid, 1)
    hole = write_release(tmp_path / "hole", grid, 3, without={("dice", 0)})
    other = write_release(tmp_path / "other", grid, 3, scoring=1)
    for release, why in (
        (one, r"1 seed\(s\) from 0 on; the first look needs 2"),
        (hole, "it has no seed 0 of cell 'dice'"),
        (other, "its scores are of version 1"),
        (str(tmp_path / "nowhere"), "--against: "),
    ):
        with pytest.raises(UsageError, match=why):
            campaign.planned(grid, 0.005, release, FailurePolicy())
    with pytest.raises(UsageError, match="--on-oom shrink"):
        campaign.planned(grid, 0.005, None, FailurePolicy.of({"on_oom": "shrink"}))


def test_the_trials_to_expect_are_those_of_the_last_noise(load, tmp_path):
    grid = load()
    decision = campaign.planned(grid, 0.005, None, FailurePolicy())
    runs = tmp_path / "runs"
    assert "at least 6 trials, at most 30; no earlier run" in campaign.expectation(decision, runs)
    folder = runs / "before"
    write_release(folder, grid, 3)
    for path in folder.glob("trials/*/record.json"):
        record = results.read(path)
        shift = {"dice": 0.1, "focal": 0.0, "bce": -0.1}[record.label] + 0.001 * (record.seed * 7 % 3)
        view = record.views[0].model_copy(update={"miou": 0.7 + shift + 0.0005 * (len(record.label) % 3) * record.seed})
        results.write(path.parent, record.model_copy(update={"views": [view]}))
    said = campaign.expectation(decision, runs)
    assert said.startswith("Until decided: about 6 trials (6 to 6 in eight of ten), at most 30, for the noise of ")


def test_news_are_what_the_last_look_added():
    decision = results.Decision(Plan(), {"a": "dice", "b": "focal", "c": "bce"})
    first = Look(None, (("a", 2),), 2, 6, ("a", "c"), {"b": Out(2, "a", 0.021)}, leader="a")
    assert [*campaign.news(Look(), first, decision)] == [
        "Left out after 2 seeds: focal (2.1 points below dice at least)", "2 cells go on after 2 seeds",
    ]  # fmt: skip
    assert [*campaign.news(first, first, decision)] == []


BLOCK = GRID + "until: {question: best, margin: {miou: 0.02}, seeds: [3, 8], alpha: 0.1, budget: 20}\n"


def test_a_resumed_run_may_repeat_what_its_file_asked_and_may_not_change_it(tmp_path):
    path = tmp_path / "g.yaml"
    path.write_text(BLOCK)
    plan = make(GridRequest(grid=str(path), gpus_per_trial=0), [this_machine()], None)
    decision = campaign.planned(plan.grid, 0.005, None, FailurePolicy())
    assert (decision.plan.margin, decision.plan.budget) == (0.02, 20)
    folder = RunFolder.create(tmp_path, "r", decision.plain(), plan, {})
    for same in (UntilRequest(), UntilRequest("decided"), UntilRequest("best within 2 points", 8, "20 trials")):
        assert session._kept(folder, RunRequest(until=same), FailurePolicy()) == decision
    for other in (UntilRequest("best within 1 point"), UntilRequest("groups"), UntilRequest(None, 9),
                  UntilRequest("decided", None, "2h")):  # fmt: skip
        with pytest.raises(UsageError, match="its plan was fixed before the first trial"):
            session._kept(folder, RunRequest(until=other), FailurePolicy())
