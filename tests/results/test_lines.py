"""Lines over releases, worked out by hand: a step, a slow drift, no change, another machine, another scoring."""

import pytest

import results
from tests.invented_runs import chosen as made

OTHER = {**made.MACHINE, "processor": "Intel Xeon"}


def release(folder, miou=0.7, rate=40.0, noise=0.0005, **more):
    """A run of one cell: three seeds at the mean and `noise` below and above it."""
    seeds = {seed: (miou + noise * (seed - 1), rate + noise * (seed - 1)) for seed in range(3)}
    return results.read_run(made.made_run(folder, {"dice": seeds}, **more))


def line(runs, metric="miou", label="dice"):
    (found,) = [one for one in results.cell_history(runs).lines if (one.metric, one.label) == (metric, label)]
    return found


def levels(found):
    return [point.level for point in found.points]


def steps(found):
    return [(at, point.step.row.verdict, point.step.against) for at, point in enumerate(found.points) if point.step]


def test_a_step_begins_a_new_level_at_the_release_where_it_happened(tmp_path):
    found = line([release(tmp_path / f"{n}", miou) for n, miou in enumerate([0.70, 0.70, 0.68, 0.68, 0.71])])
    assert levels(found) == [0, 0, 1, 1, 2]
    assert steps(found) == [(2, "regressed", (1,)), (4, "improved", (3,))]
    assert found.points[2].step.row.change == pytest.approx(-0.02)
    assert [point.mean for point in found.points] == pytest.approx([0.70, 0.70, 0.68, 0.68, 0.71])
    # 0.0005 is the standard deviation of the seeds; t(0.975, df 2) = 4.3027.
    half = 4.3027 * 0.0005 / 3**0.5
    assert (found.points[0].low, found.points[0].high) == pytest.approx((0.70 - half, 0.70 + half), abs=1e-7)
    assert found.points[0].seeds == 3


def test_a_slow_drift_that_every_comparison_of_neighbours_passes_is_found(tmp_path):
    """0.3 points a release, with a margin of 0.5: at the fourth release the level, 69.7 on average, is 0.6 above it."""
    found = line([release(tmp_path / f"{n}", 0.700 - 0.003 * n) for n in range(4)])
    assert [point.verdict for point in found.points] == [None, "ok", "ok", "ok"]
    assert steps(found) == [(3, "regressed", (0, 1, 2))]
    row = found.points[3].step.row
    assert row.change == pytest.approx(0.691 - 0.697)
    # The nine values of the level vary with its drift: squares 6 x 0.003² + 8 x 0.0005² over 8 + 2 degrees of freedom.
    variance = (6 * 0.003**2 + 8 * 0.0005**2) / 10
    half = 1.81246 * (variance * (1 / 9 + 1 / 3)) ** 0.5  # t(0.95, df 10)
    assert (row.low, row.high) == pytest.approx((-0.006 - half, -0.006 + half), abs=1e-7)
    assert levels(found) == [0, 0, 0, 1]
    # From there on the new level counts: nothing more is said of the same drift.
    assert steps(line([release(tmp_path / f"{n}", max(0.691, 0.700 - 0.003 * n)) for n in range(6)])) == steps(found)


def test_without_a_change_there_is_no_step(tmp_path):
    found = line([release(tmp_path / f"{n}", 0.7 + 0.001 * (n % 2), noise=0.004) for n in range(6)])
    assert steps(found) == []
    assert levels(found) == [0] * 6


def test_another_machine_breaks_the_line_of_the_speed_and_of_nothing_else(tmp_path):
    plan = [(40.0, made.MACHINE), (40.0, made.MACHINE), (20.0, OTHER), (20.0, OTHER), (10.0, OTHER)]
    runs = [release(tmp_path / f"{n}", rate=rate, machine=machine) for n, (rate, machine) in enumerate(plan)]
    speed = line(runs, "images_per_second")
    assert levels(speed) == [0, 0, 1, 1, 2]
    assert [point.broken for point in speed.points] == ["", "", "processor differs: AMD EPYC / Intel Xeon", "", ""]
    assert steps(speed) == [(4, "regressed", (3,))], "half the speed on the same machine, but not on another one"
    assert speed.points[2].verdict == "not comparable"
    assert levels(line(runs, "miou")) == [0] * 5


def test_a_level_holds_only_what_can_be_compared_with_the_newest(tmp_path):
    """The second release does not say which epoch's weights it scored, so it joins two that cannot be compared."""
    runs = []
    for n, kept in enumerate(["best", None, "last", "last", "last"]):
        spec = {"loss": {"name": "dice"}, "train": {"epochs": 3}, "eval": {"keep_checkpoint": kept} if kept else {}}
        runs.append(release(tmp_path / f"{n}", 0.700 - 0.003 * n, spec=spec))
    assert steps(line(runs)) == [(4, "regressed", (1, 2, 3))]


def test_another_scoring_breaks_the_line_of_the_scores_and_of_nothing_else(tmp_path):
    runs = [release(tmp_path / f"{n}", miou, scoring=s) for n, (miou, s) in enumerate([(0.7, 1), (0.6, 2), (0.6, 2)])]
    found = line(runs)
    assert (levels(found), steps(found)) == ([0, 1, 1], [])
    assert found.points[1].broken == "scores of version 1 and 2"
    assert levels(line(runs, "images_per_second")) == [0, 0, 0]


