"""What a report advises: how far the budget carries, which of the equals to take, how the views of one cell do."""

import pytest

import results
from reports import markdown
from reports.advice import budget, choice, constant, judged_views
from reports.pages import run as page
from reports.summary import summarize
from results.precedent import Precedent
from results.statistics import from_best, rank, rising
from tests.invented_runs import lifelike as fake


def _read(folder):
    run = results.read_run(folder)
    return run, summarize(run)


def _text(folder):
    run, summary = _read(folder)
    return markdown.render(page.document(run, summary, {}))


def _change(folder, change):
    for trial in (folder / "trials").iterdir():
        record = results.read(trial)
        results.write(trial, record.model_copy(update=change(record)))


def test_a_curve_rises_if_its_last_gain_is_above_the_pooled_noise_of_the_gains():
    # Gains of the last epoch: up 3, 4, 5; flat -1, 0, 1. Both have sd 1, so the pool has sd 1 and 4 degrees of freedom:
    # the limit is 2.132 / sqrt(3) = 1.231.
    up = [[0.0, 9.0, 9.0 + gain] for gain in (3, 4, 5)]
    flat = [[50.0, 9.0, 9.0 + gain] for gain in (-1, 0, 1)]
    just = [[0.0, 1.24 + gain] for gain in (-1, 0, 1)]
    under = [[0.0, 1.22 + gain] for gain in (-1, 0, 1)]
    assert rising({"flat": flat, "up": up}) == ["up"]
    assert rising({"flat": flat, "just": just}) == ["just"]
    assert rising({"flat": flat, "under": under}) == []


def test_one_seed_rises_if_it_rises_and_one_epoch_is_not_judged():
    assert rising({"a": [[0.1, 0.2]], "b": [[0.3, 0.2]], "c": [[0.2, 0.2]], "d": [[0.2]]}) == ["a"]
    assert rising({}) == []


def test_intervals_from_the_best_leave_zero_out_where_the_letters_differ():
    """Of 4 cells the last pairs are told apart by Holm only: their intervals end at zero."""
    offsets = {0: -0.01, 1: 0.0, 2: 0.01}
    for step in (0.0, 0.01, 0.018, 0.02, 0.022, 0.024, 0.026, 0.03, 0.05):
        means = {"a": 0.7, "b": 0.7 - step, "c": 0.7 - 2 * step, "d": 0.3}
        cells = {
            name: {seed: mean + offsets[(seed + place) % 3] for seed in range(3)}
            for place, (name, mean) in enumerate(means.items())
        }
        ranking = rank(cells)
        for name, found in from_best(cells, ranking).items():
            apart = not ranking.indistinguishable("a", name)
            assert apart == (not found.low < 0 < found.high), (step, name)
            assert found.low <= found.estimate <= found.high
    # By hand: the seeds take 0.00005 of the squares of 0.0008, the rest has 6 degrees of freedom; 6 pairs:
    # t(1 - 0.05 / 12) = 3.863, half width 3.863 * sqrt(0.00075 / 6 * 2 / 3).
    d = from_best(cells, ranking)["d"]
    assert (d.high - d.low) / 2 == pytest.approx(0.03526, abs=2e-5)


def _equals(folder, speeds):
    """Two cells of equal scores, with these images/s."""
    fake.write_run(folder, labels=["a", "b"], seeds=3, gap=0.0, pictures=0)

    def change(record):
        rate = float(speeds[record.label] + record.seed)
        return {"throughput": record.throughput.model_copy(update={"images_per_second": rate})}

    _change(folder, change)
    return folder


def test_of_equals_the_faster_is_recommended_with_its_price(tmp_path):
    _, summary = _read(_equals(tmp_path / "r", {"a": 10, "b": 10}))
    best, other = (cell.label for cell in summary.measured)
    folder = _equals(tmp_path / "faster", {best: 10, other: 32})
    _, summary = _read(folder)
    found = choice(summary)
    assert (found.cell.label, found.factor) == (other, pytest.approx(33 / 11))
    first, second = summary.measured
    assert found.behind == pytest.approx(first.interval.mean - second.interval.mean)
    assert found.most > found.behind
    price = f"unless {100 * found.behind:.1f} points (at most {100 * found.most:.1f}) matter."
    words = f"{other} and {best} are indistinguishable: take **{other}**, which trains 3.0 times faster, {price}"
    assert words in _text(folder)
    # The best cell trains faster, or the other does by less than a tenth; then one seed of the best is as fast.
    for speeds in ({best: 32, other: 10}, {best: 100, other: 105}):
        assert choice(_read(_equals(tmp_path / str(speeds[best]), speeds))[1]) is None
    folder = _equals(tmp_path / "ragged", {best: 10, other: 20})
    assert choice(_read(folder)[1]) is not None
    fast = {"images_per_second": 40.0}  # one seed of the best cell, whose median stays
    _change(
        folder,
        lambda record: (
            {"throughput": record.throughput.model_copy(update=fast)}
            if (record.label, record.seed) == (best, 2)
            else {}
        ),
    )
    assert choice(_read(folder)[1]) is None
    folder = _equals(tmp_path / "other", {best: 10, other: 20})
    _change(folder, lambda record: {"throughput": record.throughput.model_copy(update={"comparable": False})})
    assert choice(_read(folder)[1]) is None


def test_a_cell_that_is_worse_is_not_recommended_for_its_speed(tmp_path):
    folder = fake.write_run(tmp_path / "r", labels=["a", "b"], gap=0.3, pictures=0)
    faster = {"images_per_second": 999.0}
    _change(
        folder,
        lambda record: {"throughput": record.throughput.model_copy(update=faster)} if record.label == "b" else {},
    )
    assert choice(_read(folder)[1]) is None
    assert "Recommendation" not in _text(folder)


