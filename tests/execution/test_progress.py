"""What the view of a running grid says of the time that is left."""

import io

from rich.console import Console

from bench.execution import progress
from bench.execution.progress import ProgressView


def _view(monkeypatch, trials, lasted=()):
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    out = io.StringIO()
    return ProgressView(trials, 1, Console(file=out, width=200), 0, lasted), clock, out


def test_the_time_left_is_unknown_until_a_trial_is_complete(monkeypatch):
    view, clock, out = _view(monkeypatch, ["a", "b", "c", "d"])
    assert view.remaining() is None
    view.started("a")
    clock[0] += 5
    view.ended("a", "crashed")
    assert view.remaining() is None, "one that failed tells nothing of the others"
    assert "? left" in out.getvalue()
    view.started("b")
    clock[0] += 60
    view.ended("b", "ok")
    assert view.remaining() == 120
    assert "~2:00 left" in out.getvalue()


def test_trials_that_were_complete_before_tell_the_time(monkeypatch):
    view, clock, _ = _view(monkeypatch, ["a", "b"], lasted=[30.0, 50.0])
    assert view.remaining() == 80
    view.started("a")
    clock[0] += 10
    assert view.remaining() == 70
