"""Costs are worked out once: what is kept is found again, and only for what it was worked out for."""

import pytest

from bench.core import CACHE_VARIABLE
from bench.plan import model_costs
from bench.plan.model_costs import Sized
from models import Cost, ModelSpec

ONE = Sized(ModelSpec(), 3, 128, "float32")
COST = Cost(parameters=7, flops=11, activation_bytes=13)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


def test_a_kept_cost_needs_no_process(monkeypatch):
    assert model_costs._kept(ONE) is None
    model_costs._keep(ONE, COST)
    monkeypatch.setattr(model_costs, "ProcessPoolExecutor", None)
    assert model_costs.costs([ONE, ONE]) == {ONE: COST}


def test_it_is_that_of_any_weights_and_of_nothing_else():
    model_costs._keep(ONE, COST)
    assert model_costs._kept(ONE._replace(model=ModelSpec(weights="mine.h5"))) == COST
    others = {"model": ModelSpec(output_stride=32), "classes": 4, "size": 129, "precision": "mixed_bfloat16"}
    assert [model_costs._kept(ONE._replace(**{field: value})) for field, value in others.items()] == [None] * 4


def test_a_broken_file_or_folder_is_no_obstacle(tmp_path):
    model_costs._keep(ONE, COST)
    (path,) = (tmp_path / "cache" / "costs").iterdir()
    path.write_text('{"parameters": ')
    assert model_costs._kept(ONE) is None
    path.unlink()
    path.parent.rmdir()
    path.parent.touch()
    model_costs._keep(ONE, COST)
    assert model_costs._kept(ONE) is None