def test_cells_that_are_no_better_than_a_constant_are_named(tmp_path):
    """By hand: of 200 pixels 180 are of class 0 and 20 of class 2, class 1 has none: 0.9 and 0 over two classes."""
    folder = fake.write_run(tmp_path / "r", labels=["a", "b"], seeds=2, gap=0.2, noise=0.0, classes=3, pictures=0)
    assert constant(*_read(folder)).not_above == ()
    assert "than a constant" not in _text(folder)

    def rare(*scores):
        matrix = [[180, 0, 0], [0, 0, 0], [12, 3, 5]]
        miou = dict(zip("ab", scores, strict=True))

        def change(record):
            update = {"confusion": matrix, "miou": miou[record.label]}
            return {"views": [view.model_copy(update=update) for view in record.views]}

        return change

    _change(folder, rare(0.5, 0.44))
    found = constant(*_read(folder))
    assert (found.class_name, found.miou, found.not_above) == ("background", pytest.approx(0.45), ("b",))
    score = "45.0 %, the mIoU of predicting background everywhere"
    assert f"**No better than a constant:** not above {score}: b." in _text(folder)
    _change(folder, rare(0.45, 0.44))
    assert f"**No cell is better than a constant:** none is above {score}." in _text(folder)
    _change(folder, lambda record: {"views": [view.model_copy(update={"confusion": []}) for view in record.views]})
    assert constant(*_read(folder)) is None
    assert "than a constant" not in _text(folder)


def test_the_verdict_carries_its_budget(tmp_path, monkeypatch):
    folder = fake.write_run(tmp_path / "r", labels=["a", "b", "c"], seeds=3, pictures=0)

    def curves(record):
        gain = 0.1 if record.label == "b" else -0.1
        values = [0.2, 0.5, 0.5 + gain + 0.001 * record.seed]
        history = [
            results.Epoch(epoch=e, step=16 * e, images=64 * e, val={"miou": value})
            for e, value in enumerate(values, start=1)
        ]
        return {"history": history}

    _change(folder, curves)
    found = budget(*_read(folder))
    assert (found.steps, found.epochs, found.judged, found.rising) == ((48,), (3,), 3, ("b",))
    assert set(found.settled) == {"a", "c"}
    rise = "1 of 3 curves still rises (b) at the end, so more steps may change the order."
    assert f"**Budget:** 48 steps (3 epochs); {rise}" in _text(folder)
    past = [Precedent("scenes", 60, 1200, 6, 4, 1), Precedent("camvid", 60, 1200, 4, 3, 0)]
    monkeypatch.setattr("results.precedent._measured", lambda: tuple(past))
    held = (
        "After about as many, 7 of 10 verdicts on losses held to convergence on scenes (60 of 1200 steps), camvid (60 "
        "of 1200 steps); 1 turned round (docs/budget.md)."
    )
    assert f"{rise} {held}" in _text(folder)
    monkeypatch.setattr("results.precedent._measured", lambda: (Precedent("scenes", 60, 1200, 0, 0, 0),))
    silent = "After about as many, no two losses were told apart on scenes (60 of 1200 steps): docs/budget.md."
    assert f"{rise} {silent}" in _text(folder)
    _change(folder, lambda record: {"history": record.history[:2]} if record.label == "a" else {})
    assert "After about as many" not in _text(folder)  # of 32 and of 48 steps
    _change(folder, curves)
    _change(folder, lambda record: {"history": record.history[:1]})
    assert "**Budget:** 16 steps (1 epoch); the course of one epoch cannot be judged." in _text(folder)
    _change(folder, lambda record: {"history": []})
    assert budget(*_read(folder)) is None


def test_the_views_of_one_cell_are_judged_over_its_seeds(tmp_path):
    folder = fake.write_run(tmp_path / "r", labels=["a"], seeds=3, pictures=0, views=("flip", "crf", "same"))
    gains = {"flip": (0.02, 0.021, 0.019), "crf": (0.01, -0.01, 0.002), "same": (0.0, 0.0, 0.0)}

    def views(record):
        base = record.views[0]
        speeds = {"default": 40.0, "flip": 20.0, "crf": 10.0, "same": 40.0}
        changed = [
            view.model_copy(
                update={
                    "miou": base.miou + gains.get(view.view, [0] * 3)[record.seed],
                    "images_per_second": speeds[view.view],
                }
            )
            for view in record.views
        ]
        return {"views": changed}

    _change(folder, views)
    judged = {one.name: one for one in judged_views(_read(folder)[1])}
    assert set(judged) == {"flip", "crf"}, "a view with the labels of default is none"
    assert (judged["flip"].better, judged["crf"].better) == (True, None)
    assert judged["flip"].pace == 0.5
    # By hand: gains 2.0, 2.1, 1.9 points; sd 0.1; two views: t(1 - 0.05 / 4, 2) = 6.205, half width 0.358.
    assert (judged["flip"].gain.low, judged["flip"].gain.high) == (
        pytest.approx(0.02 - 0.00358, abs=1e-5), pytest.approx(0.02 + 0.00358, abs=1e-5)
    )  # fmt: skip
    text = _text(folder)
    assert "- **flip**: +2.00 points (+1.64 to +2.36), better by more than the noise, at 0.50 times the speed" in text
    assert "nothing to compare" not in text
    two = fake.write_run(tmp_path / "two", labels=["a", "b"], pictures=0, views=("flip",))
    assert judged_views(_read(two)[1]) == []
