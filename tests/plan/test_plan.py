"""Placement and defaults from the machines at hand."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bench.core import UsageError, environment
from bench.execution import RunFolder
from bench.execution.failure_policy import shrunk
from bench.execution.progress import ProgressView
from bench.execution.resumption import grow
from bench.execution.standing import Standing
from bench.plan import GridRequest, Local, default_precision, make, merge_grids, why_unplaceable
from bench.spec import parse

LAPTOP = [Local(2, 0, None)]
NODES = [Local(32, 8, "A100"), Local(32, 8, "A100")]


def _plan(nodes, concurrent=None, **options):
    return make(GridRequest(grid="losses", **options), nodes, concurrent)


@pytest.mark.parametrize("nodes", [LAPTOP, NODES])
def test_the_preset_is_quick_everywhere_and_a_note_says_what_full_is(nodes):
    """A first command ends in minutes on any machine."""
    plan = _plan(nodes)
    assert plan.grid.preset == "quick"
    (note,) = plan.notes
    assert "--preset full, for GPUs, is 35 trials of up to 15000 steps at 512 px" in note
    assert _plan(nodes, preset="quick").notes == ()
    assert _plan(nodes, preset="full").notes == ()


def test_a_trial_on_a_cpu_has_the_machine():
    plan = _plan(LAPTOP)
    assert (plan.cpus, plan.gpus, plan.concurrent, plan.shared) == (2, 0, 1, False)


def test_each_trial_gets_its_share_of_a_node_with_gpus():
    plan = _plan(NODES, preset="full")
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


def test_a_cluster_that_gets_more_nodes_may_run_more_trials_unless_two_would_share_one():
    assert _plan([Local(4, 0, None), Local(7, 0, None)]).alone, "no node has the CPUs of two trials"
    assert not _plan([Local(4, 0, None), Local(8, 0, None)]).alone
    assert not _plan([Local(4, 0, None), Local(4, 0, None)], 2).alone, "as many as was asked for"


def test_trials_that_do_not_divide_over_the_nodes_share_the_fullest():
    """Three at a time on two machines: one of them holds two, so that each trial has half of a machine."""
    plan = _plan([Local(4, 0, None), Local(4, 0, None)], 3)
    assert (plan.cpus, plan.concurrent, plan.shared) == (2, 3, True)


def test_seeds_go_round_the_cells():
    trials = _plan(LAPTOP, seeds=2).trials
    assert len(trials) == 14
    assert [spec.seed for _, _, spec in trials] == [0] * 7 + [1] * 7
    assert len({name for name, _, _ in trials}) == 14
    assert len({spec.cell for _, _, spec in trials}) == 7


def test_the_batch_has_to_split_over_the_gpus_of_a_trial():
    with pytest.raises(UsageError, match="does not split evenly over 3 replicas"):
        _plan(NODES, gpus_per_trial=3)


def test_precision_by_device_is_read_from_the_table():
    assert default_precision(0, LAPTOP) == "float32"
    assert default_precision(1, [Local(8, 1, "V100")]) == "mixed_float16"
    assert default_precision(1, [Local(8, 1, "NVIDIA H200")]) == "mixed_bfloat16"
    assert default_precision(1, [Local(8, 1, "A100"), Local(8, 1, "T4")]) == "mixed_float16"


def test_a_grid_may_say_itself_how_many_gpus_each_trial_has():
    plan = make(GridRequest(grid="scaling"), NODES, None)
    gpus = {cell.label: cell.spec.placement.gpus for cell in plan.grid.cells}
    assert (gpus["1"], gpus["weak 4"], gpus["strong 8"]) == (1, 4, 8)
    assert {cell.spec.placement.cpus for cell in plan.grid.cells} == {32}  # each has its node to itself
    assert plan.needs == [(32, 1, 1), (32, 2, 1), (32, 4, 1), (32, 8, 1)]
    with pytest.raises(UsageError, match="sets the number of GPUs per trial"):
        make(GridRequest(grid="scaling", gpus_per_trial=2), NODES, None)


@pytest.mark.parametrize("gpus", [1, 2, 4])
def test_a_grid_of_more_gpus_than_any_node_has_is_refused_by_what_it_asks(gpus):
    nodes = [Local(16, gpus, "A100")]
    assert why_unplaceable(make(GridRequest(grid="scaling"), nodes, None).needs, nodes).startswith(
        f"a trial needs {2 * gpus} GPUs"
    )


def test_half_the_batch_is_another_cell():
    trial = _plan(LAPTOP).trials[0]
    assert trial[2].cell == trial[1].spec.cell
    smaller = shrunk(trial)
    assert smaller[2].train.batch_size == trial[2].train.batch_size // 2
    assert smaller[2].cell == parse(smaller[2].model_dump(mode="json"), "again").cell != trial[2].cell


def test_more_seeds_read_no_file_again():
    grid = replace(_plan(LAPTOP, seeds=2).grid, name="gone.yaml")
    assert grow(None, grid, GridRequest(seeds=5), LAPTOP, None, {}) == replace(grid, seeds=5)


def test_a_run_that_grows_keeps_what_the_machine_decided(tmp_path):
    """A run begun on A100s and taken up where there are none: its preset, its GPUs, its precision."""
    (tmp_path / "mine.yaml").write_text("axes: {train.precision: [float32, mixed_bfloat16]}\n")
    for name in ("losses", str(tmp_path / "mine.yaml")):
        begun = make(GridRequest(grid=name, preset="smoke"), NODES, None)
        manifest = {"options": {"grid": name, "gpus_per_trial": 1}}
        folder = RunFolder.create(tmp_path, Path(name).stem, manifest, begun, {})
        more = grow(folder, begun.grid, GridRequest(grid=name, seeds=9), LAPTOP, None, {})
        assert more.seeds == 9
        assert more.cells == begun.grid.cells, "none is another cell"


def test_the_cores_of_a_container_are_those_of_its_quota(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "_CGROUP", tmp_path)
    here = environment.machine_cores()
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert environment.machine_cores() == here
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert environment.machine_cores() == 1
    (tmp_path / "cpu.max").unlink()
    (tmp_path / "cpu").mkdir()
    for name, value in (("cpu.cfs_quota_us", "-1"), ("cpu.cfs_period_us", "100000")):
        (tmp_path / "cpu" / name).write_text(f"{value}\n")
    assert environment.machine_cores() == here


def test_a_process_keeps_no_more_cores_busy_than_the_plan_gave_it(monkeypatch):
    monkeypatch.setattr(environment, "machine_cores", lambda: 64)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    assert environment.usable_cores() == 64
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.setenv(name, "")
    environment.prepare_process(threads=3)
    assert environment.usable_cores() == 3
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "128")
    assert environment.usable_cores() == 64


def test_gpus_that_are_hidden_are_not_there(tmp_path, monkeypatch):
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho A100\necho A100\necho A100\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = []
    for visible in (None, "", "0,2"):
        if visible is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        found.append(len(environment.gpu_names.__wrapped__()))
    assert found == [3, 0, 2]


@pytest.mark.parametrize("script", ["#!/bin/sh\nexec sleep 60\n", "#!/nowhere\n"])
def test_a_driver_that_does_not_answer_is_told_and_has_no_gpus(tmp_path, monkeypatch, capsys, script):
    (tmp_path / "nvidia-smi").write_text(script)
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(environment, "_DRIVER_SECONDS", 0.2)
    assert environment.gpu_names.__wrapped__() == ()
    assert capsys.readouterr().err == "nvidia-smi does not answer: no GPUs are counted\n"


MIXED = [Local(32, 8, "A100-40G"), Local(16, 2, "A100-80G"), Local(64, 4, "H100"), Local(8, 0, None)]


def _of_kind(kind, nodes, gpus=1):
    request = GridRequest(
        grid="losses", preset="smoke", gpus_per_trial=gpus, settings=(f"placement.accelerator={kind}",)
    )
    return make(request, nodes, None)


def test_trials_get_gpus_of_the_kind_that_they_name():
    plan = _of_kind("H100", MIXED)
    assert {cell.spec.placement.accelerator for cell in plan.grid.cells} == {"H100"}
    assert plan.needs == [(16, 1, 1)], "their share of the nodes with this kind: 64 CPUs for 4 GPUs"
    named_by_the_driver = [Local(8, 1, "NVIDIA H100 80GB HBM3")]
    assert _of_kind("H100", named_by_the_driver).grid.cells[0].spec.placement.accelerator == "NVIDIA H100 80GB HBM3"
    anywhere = make(GridRequest(grid="losses", preset="smoke", gpus_per_trial=1), MIXED, None).grid.cells[0].spec
    assert plan.grid.cells[0].spec.cell == anywhere.cell, "where a trial runs is no part of the cell"


@pytest.mark.parametrize(
    ("kind", "gpus", "message"),
    [
        ("T4", 1, "placement.accelerator=T4: no node has it; there is A100-40G, A100-80G, H100"),
        ("A100", 1, "placement.accelerator=A100: it may be A100-40G or A100-80G"),
        ("A100-80G", 4, "placement.accelerator=A100-80G: a trial needs 4 GPUs, no node has more than 2 of this kind"),
        ("H100", 0, "placement.accelerator=H100: the trial has no GPU; leave it out, or give --gpus-per-trial"),
    ],
)
def test_a_kind_of_gpu_that_no_node_has_is_refused(kind, gpus, message):
    with pytest.raises(UsageError) as caught:
        _of_kind(kind, MIXED, gpus)
    assert str(caught.value) == message


def test_errors_are_shown_as_they_are_not_as_markup():
    out = io.StringIO()
    with ProgressView(Standing({"a": ("", 1)}), Console(file=out)) as view:
        view.ended("a", "crashed", 1.0, "Unknown device [/device:GPU:1], shape=[batch, 3]")
        view.note("[/x]")
    assert "Unknown device [/device:GPU:1], shape=[batch, 3]" in out.getvalue()
    assert "[/x]" in out.getvalue()


def test_without_gpus_logical_devices_exercise_such_a_grid():
    plan = make(GridRequest(grid="scaling", preset="smoke", gpus_per_trial=0), LAPTOP, None)
    assert [cell.spec.placement.replicas for cell in plan.grid.cells] == [1, 2, 4, 8, 2, 4, 8]
    assert plan.needs == [(2, 0, 1)]
    assert any("no speed-up can be seen" in note for note in plan.notes)


def test_within_a_seed_the_longest_come_first():
    plan = _plan(NODES, seeds=2)
    cells = [cell.spec.cell for cell in plan.grid.cells]
    ordered = replace(plan, seconds={cells[3]: 10.0, cells[5]: 20.0}).trials
    first = [cells[5], cells[3], *(cell for i, cell in enumerate(cells) if i not in (3, 5))]
    assert [spec.cell for _, _, spec in ordered] == first * 2


def test_a_grid_grows_by_cells_that_differ_in_replicas_alone():
    grid = make(GridRequest(grid="scaling", preset="smoke", gpus_per_trial=0), LAPTOP, None).grid
    alone = [cell for cell in grid.cells if cell.spec.placement.replicas == 1]
    assert sum(cell.spec.cell == alone[0].spec.cell for cell in grid.cells) == 4, "1, and strong 2, 4 and 8"
    wider = merge_grids(replace(grid, cells=tuple(alone)), grid)
    assert [(cell.label, cell.spec.placement.replicas) for cell in wider.cells] == [
        (cell.label, cell.spec.placement.replicas) for cell in grid.cells
    ]


def test_a_grown_grid_keeps_its_cells_and_has_more():
    old, new = _plan(LAPTOP, seeds=2, only=("loss=dice,bce",)).grid, _plan(LAPTOP, seeds=3).grid
    both = merge_grids(old, new)
    assert [cell.label for cell in both.cells[:2]] == ["dice", "bce"]
    assert sorted(cell.label for cell in both.cells) == sorted(cell.label for cell in new.cells)
    assert both.seeds == 3
    assert merge_grids(new, old).seeds == 3
    assert len(merge_grids(new, old).cells) == 7
