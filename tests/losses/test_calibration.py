"""Gradient scales against derivations by hand, and what `calibrated` makes of a loss."""

from math import e, log, sqrt
from typing import Any

import keras
import numpy as np
import pytest

import losses
from losses.calibration import calibrated, gradient_scale, layout

C = 3
# p_t before training and at a margin of 3: 1/3 and e^3 / (e^3 + 2) = .9094.
P = (1 / 3, e**3 / (e**3 + 2))


def scale_of(name: str, classes: int = C, **params: Any) -> Any:
    return gradient_scale(losses.get(name, **params), classes)


def test_cross_entropy_is_the_unit() -> None:
    assert scale_of("cross_entropy") == (1, 1)
    assert gradient_scale(losses.get("cross_entropy") * 0.25, C) == pytest.approx((0.25, 0.25))
    # Keras' mean over pixels and channels of the same loss, a trap of some packages: a third for three classes.
    assert gradient_scale(losses.get("cross_entropy") * (1 / 3), C) == pytest.approx((1 / 3, 1 / 3))


def test_dice() -> None:
    """With N pixels, N/C a class and all pixels alike: D_c = 2 I_c / (P_c + G_c), P_c = G_c = N/C, I_c = p_t N/C.

    dD_c/dp = 2 g / (P_c + G_c) - 2 I_c / (P_c + G_c)^2 = g C/N - a constant; through the softmax the constant is lost
    and e_y becomes p_t (e_y - p). The loss 1 - mean_c D_c has the gradient -(1/C)(C/N) p_t (e_y - p) = p_t (p - e_y)/N,
    and cross-entropy has (p - e_y)/N. So the scale is p_t: 1/3, then .909.
    """
    assert scale_of("dice") == pytest.approx(P, rel=1e-4)
    assert scale_of("dice", classes=21).initial == pytest.approx(1 / 21, rel=1e-4)


def test_focal() -> None:
    """f(s) = (1-p)^2 s of the surprisal s = -ln p; f' = (1-p)^2 + 2 s p (1-p) multiplies the gradient of cross-entropy.

    At p = 1/3: 4/9 + 2 ln 3 (1/3)(2/3) = 4/9 (1 + ln 3) = .9327.
    """
    by_hand = [(1 - p) ** 2 - 2 * log(p) * p * (1 - p) for p in P]
    assert by_hand[0] == pytest.approx(4 / 9 * (1 + log(3)))
    assert scale_of("focal") == pytest.approx(by_hand, rel=1e-4)
    quarter = gradient_scale(0.25 * losses.get("focal"), C)
    assert quarter == pytest.approx([0.25 * scale for scale in by_hand], rel=1e-4)
    assert [round(by_hand[0], 2), round(by_hand[1], 3)] == [0.93, 0.024]


def test_focal_tversky() -> None:
    """T_c = p_t as for Dice, and dT_c/dp = g C/N - a constant; (1 - T)^(3/4) has the slope 3/4 (1 - p_t)^(-1/4)."""
    by_hand = [0.75 * (1 - p) ** -0.25 * p for p in P]
    assert scale_of("tversky") == pytest.approx(P, rel=1e-4)
    assert scale_of("focal_tversky") == pytest.approx(by_hand, rel=1e-4)
    assert [round(scale, 2) for scale in by_hand] == [0.28, 1.24]


def test_sigmoids() -> None:
    """BCE at logit 0: (1/2 - g)/C in each of C channels, so sqrt(C)/(2C); cross-entropy: sqrt((2/3)^2 + 2/9).

    The mean over the pixels divides both. At a logit of 3 on the true channel the others are still undecided.
    """
    initial = sqrt(3) / 6 / sqrt(2 / 3)
    right = 1 / (1 + e**3)
    p, q = P[1], (1 - P[1]) / 2
    at_margin_3 = sqrt(right**2 + 2 / 4) / 3 / sqrt((1 - p) ** 2 + 2 * q**2)
    assert scale_of("bce") == pytest.approx((initial, at_margin_3), rel=1e-4)


def test_the_pixels_are_balanced_in_blocks() -> None:
    for classes in (2, 3, 19, 21):
        labels = layout(classes)
        assert (np.bincount(labels.ravel()) == 4 * 64).all()
        blocks = labels.reshape(labels.shape[1] // 8, 8, -1, 8)
        assert (blocks == blocks[:, :1, :, :1]).all()
        assert (labels == layout(classes)).all()
    assert layout(3).shape == (1, 24, 32)


@pytest.mark.parametrize("name", losses.names())
def test_calibrated_pulls_as_cross_entropy_does(name: str) -> None:
    loss = losses.get(name)
    equal = calibrated(loss, C)
    assert gradient_scale(equal, C).initial == pytest.approx(1, rel=1e-3)
    (weight,) = equal.weights
    assert weight == float(f"{weight:.4g}")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(equal))
    assert again.weights == equal.weights
    assert again.get_config() == equal.get_config()


def test_calibrated_numbers() -> None:
    assert calibrated(losses.get("cross_entropy"), C).weights == (1.0,)
    assert calibrated(losses.get("dice"), C).weights == (3.0,)
    assert calibrated(losses.get("dice"), 21).weights == (21.0,)
    ratio = calibrated(losses.get("cross_entropy") + 2 * losses.get("cross_entropy"), C)
    assert ratio.weights == pytest.approx((1 / 3, 2 / 3), rel=1e-3)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"num_classes must be 2 or more, got 1"):
        gradient_scale(losses.get("bce"), 1)
    for probabilities in (losses.get("dice", from_logits=False), 2 * losses.get("dice", from_logits=False)):
        with pytest.raises(ValueError, match="from_logits=True"):
            gradient_scale(probabilities, C)
    with pytest.raises(ValueError, match="gradient at uniform"):
        calibrated(0.0 * losses.get("dice"), C)
    with pytest.raises(ValueError, match="2 numbers for 3 classes"):
        gradient_scale(losses.get("dice", class_weights=[1, 2]), C)
