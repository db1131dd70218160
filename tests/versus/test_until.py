"""A comparison that stops: which pairs are asked for, what is decided by mIoU and by speed, and what is refused."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

import results
from bench.core import UsageError
from bench.execution import RunFolder
from bench.plan import GridRequest, make, this_machine
from bench.versus import SIDES, deciding, pairs, run
from bench.versus.folder import VersusFolder
from results.statistics import sequential
from tests.revisions import toy_project as toy
from tests.versus.two_revisions import made, request

LOSSES = ("dice", "focal", "bce")


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    path = tmp_path_factory.mktemp("grid") / "g.yaml"
    path.write_text(f"axes: {{loss: [{', '.join(LOSSES)}]}}\nseeds: 6\n")
    return make(GridRequest(grid=str(path), gpus_per_trial=0), [this_machine()], None)


class Sides:
    """A comparison whose trials are made up: {label: (loss of mIoU, loss of speed)} of head."""

    def __init__(self, folder, plan, losses=None, noise=(0.0005, 0.002)):
        self.plan, self.losses, self.noise, self.said = plan, losses or {}, noise, io.StringIO()
        self.decisions = deciding.planned("decided", 6, plan.grid, "old", None)
        runs = {
            side: RunFolder.create(folder, side, {k: v for one in own for k, v in one.plain().items()}, plan, {})
            for side, own in (("base", ()), ("head", self.decisions))
        }
        self.folder = VersusFolder(folder, runs)

    def rounds(self):
        console = Console(file=self.said, width=200)
        return deciding.Rounds(self.decisions, self.folder, pairs(self.plan.grid), console)

    def write(self, name, side, status="ok", comparable=True, hand_over=lambda seed, side: None):
        pair = next(one for one in pairs(self.plan.grid) if one.name == name)
        rng = np.random.default_rng([pair.seed, LOSSES.index(pair.cell.label), SIDES.index(side)])
        (miou, speed), noise = self.losses.get(pair.cell.label, (0.0, 0.0)), rng.standard_normal(2) * self.noise
        score = 0.7 + 0.01 * pair.seed - (miou if side == "head" else 0) + noise[0]
        rate = 40.0 * (1 + pair.seed) * (1 - (speed if side == "head" else 0)) * (1 + noise[1])
        record = results.Record(
            trial=name, cell=pair.cell.spec.cell, label=pair.cell.label, axes={}, seed=pair.seed, status=status,
            spec=pair.cell.spec.model_dump(mode="json"), environment={"turns": "base, head"},
            views=[{"view": "default", "split": "val", "images": 1, "miou": score}] if status == "ok" else [],
            throughput={
                "images_per_second": rate, "comparable": comparable, "hand_over_ns": hand_over(pair.seed, side)
            },
        )  # fmt: skip
        results.write(self.folder.runs[side].trial(name), record)

    def play(self, rounds, **how):
        asked = []
        while names := rounds.ask():
            asked.append(names)
            for name in names:
                for side in SIDES:
                    self.write(name, side, **how)
        return asked

    def rows(self, metric):
        found = results.compare(*(run.path for run in self.folder.runs.values()))
        return {row.label: row for row in found.rows if row.metric == metric}


def test_equal_code_is_surely_ok_in_both_metrics_and_stops(tmp_path, plan):
    sides = Sides(tmp_path, plan, noise=(0.002, 0.002))
    asked = sides.play(rounds := sides.rounds())
    assert len(asked[0]) == 6, "three cells at two seeds"
    assert sum(map(len, asked)) < 18
    assert not rounds.open()
    assert rounds.lacking() == 0
    for metric in ("miou", "images_per_second"):
        assert {row.verdict for row in sides.rows(metric).values()} == {"ok"}
        assert {row.method for row in sides.rows(metric).values()} == {"sequential"}
    said = sides.said.getvalue().splitlines()
    told = [name for line in said if "Surely ok after" in line for name in LOSSES if name in line]
    assert sorted(told) == sorted([*LOSSES, *LOSSES]), "each cell once by each metric"
    assert [one.plan.metrics for one in sides.decisions] == [2, 2], "alpha is shared"
    assert results.compare(tmp_path / "base", tmp_path / "head").gaps == ()


def test_a_cell_that_became_slower_ends_it_and_one_that_scores_less_does_too(tmp_path, plan):
    for place, losses, metric in (
        ("slow", {"focal": (0.0, 0.2)}, "images_per_second"),
        ("bad", {"bce": (0.05, 0.0)}, "miou"),
    ):
        sides = Sides(tmp_path / place, plan, losses)
        asked = sides.play(sides.rounds())
        assert sum(map(len, asked)) <= 9
        ((label, row),) = [(name, row) for name, row in sides.rows(metric).items() if row.verdict == "regressed"]
        assert label in losses
        assert row.change == pytest.approx(-sum(losses[label]), abs=0.01)
        assert row.margin == pytest.approx({"miou": 0.005, "images_per_second": 0.02}[metric])
        assert f"{metric}: {label} (" in sides.said.getvalue()


def test_one_metric_that_became_worse_ends_the_other_one_too(tmp_path, plan):
    sides = Sides(tmp_path, plan, {"focal": (0.0, 0.2)}, noise=(0.02, 0.002))
    asked = sides.play(rounds := sides.rounds())
    assert [len(names) for names in asked] == [6]
    assert not rounds.open()
    assert {row.verdict for row in sides.rows("miou").values()} == {"inconclusive"}


def test_a_pair_that_left_no_record_is_given_up(tmp_path, plan):
    sides = Sides(tmp_path, plan, noise=(0.02, 0.05))
    rounds = sides.rounds()
    first = rounds.ask()
    for name in first[1:]:
        for side in SIDES:
            sides.write(name, side)
    after = rounds.ask()
    assert len(after) == 3
    assert first[0] not in after
    assert rounds.lacking() == 2 + 2 * len(after)


def test_a_stop_and_a_resumption_decide_the_same(tmp_path, plan):
    straight = Sides(tmp_path / "straight", plan)
    straight.play(straight.rounds())
    parted = Sides(tmp_path / "parted", plan)
    for name in parted.rounds().ask()[:3]:
        parted.write(name, "base")
    parted.write(name, "head", status="diverged")
    parted.play(parted.rounds())
    for metric in ("miou", "images_per_second"):
        first, second = straight.rows(metric), parted.rows(metric)
        assert {(n, r.verdict, r.low, r.seeds) for n, r in first.items()} == {
            (n, r.verdict, r.low, r.seeds) for n, r in second.items()
        }


def test_a_pair_whose_trials_ran_on_cores_placed_in_two_ways_says_nothing_of_speed(tmp_path, plan):
    """Head is a fifth slower in every pair, which counts where both sides had their cores placed alike."""
    sides = Sides(tmp_path / "alike", plan, dict.fromkeys(LOSSES, (0.0, 0.2)), noise=(0.02, 0.002))
    sides.play(sides.rounds(), hand_over=lambda seed, side: 583.0)
    assert {row.verdict for row in sides.rows("images_per_second").values()} == {"regressed"}
    assert "Worse after 2 seeds, images_per_second" in sides.said.getvalue()
    sides = Sides(tmp_path / "apart", plan, dict.fromkeys(LOSSES, (0.0, 0.2)), noise=(0.02, 0.002))
    sides.play(sides.rounds(), hand_over=lambda seed, side: 583.0 if side == "head" else 231.0)
    assert {row.verdict for row in sides.rows("images_per_second").values()} == {"not comparable"}
    assert "Worse" not in sides.said.getvalue()


def test_speeds_that_other_work_disturbed_are_not_judged_and_scores_are(tmp_path, plan):
    sides = Sides(tmp_path, plan)
    sides.play(sides.rounds(), comparable=False)
    assert {row.verdict for row in sides.rows("miou").values()} == {"ok"}
    assert {row.verdict for row in sides.rows("images_per_second").values()} == {"not comparable"}
    assert "Not judged after 2 seeds, images_per_second" in sides.said.getvalue()


def test_a_trial_that_fails_is_given_up_once_and_tried_again_by_the_next_start(tmp_path, plan):
    sides = Sides(tmp_path, plan)
    asked = sides.play(rounds := sides.rounds(), status="diverged")
    assert [len(names) for names in asked] == [6], "all cells are set aside"
    assert rounds.lacking() == 12
    assert len(sides.rounds().ask()) == 6


def test_both_metrics_share_the_chance_of_a_false_alarm():
    rng, runs = np.random.default_rng(3), 1500
    plan = sequential.Plan("release", 1e-9, 2, 10, metrics=2)
    alarms = np.zeros(runs, bool)
    for _ in range(2):
        alarms |= (sequential.rehearse(plan, rng.standard_normal((runs, 7, 10))).verdict < 0).any(1)
    assert alarms.mean() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / runs), "4.1 % in 10 000 runs; 8.0 % if each had its own"


@pytest.mark.parametrize(
    ("words", "most", "why"),
    [
        ("best", None, "--until best: two revisions are compared until"),
        ("soon", None, "--until soon: expected decided"),
        (None, 5, "--max-seeds: only a run with --until has one"),
        ("decided", 30, "--until: seeds 2 to 30"),
    ],
)
def test_what_no_comparison_can_decide_is_refused(plan, words, most, why):
    with pytest.raises(UsageError, match=why) as refused:
        deciding.planned(words, most, plan.grid, "old", None)
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_real_turns_end_when_a_slower_revision_is_found(tmp_path):
    project = made(tmp_path, seeds=3)
    found = run(request(project, until="decided", max_seeds=6), Console(quiet=True))
    out = tmp_path / "out"
    assert {row.metric for row in found.failing} == {"images_per_second"}
    assert len([*out.glob("*/trials/*/record.json")]) < 24
    assert json.loads((out / "head" / "run.json").read_text())["until_speed"]["metrics"] == 2
    again = run(request(project, until="decided", max_seeds=6), Console(quiet=True))
    assert again.rows == found.rows
    with pytest.raises(UsageError, match="was fixed before its first trial"):
        run(request(project), Console(quiet=True))
    assert toy.traces(project, tmp_path / "tmp") == (0, [])
