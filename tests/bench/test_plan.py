"""Placement and defaults from the machines at hand."""

import pytest

from bench.errors import UsageError
from bench.plan import Local, default_precision, make

LAPTOP = [Local(2, 0, None)]
NODES = [Local(32, 8, "A100"), Local(32, 8, "A100")]


def _plan(nodes, concurrent=None, **options):
    return make({"grid": "losses", **options}, nodes, concurrent)


def test_without_a_gpu_the_preset_is_quick_and_says_so():
    plan = _plan(LAPTOP)
    assert plan.grid.preset == "quick"
    assert [note for note in plan.notes if "quick" in note]
    assert (plan.cpus, plan.gpus, plan.concurrent, plan.shared) == (2, 0, 1, False)
    assert _plan(LAPTOP, preset="quick").notes == ()


def test_with_gpus_the_preset_is_full_and_each_trial_gets_its_share_of_the_node():
    plan = _plan(NODES)
    assert plan.grid.preset == "full"
    assert (plan.gpus, plan.cpus, plan.concurrent) == (1, 4, None)
    assert _plan(NODES, gpus_per_trial=4).cpus == 16
    assert all(cell.spec.placement.gpus == 1 for cell in plan.grid.cells)
    assert plan.grid.cells[0].spec.train.precision == "mixed_bfloat16"


def test_cpu_trials_side_by_side_share_cores_and_are_marked():
    plan = _plan(LAPTOP, 2)
    assert (plan.cpus, plan.concurrent, plan.shared) == (1, 2, True)
    assert any("not comparable" in note for note in plan.notes)
    apart = _plan([Local(4, 0, None), Local(4, 0, None)])  # two machines, one trial each
    assert (apart.cpus, apart.concurrent, apart.shared) == (4, 2, False)


def test_seeds_go_round_the_cells():
    trials = _plan(LAPTOP, seeds=2).trials
    assert len(trials) == 14
    assert [spec.seed for _, _, spec in trials] == [0] * 7 + [1] * 7
    assert len({name for name, _, _ in trials}) == 14
    assert len({spec.cell for _, _, spec in trials}) == 7


def test_the_batch_has_to_split_over_the_gpus_of_a_trial():
    with pytest.raises(UsageError, match="does not split over 3 replicas"):
        _plan(NODES, gpus_per_trial=3)


def test_precision_by_device_is_read_from_the_table():
    assert default_precision(0, LAPTOP) == "float32"
    assert default_precision(1, [Local(8, 1, "V100")]) == "mixed_float16"
    assert default_precision(1, [Local(8, 1, "NVIDIA H200")]) == "mixed_bfloat16"
    assert default_precision(1, [Local(8, 1, "A100"), Local(8, 1, "T4")]) == "mixed_float16"
