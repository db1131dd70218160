"""The gate's rules as arrays against the gate itself, and what they promise where noise is uneven."""

import numpy as np
import pytest

from bench.perf import uneven
from results.statistics import changes, decide


def by_the_gate(base, head, world, margin=0.5):
    """Verdicts of one release, (metrics x cells,), by the code that judges releases."""
    offset = 0 if world.same else 100
    found = {}
    for metric in range(world.metrics):
        cells = {
            (metric, cell): (dict(enumerate(base[metric, cell])), dict(enumerate(head[metric, cell], start=offset)))
            for cell in range(world.cells)
        }
        found |= changes(cells)
    return [one.verdict for one in decide(found, dict.fromkeys(found, margin)).values()]


@pytest.mark.parametrize("world", uneven.WORLDS, ids=lambda world: world.name)
def test_the_arrays_judge_as_the_gate_does(world):
    rng = np.random.default_rng(1)
    base, head = uneven.draw(world, rng, 6)
    head[:, 0] -= 3.0
    verdicts = uneven.regressed(uneven.judge(base, head, world.same), 0.5, world.metrics)
    for one in range(6):
        rows = slice(one * world.metrics, (one + 1) * world.metrics)
        said = by_the_gate(base[rows], head[rows], world)
        assert [name == "regressed" for name in said] == verdicts[one].tolist()
        if world.metrics == 1:
            assert uneven.verdicts(uneven.judge(base[rows], head[rows], world.same), 0.5)[0].tolist() == said


@pytest.mark.parametrize(
    "name", ["equal", "spread .5, 14 cells", "one cell x3", "one cell x6", "t3 tails, 14 cells", "collapses, 2 %"]
)
def test_uneven_noise_raises_hardly_more_false_alarms(name):
    world = next(world for world in uneven.WORLDS if world.name == name)
    releases = 4000
    assert uneven.shares(world, releases).alarms <= 0.056 + 2 * np.sqrt(0.05 * 0.95 / releases)
