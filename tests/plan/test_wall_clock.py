"""The time of a run, told before its first trial: by hand, and from records of earlier runs."""

import pytest

import results
from bench.core import describe
from bench.plan import GridRequest, Local, TimeEstimate, make, model_costs, time_estimate, wall_clock
from bench.plan.model_costs import Speed
from models import Cost, ModelSpec

NODES = [Local(2, 0, None)]


class Splits:
    """A data set of so many images to score."""

    class_names = ("a", "b")

    def __init__(self, val, test):
        self.splits = {"train": range(99), "val": range(val), "test": range(test)}


@pytest.fixture
def plan():
    return make(GridRequest(grid="losses", preset="quick", only=("loss=cross_entropy,dice",)), NODES, None)


def test_the_seconds_of_a_trial_by_hand(plan):
    spec = plan.grid.cells[0].spec  # 3 epochs of 16 steps of 8 images: 384 images of 160 pixels
    assert (spec.train.epochs, spec.train.steps_per_epoch, spec.train.batch_size, spec.data.size) == (3, 16, 8, 160)
    crop = spec.data.crop
    found = wall_clock._seconds(spec, 2e9, 1e11, Speed(start_s=6.0, forward_s=0.16), 200)
    step = 384 * 2e9 / 1e11  # 7.68 s of forward passes
    scoring = 200 * 2e9 * (160 / crop) ** 2 / 1e11
    assert found == pytest.approx((6 * 1.5 + 3 * step + scoring, 6 * 3 + 5 * step + 8 * scoring))


def test_a_first_run_is_told_from_one_measurement(plan, tmp_path, monkeypatch):
    """The process that measures is the only part that is replaced: it takes ten seconds, and a slow test runs it."""
    cost = Cost(parameters=1, flops=2 * 10**9, activation_bytes=1)
    monkeypatch.setattr(wall_clock, "costs", lambda plan, data: {c.spec.cell: (None, cost) for c in plan.grid.cells})
    monkeypatch.setattr(model_costs, "measured", lambda one, batch: Speed(6.0, 8 * 2e9 / 1e11))
    data = {cell.spec.data: Splits(40, 40) for cell in plan.grid.cells}
    told = time_estimate(plan, data, tmp_path, NODES, True)
    least, most = wall_clock._seconds(plan.grid.cells[0].spec, 2e9, 1e11, Speed(6.0, 0.16), 40 * 3 + 80)
    assert (told.least, told.most) == pytest.approx((6 * least, 6 * most))  # two cells, three seeds
    assert str(told).endswith("min (first run here)")
    assert time_estimate(plan, data, tmp_path, NODES, False) is None, "another machine is not measured"


def test_earlier_trials_tell_it_without_the_cost_of_a_model(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(wall_clock, "costs", None)  # calling it would fail
    for cell, seconds in zip(plan.grid.cells, ((60, 70), (80, 100)), strict=True):
        for number, total in enumerate(seconds):
            record = results.Record(
                trial="t", cell=cell.spec.cell, label="t", seed=0, status="ok",
                environment={**describe(), "device": "cpu"}, clocks={"train_s": 10, "total_s": total},
                spec=cell.spec.model_dump(mode="json"),
            )  # fmt: skip
            results.write(tmp_path / "old" / "trials" / f"{cell.label}{number}", record)
    told = time_estimate(plan, {}, tmp_path, NODES, True)
    assert told == TimeEstimate(pytest.approx(3 * (60 + 80)), pytest.approx(3 * (70 + 100)), 4)
    assert str(told) == "about 7 to 8.5 min (from 4 earlier trials here)"


def test_a_short_run_is_not_measured(tmp_path):
    smoke = make(GridRequest(grid="losses", preset="smoke", only=("loss=dice",)), NODES, None)
    assert time_estimate(smoke, {}, tmp_path, NODES, True) is None


@pytest.mark.slow
def test_a_machine_is_measured(plan, tmp_path):
    one = model_costs.Sized(ModelSpec(backbone="resnet18", output_stride=32), 3, 64, "float32")
    found = model_costs.measured(one, 2)
    assert found.start_s > found.forward_s > 0
    told = time_estimate(plan, {cell.spec.data: Splits(40, 40) for cell in plan.grid.cells}, tmp_path, NODES, True)
    assert 6 * found.start_s < told.most, "two cells, three seeds, none of which begins sooner"
    assert (0 < told.least < told.most, told.records) == (True, 0)
