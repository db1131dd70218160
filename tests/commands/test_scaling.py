"""Scaling efficiency by hand, its interval, and the shipped grid in command, report, comparison and gaps."""

import math

import pytest

import results
from bench.plan import grid
from reports.summary import summarize
from results import rows, starts
from results.release import gaps
from results.scaling import Start
from tests.invented_runs import chosen
from tests.invented_runs.folder import DATASET, write_folder

WEAK = {1: 16, 4: 64}


def start(replicas, batch, rate, share=None, setting="s", label="1"):
    return Start(setting, label, replicas, batch, rate, share)


def test_efficiency_is_the_rate_over_n_times_that_of_one():
    one, four = rows([start(1, 16, 100.0, 0.1), start(4, 64, 300.0, 0.4)])
    assert (one.series, one.efficiency, one.low) == ("weak", 1.0, None)
    assert (four.series, four.efficiency) == ("weak", pytest.approx(0.75))
    assert (four.low, four.high) == (None, None)  # one start each: no spread is known
    assert four.input_share == 0.4


def test_a_fixed_global_batch_is_a_series_of_its_own():
    found = rows([start(1, 16, 100.0), start(2, 32, 190.0), start(2, 16, 150.0)])
    assert [(row.series, row.replicas, round(row.efficiency, 3)) for row in found] == [
        ("weak", 1, 1.0), ("weak", 2, 0.95), ("strong", 1, 1.0), ("strong", 2, 0.75)
    ]  # fmt: skip


def test_settings_are_each_relative_to_their_own_start_on_one_replica():
    found = rows(
        [start(1, 8, 100.0, setting="a", label="small"), start(2, 16, 200.0, setting="a", label="small 2"),
         start(1, 8, 10.0, setting="b", label="large"), start(2, 16, 15.0, setting="b", label="large 2")]
    )  # fmt: skip
    assert {(row.series, row.replicas): row.efficiency for row in found} == {
        ("small weak", 1): 1, ("small weak", 2): pytest.approx(1), ("large weak", 1): 1,
        ("large weak", 2): pytest.approx(0.75),
    }  # fmt: skip


def test_the_interval_is_that_of_a_ratio_of_geometric_means():
    found = rows([start(1, 8, r) for r in (90.0, 110.0)] + [start(2, 16, r) for r in (150.0, 170.0)])
    # Two freedoms: t = 4.3027; squares of the logarithms 2 * (ln(11/9)/2)**2 and 2 * (ln(17/15)/2)**2.
    squares = math.log(11 / 9) ** 2 / 2 + math.log(17 / 15) ** 2 / 2
    margin = 4.302653 * math.sqrt(squares / 2 * (1 / 2 + 1 / 2))
    centre = math.sqrt(150 * 170) / math.sqrt(90 * 110) / 2
    assert found[1].efficiency == pytest.approx(centre)
    assert found[1].low == pytest.approx(centre / math.exp(margin))
    assert found[1].high == pytest.approx(centre * math.exp(margin))
    assert found[1].input_share is None


def test_hosts_are_a_series_of_their_own_relative_to_one_host():
    """Two GPUs of each host, so that E(n) over hosts is not that over replicas."""

    def on(hosts, batch, rate):
        return Start("s", "1", 2 * hosts, batch, rate, None, hosts)

    found = rows([start(1, 16, 100.0), on(1, 32, 180.0), on(2, 64, 300.0), on(4, 128, 540.0), on(2, 32, 250.0)])
    assert [(row.series, row.devices, round(row.efficiency, 4)) for row in found] == [
        ("weak", "1", 1.0), ("weak", "2", 0.9), ("weak over hosts", "2", 1.0),
        ("weak over hosts", "4 on 2 hosts", 0.8333), ("weak over hosts", "8 on 4 hosts", 0.75),
        ("strong over hosts", "2", 1.0), ("strong over hosts", "4 on 2 hosts", 0.6944),
    ]  # fmt: skip
    assert [row.series for row in rows([on(1, 32, 180.0), on(2, 64, 300.0)])] == ["weak over hosts"] * 2
    with pytest.raises(ValueError, match="one replica"):
        rows([on(2, 64, 300.0)])


