"""What is scored when: the reported weights, on every split and in every view. Whole trials: test_trial.py."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

import losses
import models
from bench.core import IGNORE_INDEX, UsageError
from bench.data import pipeline
from bench.data.dataset import Split
from bench.spec import parse
from bench.trial import scoring
from bench.trial.averages import WeightAverage
from bench.trial.evaluator import Evaluator
from bench.trial.facts import Facts
from bench.trial.hosts import Hosts
from bench.trial.monitor import TrainingHistory
from bench.trial.setup import Prepared

SIZE, NAMES = 64, ("a", "b", "never")
SPEC = parse(
    {
        "model": {
            "backbone": "resnet18", "output_stride": 32, "aspp_channels": 8, "decoder_channels": 8,
            "low_level_channels": 8, "batch_norm_momentum": 0.0,
        },
        "data": {"size": SIZE, "crop": SIZE},
        "eval": {"views": [{"output_stride": 16}, {"output_stride": 32}], "pictures": 1},
    },
    "here",
)  # fmt: skip


def _split(*seeds, labelled=True):
    def read(key):
        rng = np.random.default_rng(int(key))
        image = rng.integers(0, 256, (SIZE // 8, SIZE // 8, 3)).repeat(8, 0).repeat(8, 1).astype("uint8")
        label = (image[..., 0] // 128).astype("uint8")
        return image, label if labelled else np.full_like(label, IGNORE_INDEX)

    return Split(tuple(map(str, seeds)), read)


def _evaluation(split):
    return pipeline.evaluation(split, SPEC.data, 2, multiple=1)


@pytest.fixture(scope="module")
def prepared(tiny_backbone):
    """A trial before its first step, without what only the training needs; its features do not fade."""
    model = models.build(SPEC.model, len(NAMES), seed=0)
    splits = {"val": _split(1, 2), "test": _split(3, 4)}  # batches of one shape are traced once
    model(np.stack([splits["val"].read(i)[0] for i in (0, 1)]).astype("float32"), training=True)
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    given = {
        "spec": SPEC, "strategy": strategy, "training_model": model, "model": model,
        "dataset": SimpleNamespace(name="two", class_names=NAMES, splits=splits),
        "evaluation": {name: _evaluation(split) for name, split in splits.items()},
        "hosts": Hosts(),
        "evaluator": Evaluator(model, losses.get("cross_entropy", average="image"), len(NAMES), strategy),
    }  # fmt: skip
    return Prepared(**{**dict.fromkeys(one.name for one in dataclasses.fields(Prepared)), **given})


def test_the_reported_weights_are_scored_on_every_split_in_every_view(prepared):
    reported, facts = prepared.model.get_weights(), Facts()
    scores = scoring.score_validation(prepared)
    assert scores.confusion[:2].any()
    assert not scores.confusion[2].any(), "a class that does not occur is no fault"
    prepared.model.set_weights([np.zeros_like(value) for value in reported])
    rows = scoring.score_reported_weights(prepared, scoring.Reported(reported, scores, 1), facts)
    assert facts.failed_views == {}
    found = {(row.pop("view"), row.pop("split")): row for row in rows}
    assert [*found] == [(view, split) for view in ("default", "os16", "os32") for split in ("val", "test")]
    assert [row["images"] for row in found.values()] == [2, 2] * 3
    for split in ("val", "test"):
        assert found["os32", split] == found["default", split], "the stride of training"
        assert found["os16", split]["loss"] != found["default", split]["loss"]
    assert found["default", "val"]["loss"] == scores.loss
    labelled = [np.sum(row["confusion"]) for row in found.values()]
    assert labelled == [2 * SIZE**2] * 6


def test_a_view_that_fails_costs_itself_alone(prepared, capsys):
    evaluation = {"test": None, "val": prepared.evaluation["val"]}  # of the former, the default view is not asked
    facts, weights = Facts(), prepared.model.get_weights()
    alone = dataclasses.replace(prepared, evaluation=evaluation)
    scores = scoring.score_validation(alone)
    rows = scoring.score_reported_weights(alone, scoring.Reported(weights, scores, 1), facts)
    assert [(row["view"], row["split"]) for row in rows] == [("default", "val"), ("os32", "val")]
    assert [*facts.failed_views] == ["os16"]
    assert "Traceback" in capsys.readouterr().err


def test_which_weights_are_reported(prepared):
    now, best, last = prepared.model.get_weights(), [np.ones(1)], object()
    history = TrainingHistory(history=[{"step": 4}, {"step": 8}], last_scores=last)
    found = scoring.choose_reported(prepared, history, Facts().timer)
    assert (found.scores, found.epoch) == (last, 2)
    for one, other in zip(found.weights, now, strict=True):
        np.testing.assert_array_equal(one, other)
    average = WeightAverage(prepared.model, 0.9)  # of the present weights, until there are others
    prepared.model.set_weights([value + 1 for value in now])
    found = scoring.choose_reported(dataclasses.replace(prepared, average=average), history, Facts().timer)
    prepared.model.set_weights(now)
    for one, other in zip(found.weights, now, strict=True):
        np.testing.assert_array_equal(one, other)
    history = dataclasses.replace(history, best_weights=best, best_scores=(scores := object()), best_epoch=1)
    assert scoring.choose_reported(prepared, history, Facts().timer) == scoring.Reported(best, scores, 1)


def test_a_split_without_labels_measures_nothing_and_one_that_is_trained_on_is_not_scored(prepared):
    blank = dataclasses.replace(prepared, evaluation={"val": _evaluation(_split(1, labelled=False))})
    with pytest.raises(UsageError, match="two: nothing was measured"):
        scoring.score_validation(blank)
    assert scoring.score_validation(dataclasses.replace(prepared, evaluation={"test": None})) is None
