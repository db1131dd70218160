"""GPU-hours by hand, from records of earlier runs."""

from dataclasses import replace

import pytest

import results
from bench.core import describe
from bench.plan import GridRequest, Local, Search, forecast, make
from models import Cost, ModelSpec

# A training of `smoke`: 2 epochs of 15 steps of 8 images, three times the forward pass.
WORK = 3 * 1e9 * 2 * 15 * 8


@pytest.fixture
def plan():
    request = GridRequest(grid="losses", preset="smoke", seeds=2, only=("loss=cross_entropy,dice",))
    return make(request, [Local(2, 0, None)], None)


def _told(plan, earlier, forward=(10**9, 10**9), accelerators=()):
    costs = {
        cell.spec.cell: (None, Cost(parameters=1, flops=flops, activation_bytes=1))
        for cell, flops in zip(plan.grid.cells, forward, strict=True)
    }
    return forecast(plan, costs, earlier, accelerators)


def _trained(cell, folder, train_s, total_s, **environment):
    environment = {**describe(), "device": "cpu", **environment}
    record = results.Record(
        trial=folder.name, cell=cell.spec.cell, label=cell.label, seed=0, status="ok", environment=environment,
        spec=cell.spec.model_dump(mode="json"), clocks={"train_s": train_s, "total_s": total_s},
    )  # fmt: skip
    results.write(folder, record)


def test_without_records_the_work_is_told_and_no_hours(plan, tmp_path):
    told = _told(plan, tmp_path, forward=(10**9, 2 * 10**9))
    assert told.flops == pytest.approx(2 * WORK + 2 * 2 * WORK)
    assert told.hours is None
    assert "hours unknown" in str(told)
    first, second = (cell.spec.cell for cell in plan.grid.cells)
    assert told.seconds[second] == 2 * told.seconds[first]  # so the longer starts first


def test_a_cell_takes_as_long_again_and_another_by_its_work(plan, tmp_path):
    first, second = plan.grid.cells
    _trained(first, tmp_path / "r" / "trials" / "a", train_s=10, total_s=16)
    _trained(first, tmp_path / "r" / "trials" / "b", train_s=10, total_s=18)
    _trained(first, tmp_path / "r" / "trials" / "c", train_s=1, total_s=2, processor="of another machine")
    unplanned = replace(first, spec=first.spec.model_copy(update={"model": ModelSpec(backbone="resnet18")}))
    _trained(unplanned, tmp_path / "r" / "trials" / "d", train_s=1, total_s=2)  # its work is unknown here
    told = _told(plan, tmp_path, forward=(10**9, 2 * 10**9))
    assert (told.records, told.device) == (2, "trial")
    # The second: twice the work of 10 s, and the 7 s that the others took beside training (the median of 6 and 8).
    assert told.seconds == {first.spec.cell: 17, second.spec.cell: pytest.approx(27)}
    assert told.hours == pytest.approx([2 * (16 + 27) / 3600, 2 * (17 + 27) / 3600, 2 * (18 + 27) / 3600])


def test_a_search_is_counted_in_whole_trainings(plan, tmp_path):
    searching = replace(plan, grid=replace(plan.grid, search=Search(values=(1e-3, 1e-2, 1e-1), epochs=1)))
    assert _told(searching, tmp_path).flops == pytest.approx(2 * (2 + 3 * 1 / 2) * WORK)


@pytest.mark.parametrize("kind", ["NVIDIA A100-SXM4-40GB", "A100", "A100-40G"])
def test_a_trial_of_four_gpus_takes_a_quarter_of_its_work_on_one(tmp_path, kind):
    """Whatever the machine that asks: a cluster's head may have none."""
    request = GridRequest(grid="scaling", preset="smoke", seeds=1, only=("scaling=1,weak 4",))
    plan = make(request, [Local(32, 4, None)], None)
    one, four = plan.grid.cells
    gpu = {"device": "gpu", "gpu_names": ["NVIDIA A100-SXM4-40GB"]}
    _trained(one, tmp_path / "r" / "trials" / "a", train_s=10, total_s=12, **gpu)
    assert _told(plan, tmp_path, accelerators=["NVIDIA H100 PCIe", "T4"]).hours is None
    told = _told(plan, tmp_path, accelerators=[kind])
    assert told.flops == pytest.approx((16 + 64) / 8 * WORK)  # by their global batches
    # Four times the work on four times the devices: 10 s again, with 2 s beside training.
    assert told.seconds == {one.spec.cell: 12, four.spec.cell: pytest.approx(12)}
    assert told.hours[1] == pytest.approx((1 * 12 + 4 * 12) / 3600)


def test_one_record_pretends_no_interval_and_says_what_it_is_of(plan, tmp_path):
    first, second = plan.grid.cells
    _trained(first, tmp_path / "r" / "trials" / "a", train_s=10, total_s=16)
    # Two seeds of 16 s each, as trained and by the same FLOPs: 64 s are 0.018 hours.
    told = str(_told(plan, tmp_path))
    assert told.endswith("about 0.018 trial-hours (from 1 earlier trial on these devices; 1 of 2 cells by FLOPs)")
    _trained(second, tmp_path / "r" / "trials" / "b", train_s=20, total_s=30)
    _trained(second, tmp_path / "r" / "trials" / "c", train_s=40, total_s=50)
    # 2 * (16 + 30), 2 * (16 + 40), 2 * (16 + 50) seconds
    told = str(_told(plan, tmp_path))
    assert told.endswith("about 0.031 trial-hours (0.026 to 0.037, from 3 earlier trials on these devices)")
