"""The range of every parameter of every loss: the values at its ends, and those next to them."""

import math
from typing import Any

import pytest

import losses
from losses.composite import WeightedSum

# An interval per parameter; "loss.parameter" where a loss has its own. Without a number there is no end on that side.
RANGES = {
    "alpha": "[0, 1]", "tversky.alpha": "[0, )", "focal_tversky.alpha": "[0, )", "hausdorff.alpha": "(0, )",
    "symmetric_cross_entropy.alpha": "[0, )",
    "anneal": "[0, 1]", "background": "[0, )", "balance": "[0, 1]",
    "bce_weight": "[0, )", "rmi.bce_weight": "[0, 1]", "ce_weight": "[0, )", "dice_weight": "[0, )",
    "focal_weight": "[0, )",
    "beta": "(0, )", "symmetric_cross_entropy.beta": "[0, )",
    "bins": "[1, )", "delta": "(0, 1]", "end": "[0, 1]", "epsilon": "[-1, )", "rmi.epsilon": "[1e-8, )",
    "exponent": "(0, )",
    "gamma": "[0, )", "noise_robust_dice.gamma": "[1, 2]", "unified_focal.gamma": "[0, 1)",
    "asymmetric_unified_focal.gamma": "[0, 1)",
    "iterations": "[0, )", "k": "(0, 1]", "label_smoothing": "[0, 1)", "log_zero": "(, 0)", "min_kept": "(0, 1]",
    "pool": "[1, )", "power": "[0, )", "q": "(0, 1]", "r": "[0, 1]", "region": "[1, )", "skeleton_smooth": "[0, )",
    "smooth": "[0, )", "mcc.smooth": "[0, 0]", "start": "[0, 1]", "tau": "(, )", "threshold": "(0, 1]",
}  # fmt: skip

NUMBERS = [
    (name, parameter, default)
    for name in losses.names()
    for parameter, default in losses.parameters(name).items()
    if isinstance(default, int | float) and not isinstance(default, bool) and parameter != "ignore_index"
]


def around(end: str, toward: float, whole: bool) -> tuple[float, float, float]:
    """The values next to an end of an interval: outside, at it, and inside, which is the side of `toward`."""
    if whole:
        step = 1 if toward > 0 else -1
        return int(end) - step, int(end), int(end) + step
    at = float(end)
    return math.nextafter(at, -toward), at, math.nextafter(at, toward)


@pytest.mark.parametrize(("name", "parameter", "default"), NUMBERS, ids=[f"{n}-{p}" for n, p, _ in NUMBERS])
def test_the_ends_of_a_range(name: str, parameter: str, default: float) -> None:
    written = RANGES.get(f"{name}.{parameter}", RANGES[parameter])
    low, high = (end.strip() for end in written[1:-1].split(","))
    taken, refused = [], [math.nan] if low or high else []
    for end, closed, toward in ((low, written[0] == "[", math.inf), (high, written[-1] == "]", -math.inf)):
        if end:
            outside, at, inside = around(end, toward, isinstance(default, int))
            refused += [outside] if closed else [outside, at]
            taken += [at] if closed else [inside]
    for value in (*taken, default):
        losses.get(name, **{parameter: value})
    for value in refused:
        with pytest.raises(ValueError, match=f"^{parameter} must be "):
            losses.get(name, **{parameter: value})


@pytest.mark.parametrize(
    ("name", "parameter", "taken", "refused"),
    [
        ("cross_entropy", "class_weights", [[0, 1], [2]], [[], [0, 0], [-1, 2]]),
        ("dice", "classes", [[0], (2, 1), "all"], [[], [-1], [1, -1], "none"]),
        ("dice", "activation", ["sigmoid"], ["relu"]),
        ("logit_adjusted", "priors", [[0, 1]], [[], [0, 0], [-1, 2]]),
        ("asymmetric_unified_focal", "rare", [[0], None], [[], [-1], [1, -1]]),
        (
            "wasserstein_dice",
            "distances",
            [[[0, 1], [1, 0]], [[0, 0], [0, 0]], None],
            [
                [[0, 1]],
                [[0, 1], [0.5, 0]],
                [[0, 0.5], [1, 0]],
                [[0.1, 1], [1, 0]],
                [[0, 2], [2, 0]],
                [[0, -1], [-1, 0]],
            ],
        ),
    ],
)
def test_lists_that_are_taken_and_refused(name: str, parameter: str, taken: list, refused: list) -> None:
    for value in taken:
        losses.get(name, **{parameter: value})
    for value in refused:
        with pytest.raises(ValueError, match=f"^{parameter} must be "):
            losses.get(name, **{parameter: value})


def test_a_sum_is_of_losses_and_its_factors_are_numbers() -> None:
    dice: Any = losses.get("dice")
    for operation in (lambda: dice + 1, lambda: dice * "2", lambda: dice * dice):
        with pytest.raises(TypeError):
            operation()
    for parts, weights in (([], []), ([dice], []), ([dice], [1, 2])):
        with pytest.raises(ValueError, match=f"weights must be one number for each of the {len(parts)} losses"):
            WeightedSum(losses=parts, weights=weights)
