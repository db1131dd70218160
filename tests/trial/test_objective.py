"""The loss of a trial: weights from labels, calibration, and progress that reaches a compiled step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import losses
from bench.core import UsageError
from bench.spec import LossSpec, parse
from bench.trial import objective
from bench.trial.monitor import LossSchedule

# Two images: 4 pixels of class 0, 2 of class 1, 2 void; then 2 of class 0, 1 of class 2, 1 void.
LABELS = [
    np.array([[0, 0, 0, 0], [1, 1, 255, 255]], np.uint8),
    np.array([[0, 0], [2, 255]], np.uint8),
]


def test_census() -> None:
    pixels, where_present, images = objective.census(LABELS, 3)
    assert pixels.tolist() == [6, 2, 1]
    assert where_present.tolist() == [6 + 3, 6, 3]
    assert images.tolist() == [2, 1, 1]


def test_weights_by_name_become_numbers() -> None:
    spec = LossSpec(name="cross_entropy", params={"class_weights": "median_frequency"})
    # Frequencies where present: 6/9, 2/6, 1/3; their median is 1/3.
    assert objective.resolved(spec, LABELS, 3) == {"class_weights": pytest.approx([1 / 2, 1, 1])}
    priors = LossSpec(name="logit_adjusted", params={"priors": "train"})
    assert objective.resolved(priors, LABELS, 3) == {"priors": pytest.approx([6 / 9, 2 / 9, 1 / 9], rel=1e-5)}
    assert objective.resolved(LossSpec(name="dice", params={"smooth": 1.0}), LABELS, 3) == {"smooth": 1.0}


def test_the_facts_are_those_of_the_loss_that_trains() -> None:
    """Calibrated focal starts with the gradient of cross-entropy, in training and in scoring alike."""
    plain = objective.build(LossSpec(name="focal"), LABELS, 3)
    made = objective.build(LossSpec(name="focal", calibrated=True), LABELS, 3)
    factor = 1 / plain.facts["gradient_scale"]["initial"]
    assert made.facts["gradient_scale"]["initial"] == pytest.approx(1, rel=1e-3)
    assert made.facts["gradient_scale"]["at_margin_3"] == pytest.approx(
        factor * plain.facts["gradient_scale"]["at_margin_3"], rel=1e-3
    )
    logits = np.random.default_rng(0).normal(size=(1, 2, 4, 3)).astype(np.float32)
    for part in ("train_loss", "eval_loss"):
        values = [float(getattr(found, part)(LABELS[0][None], logits)) for found in (plain, made)]
        assert values[1] == pytest.approx(factor * values[0], rel=1e-3)


def test_scores_do_not_depend_on_the_batch() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (3, 4, 5)).astype(np.uint8)
    labels[0, :, :2] = 255
    labels[1] = np.minimum(labels[1], 1)  # class 2 in two of the three
    logits = rng.normal(size=(3, 4, 5, 3)).astype(np.float32)
    for name in ("dice", "boundary", "lovasz_softmax"):
        found = objective.build(LossSpec(name=name), LABELS, 3)
        assert found.eval_loss.average == "image"
        alone = [float(found.eval_loss(labels[i : i + 1], logits[i : i + 1])) for i in range(3)]
        assert float(found.eval_loss(labels, logits)) == pytest.approx(np.mean(alone), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("cross_entropy", {"class_weights": [1, 2]}, "loss cross_entropy: .* 2 numbers for 3 classes"),
        ("tversky", {"beta": 0.0}, "loss tversky: beta"),
    ],
)
def test_what_does_not_fit_is_a_fault_of_the_user(name: str, params: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        objective.build(LossSpec(name=name, params=params), LABELS, 3)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"name": "dice", "params": {"class_weights": "median"}}, "'median_frequency'"),
        ({"name": "logit_adjusted", "params": {"priors": "test"}}, "known: train"),
        ({"name": "dice", "params": {"from_logits": False}}, "from_logits"),
    ],
)
def test_a_spec_knows_the_names(loss: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse({"loss": loss}, "here")


def test_calibration_is_part_of_the_cell_and_its_absence_is_not() -> None:
    plain = parse({"loss": {"name": "dice"}}, "here")
    assert plain.cell == parse({"loss": {"name": "dice", "calibrated": False}}, "here").cell
    assert plain.cell != parse({"loss": {"name": "dice", "calibrated": True}}, "here").cell


def test_progress_goes_from_zero_to_the_last_step() -> None:
    """Each of the four steps of a compiled fit sees its own share: the loss is share * CE of fixed logits."""
    params = {"losses": ["cross_entropy", "dice"], "start": 1.0, "end": 0.0}
    made = objective.build(LossSpec(name="scheduled_mix", params=params), LABELS, 3)
    train = parse({"train": {"epochs": 2, "steps_per_epoch": 2}}, "here").train
    inputs = keras.Input((2, 4, 3))
    model = keras.Model(inputs, keras.layers.Rescaling(1.0)(inputs))
    model.compile("sgd", made.train_loss)
    logits = np.random.default_rng(0).normal(size=(1, 2, 4, 3)).astype(np.float32)
    seen: list[float] = []

    class Losses(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
            seen.append(float(logs["loss"]) * (batch + 1) - sum(seen[len(seen) - batch :]))  # logs hold running means

    data = tf.data.Dataset.from_tensors((logits, LABELS[0][None])).repeat()
    schedule = LossSchedule(made.set_progress, train)
    model.fit(data, epochs=2, steps_per_epoch=2, verbose=0, callbacks=[schedule, Losses()])
    ce, dice = (float(losses.get(name, average="image")(LABELS[0][None], logits)) for name in ("cross_entropy", "dice"))
    expected = [(1 - done) * ce + done * dice for done in (0, 1 / 4, 2 / 4, 3 / 4)]
    np.testing.assert_allclose(seen, expected, rtol=1e-5)
    assert float(made.eval_loss(LABELS[0][None], logits)) == pytest.approx(expected[-1], rel=1e-5)
