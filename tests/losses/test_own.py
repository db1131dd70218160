"""Losses of the user's own under the contract of the package, and the command that holds them against the laws."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import losses
from bench import check_loss
from bench.core import own_code, start
from losses.laws import Subject, example

CODE = """
import keras
import tensorflow as tf

import losses
from losses import FormulaLoss


def per_pixel(labels, logits, factor=1.0):
    return factor * tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


class PerImage(keras.losses.Loss):
    def __init__(self, ignore_index=255, **more):
        super().__init__(**more)
        self.ignore_index = ignore_index

    def call(self, labels, logits):
        valid = tf.cast(labels != self.ignore_index, tf.float32)
        values = per_pixel(tf.where(labels == self.ignore_index, 0, labels), logits)
        return tf.math.divide_no_nan(tf.reduce_sum(valid * values, [1, 2]), tf.reduce_sum(valid, [1, 2]))


def seen_void(labels, logits):
    return tf.reduce_mean(per_pixel(labels % 3, logits))


def wrong_shape(labels, logits):
    return logits


def raises(labels, logits):
    raise RuntimeError("first line\\nsecond line")


class Contract(FormulaLoss):
    weight: float = 2.0

    def per_image(self, targets, logits, weight):
        return losses.get("cross_entropy", average=self.average).per_image(targets, self.weight * logits, weight)
"""
EXAMPLE = example()


@pytest.fixture(scope="module", autouse=True)
def _module(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("ownlosses")
    (home / "lossmine.py").write_text(CODE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setattr(own_code, "_finder", own_code._OwnFinder())  # that of this process holds other folders
        own_code.make_importable(["lossmine:per_pixel"])
        yield


def agree(first: Any, second: Any, weights: Any = None) -> None:
    one, two = Subject(first), Subject(second, rtol=1e-5)
    two.agree(
        *(each.evaluate(EXAMPLE.labels, EXAMPLE.logits, weights) for each in (one, two)),
    )


@pytest.mark.parametrize("average", ["batch", "image"])
@pytest.mark.parametrize("weights", [None, EXAMPLE.weights], ids=["plain", "weighted"])
def test_values_per_pixel_get_void_weights_and_averages_of_the_contract(average: str, weights: Any) -> None:
    agree(losses.get("cross_entropy", average=average), losses.get("lossmine:per_pixel", average=average), weights)


def test_values_per_image_are_as_the_class_makes_them() -> None:
    images = losses.get("lossmine:PerImage")
    ours, labels, logits = losses.get("cross_entropy", average="image"), EXAMPLE.labels, EXAMPLE.logits
    expected = [float(ours(labels[i : i + 1], logits[i : i + 1])) for i in range(3)]
    np.testing.assert_allclose(images.call(EXAMPLE.labels, EXAMPLE.logits), expected, rtol=1e-5)
    assert not Subject(images).weighs_pixels


def test_a_loss_under_our_contract_is_taken_as_it_is() -> None:
    made = losses.get("lossmine:Contract", weight=1.0)
    assert type(made).__name__ == "Contract"
    agree(losses.get("cross_entropy"), made)
    assert set(losses.parameters("lossmine:Contract")) >= {"weight", "average", "ignore_index"}
    assert list(losses.parameters("lossmine:per_pixel")) == ["average", "factor"]


def test_parameters_sums_and_scales() -> None:
    twice = losses.get("lossmine:per_pixel", factor=2.0)
    agree(2 * losses.get("cross_entropy"), twice)
    agree(3 * losses.get("cross_entropy"), twice + losses.get("cross_entropy"))
    assert losses.gradient_scale(twice).initial == pytest.approx(2.0, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrong_shape", r"lossmine:wrong_shape breaks the law 'shape': labels \(3, 4, 6\) gave \(3, 4, 6, 3\);"),
        ("raises", "lossmine:raises raises RuntimeError: first line$"),
    ],
)
def test_code_that_fails_is_named_in_one_line(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        losses.get(f"lossmine:{name}")(EXAMPLE.labels, EXAMPLE.logits)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command in this process, which has TensorFlow already: its exit status and what it printed."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bench.check_loss", *arguments])
        with pytest.raises(SystemExit) as ended:
            start(check_loss.main)
        return ended.value.code, *capsys.readouterr()  # type: ignore[return-value]

    return run


def test_the_command_names_broken_laws_with_a_counter_example(command: Callable[..., tuple[int, str, str]]) -> None:
    status, output, _ = command("lossmine:seen_void")
    assert status == 1
    rows = {line.split()[0]: line for line in output.splitlines() if line.strip()}
    assert "holds" in rows["gradient"]
    assert "void: 1 image of 1 x 2 pixels, labels [[[255, " in output
    assert "is void" in output
    assert "lossmine:seen_void breaks essential laws: void\n" in output
    assert "weights: it has no value per pixel" in output


def test_the_command_passes_a_loss_that_obeys(command: Callable[..., tuple[int, str, str]]) -> None:
    status, output, _ = command("lossmine:per_pixel", "--set", "factor=.5")
    assert status == 0, output
    assert "broken" not in output.partition("further laws")[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lossmine:per_pixel", "--set", "facter=1"), "has no parameter 'facter'; did you mean 'factor'"),
        (("lossmine:per_pixle",), "module lossmine has no 'per_pixle'; did you mean 'per_pixel'"),
        (("lossmien:per_pixel",), "no module 'lossmien'"),
        (("dise",), "unknown loss 'dise'; did you mean 'dice'"),
        (("dice", "--set", "smooth"), "expected field=value"),
    ],
)
def test_bad_input_of_the_command(
    command: Callable[..., tuple[int, str, str]], arguments: tuple[str, ...], message: str
) -> None:
    status, _, error = command(*arguments)
    assert status == 2
    assert message in error
    assert error.count("\n") == 1
    assert not list(Path.cwd().glob("runs"))