def test_a_start_whose_cores_were_placed_otherwise_has_no_part_in_it():
    records = [
        chosen.record("ce", seed, (0.5, rate), throughput={
            "images_per_second": rate, "comparable": True, "replicas": 1, "hand_over_ns": time,
        })
        for seed, (rate, time) in enumerate([(61.0, 231.0), (49.0, 583.0), (62.0, 233.0)])
    ]  # fmt: skip
    assert [one.rate for one in starts(records)] == [61.0, 62.0]


def test_the_grid_over_hosts_varies_them_and_the_batch():
    cells = {cell.label: cell.spec for cell in grid.load("scaling-hosts").cells}
    widths = {label: (spec.placement.hosts, spec.train.batch_size) for label, spec in cells.items()}
    assert widths == {"1": (1, 32), "weak 2": (2, 64), "weak 4": (4, 128), "strong 2": (2, 32), "strong 4": (4, 32)}


@pytest.mark.parametrize(
    ("measured", "message"),
    [([start(2, 16, 100.0)], "one replica"), ([start(1, 16, 100.0), start(2, 7, 100.0)], "several replicas")],
)
def test_without_something_to_compare_there_is_no_efficiency(measured, message):
    with pytest.raises(ValueError, match=message):
        rows(measured)


MACHINE = {
    "processor": "p", "instructions": "avx2", "onednn": "1", "cores": 8, "device": "gpu", "precision": "float32",
    "tensor_float_32": True,
}  # fmt: skip


@pytest.fixture
def run(tmp_path):
    """The shipped grid, each cell with two seeds at 100 images/s a GPU, less a tenth for every doubling."""
    cells, records = grid.load("scaling").cells, []
    for cell in cells:
        gpus = cell.spec.placement.gpus
        for seed in range(2):
            name, spec = cell.trial(seed)
            rate = 100 * gpus * 0.9 ** math.log2(gpus)
            record = results.Record(
                trial=name, cell=spec.cell, label=cell.label, axes=dict(cell.axes), seed=seed, status="ok",
                spec=spec.model_dump(mode="json"),
                environment={**MACHINE, "gpus": ["H"] * gpus, "gpu_names": ["H"] * gpus, "replicas": gpus},
                dataset=DATASET,
                views=[{"images": 3, "miou": 0.5 + 0.01 * seed, "iou": [0.5, 0.5]}, {"view": "flip", "images": 3}],
                throughput={"images_per_second": rate, "windows": [rate] * 3, "comparable": True, "replicas": gpus,
                            "batch_size": spec.train.batch_size},
            )  # fmt: skip
            records.append(record)
    planned = [
        {"cell": c.spec.cell, "label": c.label, "seeds": [0, 1], "replicas": c.spec.placement.replicas} for c in cells
    ]
    return write_folder(tmp_path, records, planned, grid="scaling")


def test_the_shipped_grid_has_its_two_series_whatever_views_a_trial_has(run):
    found = rows(starts(one.record for one in results.iterate(run)))
    assert [(row.series, row.replicas, row.starts) for row in found] == [
        (series, n, 2) for series in ("weak", "strong") for n in (1, 2, 4, 8)
    ]
    assert [row.efficiency for row in found] == [pytest.approx(0.9 ** math.log2(row.replicas)) for row in found]


def test_widths_of_one_cell_are_apart_in_report_comparison_and_gaps(run):
    """A cell does not depend on the number of devices, so `1` and the strong ones are the same cell elsewhere."""
    read = results.read_run(run)
    summary = summarize(read)
    rates = {cell.label: cell.images_per_second for cell in summary.cells}
    assert len(rates) == 7
    assert rates["1"] == pytest.approx(100)
    assert rates["strong 8"] == rates["weak 8"] == pytest.approx(800 * 0.9**3)
    assert len(summary.scaling) == 8
    found = results.compare(run, run)
    speeds = {row.label: row.head for row in found.rows if row.metric == "images_per_second"}
    assert speeds["strong 4"] == pytest.approx(400 * 0.9**2)

    next(run.glob("trials/strong-8*-s1/record.json")).unlink()
    assert gaps(results.read_run(run)) == ["no record of strong 8, seed 1"]
