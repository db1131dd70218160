"""Losses that change in the course of training, and losses over several outputs."""

from math import log

import keras
import numpy as np
import pytest
import tensorflow as tf

import losses

RNG = np.random.default_rng(11)
LOGITS = RNG.normal(size=(2, 4, 4, 3)).astype(np.float32)
LABELS = RNG.integers(0, 3, (2, 4, 4)).astype(np.uint8)


def test_the_mix_goes_along_a_line() -> None:
    mix = losses.get("scheduled_mix", losses=["dice", "cross_entropy"], start=0.9, end=0.1)
    dice, ce = (float(losses.get(name, average="image")(LABELS, LOGITS)) for name in ("dice", "cross_entropy"))
    for done, share in ((0.0, 0.9), (0.25, 0.7), (1.0, 0.1), (7.0, 0.1)):
        mix.set_progress(done)
        assert float(mix(LABELS, LOGITS)) == pytest.approx(share * dice + (1 - share) * ce, rel=1e-6)


def test_a_compiled_step_sees_the_progress() -> None:
    mix = losses.get("scheduled_mix", losses=["dice", "cross_entropy"], start=1.0, end=0.0)
    step = tf.function(lambda: mix(LABELS, LOGITS))
    before = float(step())
    mix.set_progress(1.0)
    assert before == pytest.approx(float(losses.get("dice", average="image")(LABELS, LOGITS)), rel=1e-6)
    assert float(step()) == pytest.approx(float(losses.get("cross_entropy", average="image")(LABELS, LOGITS)), rel=1e-6)


def test_sums_hand_the_progress_on() -> None:
    mix = losses.get("scheduled_mix", losses=["dice", "cross_entropy"], start=1.0, end=0.0)
    both = 0.5 * mix + losses.get("focal")
    assert both.scheduled
    assert not (losses.get("dice") + losses.get("focal")).scheduled
    both.set_progress(1.0)
    ce, focal = losses.get("cross_entropy", average="image"), losses.get("focal")
    assert float(both(LABELS, LOGITS)) == pytest.approx(
        0.5 * float(ce(LABELS, LOGITS)) + float(focal(LABELS, LOGITS)), rel=1e-6
    )


def test_each_output_is_brought_to_the_size_of_the_labels() -> None:
    """A second output of one pixel with equal logits has cross-entropy ln 3; the weights are 2/3 and 1/3."""
    loss = losses.DeepSupervision(loss=losses.get("cross_entropy"))
    main = float(losses.get("cross_entropy")(LABELS, LOGITS))
    value = loss(LABELS, [LOGITS, np.zeros((2, 1, 1, 3), np.float32)])
    assert float(value) == pytest.approx(2 / 3 * main + log(3) / 3, rel=1e-6)
    weighted = losses.DeepSupervision(loss=losses.get("cross_entropy"), weights=[1, 0.4])
    assert float(weighted(LABELS, [LOGITS, LOGITS])) == pytest.approx(1.4 * main, rel=1e-6)
    stacked = np.stack([LOGITS, np.zeros_like(LOGITS)], axis=1)
    assert float(weighted(LABELS, stacked)) == pytest.approx(main + 0.4 * log(3), rel=1e-6)


def test_void_stays_void_in_every_output() -> None:
    labels = LABELS.copy()
    labels[:, :2] = 255
    loss = losses.DeepSupervision(loss=losses.get("dice"))
    other = LOGITS.copy()
    other[:, :2] += 5
    assert float(loss(labels, [LOGITS, LOGITS])) == pytest.approx(float(loss(labels, [other, other])), rel=1e-6)


def test_deep_supervision_is_its_config() -> None:
    loss = losses.DeepSupervision(loss=losses.get("tversky", alpha=0.4), weights=[1, 0.5])
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    outputs = [LOGITS, LOGITS[:, ::2, ::2]]
    assert again.loss.alpha == 0.4
    assert float(again(LABELS, outputs)) == float(loss(LABELS, outputs))


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="loss must be a loss of this package"):
        losses.DeepSupervision()
    with pytest.raises(ValueError, match="weights must be one number >= 0 per output"):
        losses.DeepSupervision(loss=losses.get("dice"), weights=[])
    with pytest.raises(ValueError, match="2 numbers for 1 outputs"):
        losses.DeepSupervision(loss=losses.get("dice"), weights=[1, 2])(LABELS, [LOGITS])
