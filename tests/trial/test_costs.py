"""The cost of a model is counted by its first trial, and found by those that follow."""

from types import SimpleNamespace

import keras
import pytest

import models
from bench.core import CACHE_VARIABLE
from bench.spec import parse
from bench.trial import PhaseTimer
from bench.trial.costs import cost

CROP = {"data": {"size": 64, "crop": 64}}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


def _prepared(settings, classes=3):
    """A convolution of 1x1 in place of the model of these settings: 2 * 3 * 5 operations a pixel, and 5 additions."""
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(5, 1)(image))
    return SimpleNamespace(spec=parse(settings, "here"), model=model, classes=classes)


def test_it_is_counted_once_and_only_for_what_it_depends_on(monkeypatch):
    found = cost(_prepared(CROP), PhaseTimer())
    assert (found["parameters"], found["size"]) == (20, 64)
    assert found["forward_gflop"] == pytest.approx(64 * 64 * (2 * 3 * 5 + 5) / 1e9)

    monkeypatch.setattr(models, "forward_cost", lambda *_: (0, 0))
    same = {"loss": {"name": "dice"}, "seed": 7, "model": {"weights": "mine.h5"}, **CROP}
    assert cost(_prepared(same), PhaseTimer()) == found
    others = [
        _prepared({**CROP, "model": {"output_stride": 32}}),
        _prepared({"data": {"size": 64, "crop": 32}}),
        _prepared({**CROP, "train": {"precision": "mixed_bfloat16"}}),
        _prepared(CROP, classes=4),
    ]
    assert [cost(one, PhaseTimer())["parameters"] for one in others] == [0] * 4


def test_a_broken_file_is_counted_anew(tmp_path):
    found = cost(_prepared(CROP), PhaseTimer())
    (path,) = (tmp_path / "cache" / "forward-costs").iterdir()
    path.write_text('{"parameters": ')
    assert cost(_prepared(CROP), PhaseTimer()) == found


def test_a_cache_that_cannot_be_written_costs_nothing(tmp_path):
    (tmp_path / "cache").touch()
    assert cost(_prepared(CROP), PhaseTimer())["parameters"] == 20