def test_a_release_without_the_cell_is_passed_over(tmp_path):
    other = results.read_run(made.made_run(tmp_path / "other", {"ce": dict.fromkeys(range(3), (0.5, 30.0))}))
    found = line([release(tmp_path / "old"), other, release(tmp_path / "new", 0.6)])
    assert [point.verdict for point in found.points] == [None, None, "regressed"]
    assert (found.points[2].before, levels(found)) == (0, [0, -1, 1])


def test_a_cell_that_was_planned_and_not_measured_has_a_point_that_says_why(tmp_path):
    """Why is told once: a second run without the values of the first is no change."""
    well = {seed: (0.7 + 0.001 * seed, 40.0) for seed in range(3)}
    scored = {seed: (miou, None) for seed, (miou, _) in well.items()}
    before = results.read_run(made.made_run(tmp_path / "old", dict.fromkeys(("ce", "dice", "focal", "bce"), well)))
    cells = {"ce": well, "dice": dict.fromkeys(range(3)), "bce": scored}
    runs = [before, *(results.read_run(made.made_run(tmp_path / n, cells, planned={"focal": well})) for n in "ab")]
    diverged, again = line(runs, label="dice").points[1:]
    assert (diverged.verdict, diverged.before, diverged.seeds, diverged.level) == ("newly failing", 0, 0, -1)
    assert (diverged.row.metric, diverged.reason) == ("trials", "base 0 of 3 failed; head 3 of 3 failed (diverged)")
    assert (again.verdict, again.row) == (None, None)
    lost = line(runs, label="focal").points[1]
    assert (lost.verdict, lost.reason, lost.row.verdict) == ("missing", "head has no record of this cell", "missing")
    assert line(runs, "images_per_second", "bce").points[1].verdict is None, "its trials ended well"


def test_a_level_of_which_one_run_alone_is_comparable_is_not_judged_as_a_level(tmp_path):
    from results.comparison.loading import load
    from results.lines.levels import against_level

    def loaded(name, kept):
        spec = {"loss": {"name": "dice"}, "train": {"epochs": 3}, "eval": {"keep_checkpoint": kept} if kept else {}}
        return load(release(tmp_path / name, spec=spec))

    head, best, unknown, last = (loaded(f"{n}", kept) for n, kept in enumerate(["last", "best", None, "last"]))
    (key,) = [key for key in head.measured if key[2] == "miou"]
    margins = results.cell_history([release(tmp_path / "any")]).margins
    assert against_level(head, {key: {0: best, 1: unknown}}, margins) == {}
    assert against_level(head, {key: {0: best, 1: unknown, 2: last}}, margins)[key][1] == (1, 2)


def test_a_level_shares_no_seed_with_the_newest_run(tmp_path):
    """The effect of a seed is common to the cells of one run. Which numbers head's seeds have changes no interval."""
    from results.comparison.loading import load
    from results.lines.levels import against_level

    def loaded(name, first):
        steps = {"ce": (0.0, 0.004, -0.004), "dice": (0.001, 0.003, -0.004), "focal": (0.0, 0.005, -0.003)}
        cells = {cell: {first + s: (0.7 + step, 40.0) for s, step in enumerate(of)} for cell, of in steps.items()}
        return load(results.read_run(made.made_run(tmp_path / name, cells)))

    level = {0: loaded("a", 0), 1: loaded("b", 0)}
    margins = results.cell_history([results.read_run(tmp_path / "a")]).margins
    spans = []
    for name, first in (("c", 0), ("d", 10)):
        head = loaded(name, first)
        rows = against_level(head, {key: level for key in head.measured if key[2] == "miou"}, margins)
        spans.append({key: (row.low, row.high) for key, (row, _) in rows.items()})
    assert len(spans[0]) == 3
    assert spans[0] == spans[1]


def test_the_verdicts_are_those_of_the_comparison(tmp_path):
    runs = [
        results.read_run(
            made.made_run(
                tmp_path / f"{n}",
                {cell: {5 * n + s: (0.7 - drop * n + 0.002 * s, 40.0 - n - s) for s in range(4)} for cell, drop in
                 (("ce", 0.0), ("dice", 0.02), ("focal", 0.004))},
            )
        )
        for n in range(2)
    ]  # fmt: skip
    rows = {(row.label, row.view, row.metric): row for row in results.compare(*runs).rows}
    for found in results.cell_history(runs).lines:
        assert found.points[1].row == rows[found.label, found.view, found.metric]


def test_cells_of_one_label_are_told_apart_by_their_settings(tmp_path):
    runs = [
        results.read_run(made.made_run(tmp_path / f"{n}", {"dice": {0: (0.7, 40.0), 1: (0.71, 41.0)}}, epochs=n))
        for n in (3, 4)
    ]
    labels = {one.label for one in results.cell_history(runs).lines}
    assert labels == {"dice (epochs=3)", "dice (epochs=4)"}


def test_cells_of_one_label_are_told_apart_by_three_settings_at_most():
    from results.lines.labels import distinct_labels

    def labels(count):
        specs = [{"train": {f"field{number}": value for number in range(count)}} for value in (1, 2)]
        made = [
            results.Record(trial="t", cell=cell, label="dice", seed=0, status="ok", spec=spec)
            for cell, spec in zip(("abcdefgh", "ijklmnop"), specs, strict=True)
        ]
        return distinct_labels({one.cell: ("d", one.label, one) for one in made})

    said = {"abcdefgh": "dice (field0=1, field1=1, field2=1)", "ijklmnop": "dice (field0=2, field1=2, field2=2)"}
    assert labels(3) == said
    assert labels(4) == {"abcdefgh": "dice (abcdef)", "ijklmnop": "dice (ijklmn)"}
