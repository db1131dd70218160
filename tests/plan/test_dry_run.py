"""What a dry run shows of a grid: what differs between its cells, their devices, and how far the costs are."""

import io
from pathlib import Path

import pytest

from bench.core import CACHE_VARIABLE
from bench.core.cli import console
from bench.data import load
from bench.plan import GridRequest, Local, dry_run, forecast, grid, make, model_costs
from bench.plan.model_costs import Sized
from bench.plan.varied import varied
from models import Cost, ModelSpec

ONE = Sized(ModelSpec(), 8, 128, "float32")
COST = Cost(parameters=7_000_000, flops=10**9, activation_bytes=10**6)


@pytest.mark.parametrize(
    ("name", "only", "expected"),
    [
        ("optimizers", "optimizer=adam,sgd", ["train.learning_rate=0.001", "train.learning_rate=0.05"]),
        ("losses", "loss=dice,focal", ["", ""]),
        ("stride", "model.output_stride=32,16", ["", ""]),
        ("scaling", "scaling=strong 2,strong 4", ["placement.gpus=2", "placement.gpus=4"]),
        ("scaling", "scaling=weak 2,strong 2", ["train.batch_size=32", "train.batch_size=16"]),
    ],
)
def test_what_differs_is_named_unless_the_label_says_it(name, only, expected):
    assert varied(grid.load(name, only=[only]).cells) == expected


def test_what_has_a_column_of_its_own_is_left_out():
    cells = grid.load("scaling", only=["scaling=weak 2,strong 2"]).cells
    assert varied(cells, ["train.batch_size"]) == ["", ""]


def _shown(request, node):
    """Whether a plan fits, and what is shown of it, with a cost that was not worked out."""
    plan = make(request, [node], None)
    costs = {cell.spec.cell: (ONE, COST) for cell in plan.grid.cells}
    data = {cell.spec.data: load(cell.spec.data) for cell in plan.grid.cells}
    out = io.StringIO()
    told = forecast(plan, costs, Path("no earlier runs"))
    return dry_run.show(plan, [node], data, costs, told, console(file=out, width=200)), out.getvalue()


def test_cells_that_differ_in_their_devices_alone_are_told_apart_and_share_a_model():
    request = GridRequest(grid="scaling", preset="smoke", seeds=1, only=("scaling=strong 2,strong 4",))
    fits, shown = _shown(request, Local(8, 4, "A100"))
    assert fits
    assert "placement.gpus=2" in shown
    assert "placement.gpus=4" in shown
    assert "2 cells x 1 seed = 2 trials, 1 at a time, each with 8 CPUs and 2 GPUs or 8 CPUs and 4 GPUs" in shown
    assert "nodes: 8 CPUs and 4 GPUs\n" in shown
    assert "all cells" in shown


def test_no_gpu_is_not_mentioned():
    request = GridRequest(grid="losses", preset="smoke", seeds=1, only=("loss=dice",))
    _, shown = _shown(request, Local(1, 0, None))
    assert "1 cell x 1 seed = 1 trial, 1 at a time, each with 1 CPU; nodes: 1 CPU\n" in shown
    assert "settings of its own" not in shown


def test_only_models_that_are_not_in_the_cache_are_counted(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    model_costs._keep(ONE, COST)
    done = []
    assert model_costs.costs([ONE], lambda *count: done.append(count)) == {ONE: COST}
    assert done == []


def test_a_long_value_is_not_spelt_out():
    *_, reference = varied(grid.load("stride").cells)
    assert reference == "model.output_stride=32, eval.views=..."
