"""Every registered loss obeys the laws of `losses.laws`; a new loss is tested by being registered."""

import functools
import re
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import losses
from bench.core import KERAS_3
from losses.core.pixelwise import SoftmaxLoss
from losses.core.registry import _entry
from losses.laws import ESSENTIAL, FURTHER, Law, Outcome, Subject, example, hold

EXAMPLE = example()
LABELS, LOGITS, WEIGHTS = EXAMPLE.labels, EXAMPLE.logits, EXAMPLE.weights
B, H, W, C = LOGITS.shape
LAWS = {law.name: law for law in (*ESSENTIAL, *FURTHER)}
SLOW = ("xla", "downhill")


def averages_of(name: str) -> tuple[str, ...]:
    return getattr(losses.get(name), "averages", ("batch", "image"))


CASES = [(name, average) for name in losses.names() for average in averages_of(name)]


@functools.cache
def subject(name: str, average: str) -> Subject:
    """A loss whose graph and whose plain value the laws share."""
    return Subject(losses.get(name, average=average))


@pytest.fixture(scope="module", autouse=True)
def _no_graph_outlives_the_module() -> Iterator[None]:
    yield
    subject.cache_clear()


def obeys(name: str, average: str, law: Law) -> None:
    if law.name in losses.get(name).exceptions:
        pytest.skip(f"{name} breaks the law {law.name!r} by its definition")
    found = subject(name, average)
    if why := law.idle(found):
        pytest.skip(why)
    law.check(found, EXAMPLE)


@pytest.mark.parametrize("law", [name for name in LAWS if name not in SLOW])
@pytest.mark.parametrize(("name", "average"), CASES, ids=[f"{name}-{average}" for name, average in CASES])
def test_laws(name: str, average: str, law: str) -> None:
    obeys(name, average, LAWS[law])


@pytest.mark.parametrize("law", SLOW)  # with their own average alone: compiling takes a second
@pytest.mark.parametrize("name", losses.names())
def test_slower_laws(name: str, law: str) -> None:
    obeys(name, losses.get(name).average, LAWS[law])


def test_the_laws_compare_numbers_that_differ_from_zero() -> None:
    for name, average in CASES:
        value, gradient = subject(name, average).plain(EXAMPLE)
        assert abs(value) > 0.01
        assert np.abs(gradient).max() > 1e-4


@pytest.mark.parametrize(
    "name", [name for name in losses.names() if "smooth" in losses.parameters(name) and name != "mcc"]
)
def test_smoothed_losses_of_images_are_their_own(name: str) -> None:
    """The two images differ in the sizes of their classes, and in which they have."""
    loss = losses.get(name, average="image", smooth=2.0)
    alone = [float(loss(LABELS[i : i + 1], LOGITS[i : i + 1])) for i in (1, 2)]
    assert float(loss(LABELS[1:], LOGITS[1:])) == pytest.approx(sum(alone) / 2, rel=1e-5)
    assert sum(alone) / 2 < float(losses.get(name, average="image")(LABELS[1:], LOGITS[1:])), (
        "it makes errors count less"
    )


def identities() -> list[tuple]:
    """Every declared identity, under each average that both sides have."""
    found = []
    for name in losses.names():
        own = vars(type(losses.get(name))).get("identities", ())
        for params, other, others in own:
            averages = set(averages_of(name)) & set(averages_of(other))
            found += [(name, params, other, others, average) for average in sorted(averages)]
    return found


@pytest.mark.parametrize(("name", "params", "other", "others", "average"), identities())
def test_identities(name: str, params: dict, other: str, others: dict, average: str) -> None:
    first, second = losses.get(name, average=average, **params), losses.get(other, average=average, **others)
    one, two = Subject(first), Subject(second)
    one.agree(one.evaluate(LABELS, LOGITS, WEIGHTS), two.evaluate(LABELS, LOGITS, WEIGHTS))


def test_registry_reads_the_defaults_that_the_constructor_has() -> None:
    for name in losses.names():
        built = losses.get(name)
        defaults = {k: v for k, v in losses.parameters(name).items() if k != "name"}
        defaults = {k: list(v) if isinstance(v, tuple) else v for k, v in defaults.items()}  # as JSON has them
        assert {k: v for k, v in built.get_config().items() if k != "name"} == defaults
        assert built.name == name == built.loss_name
        assert type(built).__name__ == _entry(name).cls
        assert built.trains_alone == (name in losses.names_alone())


