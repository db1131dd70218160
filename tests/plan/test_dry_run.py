"""What a dry run shows of a grid: what differs between its cells, their devices, and how far the costs are."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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


def test_images_that_the_model_sees_much_smaller_are_named(tmp_path):
    """As many pixels as a square of 256 are at least 4 times 64 long."""
    for key, side in (("a", 256), ("b", 40)):
        for folder, array in (("images", np.zeros((side, side, 3))), ("masks", np.eye(side))):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(array.astype(np.uint8)).save(tmp_path / folder / f"{key}.png")
    for size, named in ((64, True), (96, False)):
        sizes = (f"data.size={size}", "data.crop=64")
        plan = make(GridRequest(data_root=tmp_path, only=("loss=dice",), settings=sizes), [Local(1, 0, None)], None)
        out = io.StringIO()
        data = {cell.spec.data: load(cell.spec.data) for cell in plan.grid.cells}
        dry_run.notes(plan, data, console(file=out, width=200))
        assert ("up to 0.066 megapixels" in out.getvalue()) == named
        assert ("64 on the longest side (data.size), 4 times smaller or more" in out.getvalue()) == named


def test_a_long_value_is_not_spelt_out():
    *_, reference = varied(grid.load("stride").cells)
    assert reference == "model.output_stride=32, model.low_level_channels=48, eval.views=..."
