"""The phases of a training, worked out by hand."""

import pytest

from bench.spec import Phase, TrainSpec, parse, phases, share_of_pixels, steps_before_release

GROWS = {"smaller_crops": [[0.3, 64], [0.6, 96]]}


def _spec(**train):
    return parse({"train": {"epochs": 10, "steps_per_epoch": 30, **train}, "data": {"crop": 128}}, "here")


def test_a_training_without_changes_is_one_phase():
    assert phases(_spec()) == (Phase(1, 10, 128, False),)
    assert phases(_spec(freeze="backbone")) == (Phase(1, 10, 128, True),)
    assert steps_before_release(_spec(freeze="backbone").train) == 0


def test_crops_grow_and_the_backbone_is_released_each_at_its_own_share():
    spec = _spec(**GROWS, freeze="backbone", freeze_for=0.2)
    assert phases(spec) == (
        Phase(1, 2, 64, True), Phase(3, 3, 64, False), Phase(4, 6, 96, False), Phase(7, 10, 128, False)
    )  # fmt: skip
    assert steps_before_release(spec.train) == 2 * 30


def test_two_changes_at_one_time_are_one():
    found = phases(_spec(smaller_crops=[[0.5, 96]], freeze="backbone", freeze_for=0.5))
    assert found == (Phase(1, 5, 96, True), Phase(6, 10, 128, False))


@pytest.mark.parametrize(("share", "epochs"), [(0.01, 1), (0.14, 1), (0.15, 2), (0.94, 9)])
def test_shares_are_whole_epochs_and_at_least_one(share, epochs):
    assert phases(_spec(smaller_crops=[[share, 64]]))[0].last == epochs


def test_smaller_crops_have_fewer_pixels():
    # Three epochs with a quarter, three with 9/16 and four with all of the pixels: (3/4 + 27/16 + 4) / 10.
    assert share_of_pixels(_spec(**GROWS)) == pytest.approx(0.64375)
    assert share_of_pixels(_spec()) == 1


@pytest.mark.parametrize(
    ("steps", "momentum"), [(6, 0.8), (100, 0.8), (160, 0.875), (200, 0.9), (600, 0.9667), (2000, 0.99), (9999, 0.99)]
)
def test_statistics_look_back_over_a_twentieth_of_the_steps(steps, momentum):
    assert TrainSpec(epochs=1, steps_per_epoch=steps).batch_norm_momentum == momentum