def test_algebra_hands_weights_on_and_serialises() -> None:
    a, b = losses.get("dice"), losses.get("cross_entropy", label_smoothing=0.1)
    both = 2 * (a + 0.5 * b)
    assert both.weights == (2.0, 1.0)
    parts = (Subject(part).evaluate(LABELS, LOGITS, WEIGHTS) for part in (a, b))
    expected = Outcome(*(2 * x + y for x, y in zip(*parts, strict=True)))
    whole = Subject(both)
    whole.agree(expected, whole.evaluate(LABELS, LOGITS, WEIGHTS))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(both))
    whole.agree(expected, Subject(again).evaluate(LABELS, LOGITS, WEIGHTS))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.get("dicee"), "'dice'"),
        (lambda: losses.get("tversky", alhpa=0.1), "'alpha'"),
        (lambda: losses.get("dice", average="pixel"), "average"),
        (lambda: losses.get("dice", classes="some"), "classes"),
        (lambda: losses.get("cross_entropy", class_weights=[1, 2])(LABELS, LOGITS), "2 numbers for 3 classes"),
        (lambda: losses.get("dice")(LABELS[:, :3], LOGITS), "height or width"),
        (lambda: losses.get("dice")(np.zeros((B, H, W, 2)), LOGITS), "labels must be"),
        (lambda: losses.get("dice")(LABELS, LOGITS[..., :1]), "sigmoid"),
        (
            lambda: losses.get("dice")(LABELS + (LABELS == 1) * np.uint8(7), LOGITS),
            r"ids 8 outside 0\.\.2 \(void is 255",
        ),
        (lambda: losses.get("cross_entropy", ignore_index=None)(LABELS, LOGITS), r"ids 255 outside 0\.\.2"),
        (lambda: losses.get("logit_adjusted", priors=[1, 2])(LABELS, LOGITS), "2 numbers for 3 classes"),
        (lambda: losses.get("wasserstein_dice", distances=[[0, 1], [1, 0]])(LABELS, LOGITS), "2 x 2 matrix for 3"),
        (lambda: losses.get("asymmetric_unified_focal", rare=[3])(LABELS, LOGITS), "rare has id 3 for 3 classes"),
        (lambda: losses.get("dice_focal", gamma=-1.0), "gamma"),
        (lambda: losses.get("mcc", smooth=1.0), "smooth must be 0"),
        (lambda: losses.get("rmi", activation="softmax"), "activation"),
        (lambda: losses.get("bce")(LABELS, LOGITS[..., :1]), "labels of one channel are 0, 1 .* got 0 to 2"),
        (lambda: losses.get("scheduled_mix", losses=["dice"]), "two losses"),
        (lambda: losses.get("scheduled_mix", losses=["dice", "boundry"]), "unknown loss"),
        (lambda: losses.get("dice")(LABELS, LOGITS, np.ones((B, H))), "sample_weight"),
    ],
)
def test_bad_input_is_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


class Formula(SoftmaxLoss):
    """Cross-entropy with a fault that a subclass adds."""

    def of_surprisal(self, surprisal: tf.Tensor) -> tf.Tensor:
        return surprisal


class WrongSlope(Formula):
    def of_surprisal(self, surprisal: tf.Tensor) -> tf.Tensor:
        return 2.0 * surprisal - tf.stop_gradient(surprisal)


class SeesVoid(Formula):
    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        labels = y_true[0] if isinstance(y_true, tuple) else y_true
        return super().call(tf.where(tf.cast(labels, tf.int32) == 255, 0, tf.cast(labels, tf.int32)), y_pred)


class NotFinite(Formula):
    def of_surprisal(self, surprisal: tf.Tensor) -> tf.Tensor:
        return -tf.math.log(tf.exp(-surprisal))


class OneNumber(Formula):
    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        return tf.reduce_mean(super().call(y_true, y_pred))


class FirstImage(Formula):
    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        values = super().call(y_true, y_pred)
        return tf.concat([3.0 * values[:1], values[1:]], 0)


class EagerOnly(Formula):
    def of_surprisal(self, surprisal: tf.Tensor) -> tf.Tensor:
        return surprisal if tf.executing_eagerly() else 1.5 * surprisal


class InHalf(Formula):
    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        return tf.cast(super().call(y_true, y_pred), tf.convert_to_tensor(y_pred).dtype)


@pytest.mark.parametrize(
    ("loss", "law", "counter_example"),
    [
        (WrongSlope(), "gradient", r"1 image of 1 x 1 pixels, labels .*: along a random direction"),
        (SeesVoid(), "void", r"1 image of 1 x 2 pixels, labels \[\[\[255, \d\]\]\]: .* is void"),
        (NotFinite(), "finite", r"1 image of 1 x 1 pixels, .*: the loss is (inf|nan) at logits of 1e4"),
        (OneNumber(), "shape", r"1 image of 1 x 1 pixels, .*: call gave float32 of shape \(\)"),
        (FirstImage(), "batch", r"2 images of 2 x 2 pixels, .*: the loss is"),
        (EagerOnly(), "graph", r"1 image of 1 x 1 pixels, .*: the loss is"),
        pytest.param(
            InHalf(), "float32", r"1 image of 1 x 1 pixels, .*: float16 logits give a float16 loss",
            marks=pytest.mark.skipif(KERAS_3, reason="Keras 3 gives every loss float32"),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_broken_law_is_found_with_its_smallest_example(loss: Any, law: str, counter_example: str) -> None:
    held = hold(LAWS[law], Subject(Formula()))
    assert (held.verdict, held.why) == ("holds", "")
    found = hold(LAWS[law], Subject(loss))
    assert found.verdict == "broken"
    assert re.match(counter_example, found.why), found.why
    assert "\n" not in found.why
