"""The simulated cluster: sums worked out by hand, and what limits it when one part is made expensive."""

from dataclasses import replace

import pytest

from bench.perf.cluster_model import PARTS, Costs, Work, saturated_at, simulate

COSTS = Costs(
    schedule=1.0, event=0.01, start=10.0, step=0.1, batch=0.4, scoring=5.0, checkpoint=1.0, record=1.0, report=0.5
)
WORK = Work(trials_per_gpu=3, epochs=4, steps_per_epoch=50, events_per_epoch=6)


def test_one_gpu_takes_the_sum_of_its_stages():
    found = simulate(1, 8, WORK, COSTS)
    epoch = 50 * 0.1 + 5 + 1
    # The driver hears the events of an epoch while the GPU goes on.
    assert found.seconds == pytest.approx(3 * (1 + 10 + 4 * epoch + 1) + 3 * 0.5)
    assert found.spent["steps"] == pytest.approx(3 * 4 * 50 * 0.1)
    assert found.spent["input"] == found.spent["end"] == 0
    assert found.busy["driver"] == pytest.approx(3 * (1 + 4 * 6 * 0.01))


@pytest.mark.parametrize("gpus", [1, 7, 64])
def test_all_time_of_all_gpus_is_accounted_for(gpus):
    found = simulate(gpus, 2, WORK, COSTS)
    assert sum(found.spent.values()) == pytest.approx(gpus * found.seconds)
    assert sum(found.share(part) for part in PARTS) == pytest.approx(1)
    assert found.trials == 3 * gpus


def test_too_few_cores_make_a_gpu_wait_for_its_batches():
    found = simulate(1, 2, WORK, COSTS)  # 0.4 s on two cores, for a step of 0.1 s
    assert found.spent["input"] == pytest.approx(3 * 4 * 50 * 0.1)
    assert simulate(1, 4, WORK, COSTS).spent["input"] == 0


@pytest.mark.parametrize(
    ("expensive", "part"),
    [
        ({"schedule": 60.0}, "scheduling"),
        ({"event": 5.0}, "scheduling"),
        ({"checkpoint": 30.0}, "storage"),
        ({"batch": 60.0}, "input"),
        ({"start": 900.0}, "start"),
        ({"scoring": 200.0}, "scoring"),
        ({"report": 1.0, "report_power": 2.0}, "report"),
    ],
)
def test_what_is_made_expensive_is_what_limits(expensive, part):
    assert simulate(32, 8, WORK, replace(COSTS, **expensive)).limit == part


def test_a_queue_serves_one_gpu_at_a_time():
    """All GPUs ask for their first trial at once: the last of them waits for all others."""
    costs = replace(COSTS, start=0, step=0, batch=0, scoring=0, checkpoint=0, record=0, event=0, report=0)
    found = simulate(10, 8, replace(WORK, trials_per_gpu=1), costs)
    assert found.seconds == pytest.approx(10)
    assert found.spent["scheduling"] == pytest.approx(sum(range(1, 11)))
    assert found.spent["end"] == pytest.approx(sum(range(10)))


def test_a_slow_storage_gets_fewer_checkpoints_and_that_of_the_last_epoch():
    """A write of 2 s is followed by none for 40 s, which are four epochs of 10 s: epochs 1, 5, 9 and 10 are written."""
    found = simulate(1, 8, replace(WORK, trials_per_gpu=1, epochs=10), replace(COSTS, checkpoint=2.0))
    assert found.spent["storage"] == pytest.approx(4 * 2 + 1)


def test_many_trials_with_one_storage_wait_a_twentieth_of_their_time_for_it():
    work, costs = replace(WORK, trials_per_gpu=1, epochs=1000), replace(COSTS, record=0, schedule=0, event=0)
    found = simulate(64, 8, work, costs)  # if each wrote all its checkpoints, they would wait for five sixths
    assert 0.04 < found.share("storage") < 0.06


def test_the_driver_has_no_pause_from_the_number_of_gpus_that_is_foretold():
    costs, work = replace(COSTS, checkpoint=0, record=0), replace(WORK, trials_per_gpu=20)
    most = saturated_at(work, costs)
    assert most == pytest.approx((10 + 4 * (50 * 0.1 + 5)) / (1 + 4 * 6 * 0.01))
    few, many = (simulate(round(factor * most), 8, work, costs) for factor in (0.25, 4))
    assert few.share("scheduling") < 0.1 < 0.5 < many.share("scheduling")
