"""Laws that every registered loss obeys; a new loss is tested by being registered."""

import functools
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import losses
from losses.core.registry import _entry

B, H, W, C = 3, 4, 6, 3
RNG = np.random.default_rng(7)
LOGITS = RNG.normal(size=(B, H, W, C)).astype(np.float32) * 2
LABELS = RNG.integers(0, C, (B, H, W)).astype(np.uint8)
LABELS[0, :2] = 255
LABELS[1, 0, 0] = 255
LABELS[2][LABELS[2] == 1] = 0  # class 1 is absent in one image
WEIGHTS = RNG.uniform(0.1, 3, (B, H, W)).astype(np.float32)


def averages_of(name: str) -> tuple[str, ...]:
    return getattr(losses.get(name), "averages", ("batch", "image"))


CASES = [(name, average) for name in losses.names() for average in averages_of(name)]


@pytest.fixture(params=CASES, ids=[f"{name}-{average}" for name, average in CASES])
def loss(request: pytest.FixtureRequest) -> Any:
    name, average = request.param
    return losses.get(name, average=average)


def skip_if_broken_by_definition(loss: Any, law: str) -> None:
    if law in loss.exceptions:
        pytest.skip(f"{loss.loss_name} breaks the law {law!r} by its definition")


def evaluate(loss: Any, labels: Any, logits: Any, weight: Any = None) -> tuple[float, np.ndarray]:
    logits = tf.convert_to_tensor(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(labels, logits, sample_weight=weight)
    return float(value), tf.cast(tape.gradient(value, logits), tf.float32).numpy()


def traced(loss: Any, labels: Any, logits: Any) -> tuple[float, np.ndarray]:
    """The same in a graph, which `test_graph_of_any_size_is_eager` compares, in a tenth of the time."""
    run = of_any_size(loss.loss_name, loss.average)
    value, gradient = run(labels.astype(np.uint8), logits.astype(np.float32), np.ones(labels.shape, np.float32))
    return float(value), gradient.numpy()


@functools.cache
def plain(name: str, average: str) -> tuple[float, np.ndarray]:
    """Value and gradient of the batch as it is, which the laws below compare with."""
    return traced(losses.get(name, average=average), LABELS, LOGITS)


def agree(first: tuple[float, np.ndarray], second: tuple[float, np.ndarray], rtol: float = 2e-6) -> None:
    np.testing.assert_allclose(second[0], first[0], rtol=rtol)
    np.testing.assert_allclose(second[1], first[1], rtol=rtol * 10, atol=rtol * max(np.abs(first[1]).max(), 1e-9))


def test_values_are_one_an_image_in_float32(loss: Any) -> None:
    values = loss.call(LABELS, LOGITS)
    assert values.shape == (B,)
    assert values.dtype == tf.float32
    value, gradient = evaluate(loss, LABELS, LOGITS)
    assert value == pytest.approx(float(tf.reduce_mean(values)), rel=1e-6)
    assert abs(value) > 0.01
    assert np.abs(gradient).max() > 1e-4  # the laws below say nothing about a constant


def test_void_pixels_do_not_exist(loss: Any) -> None:
    value, gradient = plain(loss.loss_name, loss.average)
    assert (gradient[LABELS == 255] == 0).all()
    other = np.where(LABELS[..., None] == 255, -7.0 * LOGITS + 3, LOGITS)
    agree((value, gradient), traced(loss, LABELS, other))


def test_an_image_of_void_changes_nothing(loss: Any) -> None:
    value, gradient = plain(loss.loss_name, loss.average)
    more = traced(loss, np.concatenate([LABELS, np.full_like(LABELS[:1], 255)]), np.concatenate([LOGITS, LOGITS[:1]]))
    agree((value, gradient), (more[0], more[1][:B]))


def test_all_void_is_zero(loss: Any) -> None:
    value, gradient = traced(loss, np.full_like(LABELS, 255), LOGITS)
    assert value == 0
    assert (gradient == 0).all()


def test_classes_have_no_order(loss: Any) -> None:
    skip_if_broken_by_definition(loss, "class_permutation")
    order = np.array([2, 0, 1])
    labels = np.where(LABELS == 255, 255, np.argsort(order)[np.minimum(LABELS, C - 1)])
    value, gradient = plain(loss.loss_name, loss.average)
    agree((value, gradient[..., order]), traced(loss, labels, LOGITS[..., order]))


def test_pixels_have_no_order(loss: Any) -> None:
    skip_if_broken_by_definition(loss, "pixel_permutation")
    order = RNG.permutation(H * W)

    def shuffle(x: np.ndarray) -> np.ndarray:
        return x.reshape(B, H * W, -1)[:, order].reshape(x.shape)

    value, gradient = plain(loss.loss_name, loss.average)
    agree((value, shuffle(gradient)), traced(loss, shuffle(LABELS), shuffle(LOGITS)))


def test_tiling_an_image_changes_nothing(loss: Any) -> None:
    skip_if_broken_by_definition(loss, "tiling")
    value, gradient = plain(loss.loss_name, loss.average)
    tiled = traced(loss, np.tile(LABELS, (1, 2, 2)), np.tile(LOGITS, (1, 2, 2, 1)))
    agree((value, gradient), (tiled[0], tiled[1][:, :H, :W] * 4))


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


def is_of_a_softmax(loss: Any) -> bool:
    return (
        all(is_of_a_softmax(term) for _, term in loss.terms) if hasattr(loss, "terms") else loss.activation == "softmax"
    )


def test_softmax_losses_see_differences_of_logits(loss: Any) -> None:
    if not is_of_a_softmax(loss):
        pytest.skip("a sigmoid sees each logit")
    shift = RNG.normal(size=(B, H, W, 1)).astype(np.float32)
    agree(plain(loss.loss_name, loss.average), traced(loss, LABELS, LOGITS + shift), rtol=1e-5)


def test_forms_of_labels(loss: Any) -> None:
    first = evaluate(loss, LABELS, LOGITS)
    for labels in (LABELS.astype(np.int64), LABELS.astype(np.float32), LABELS[..., None], np.eye(256)[LABELS][..., :C]):
        agree(first, evaluate(loss, labels, LOGITS))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_any_float_type_is_computed_in_float32(loss: Any, dtype: str) -> None:
    logits = tf.cast(LOGITS, dtype)
    first, second = traced(loss, LABELS, tf.cast(logits, tf.float32).numpy()), evaluate(loss, LABELS, logits)
    assert second[0] == pytest.approx(first[0], rel=1e-6)
    assert loss(LABELS, logits).dtype == tf.float32
    np.testing.assert_allclose(second[1], first[1], rtol=0.02, atol=1e-4)


def test_extreme_logits_are_finite_and_in_order(loss: Any) -> None:
    true = np.where(LABELS[..., None] == 255, False, np.arange(C) == LABELS[..., None])
    undecided = traced(loss, LABELS, np.zeros_like(LOGITS))[0]
    right, wrong = (
        traced(loss, LABELS, np.where(true == is_right, 1e4, -1e4).astype(np.float32)) for is_right in (True, False)
    )
    for value, gradient in (right, wrong):
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
    for logit in (15.0, 25.0, 30.0):  # p of 1e-13 to 1e-26, whose squares and inverses are near float32's ends
        value, gradient = traced(loss, LABELS, np.where(true, -logit, logit).astype(np.float32))
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
    assert right[0] < undecided < wrong[0]
    if "zero_at_truth" not in loss.exceptions:
        assert right[0] == pytest.approx(0, abs=1e-6)


def test_weights(loss: Any) -> None:
    plain = evaluate(loss, LABELS, LOGITS)
    for ones in (np.ones((B, H, W)), np.full((B, H, W, 1), 5.0), np.full(B, 0.5), np.ones((B, 1))):
        agree(plain, evaluate(loss, LABELS, LOGITS, ones.astype(np.float32)))
    void = (LABELS != 255).astype(np.float32)
    agree(plain, evaluate(loss, np.where(LABELS == 255, 0, LABELS), LOGITS, void))
    of_images = np.array([1.0, 0.5, 3.0], np.float32)
    spread = np.broadcast_to(of_images[:, None, None], (B, H, W))
    agree(evaluate(loss, LABELS, LOGITS, of_images), evaluate(loss, LABELS, LOGITS, spread))
    assert evaluate(loss, LABELS, LOGITS, of_images)[0] != pytest.approx(plain[0], rel=1e-4)
    agree(evaluate(loss, LABELS[:2], LOGITS[:2]), evaluate_first_two(loss))


def evaluate_first_two(loss: Any) -> tuple[float, np.ndarray]:
    value, gradient = evaluate(loss, LABELS, LOGITS, np.array([1.0, 1.0, 0.0], np.float32))
    assert (gradient[2] == 0).all()
    return value, gradient[:2]


def test_a_weight_of_two_is_a_pixel_that_is_there_twice(loss: Any) -> None:
    skip_if_broken_by_definition(loss, "pixel_permutation")
    weight = np.ones((1, H, W), np.float32)
    weight[:, 1:3] = 2
    twice = (np.concatenate([x[1:2], x[1:2, 1:3]], axis=1) for x in (LABELS, LOGITS))
    assert evaluate(loss, LABELS[1:2], LOGITS[1:2], weight)[0] == pytest.approx(evaluate(loss, *twice)[0], rel=2e-6)


def test_config_is_the_constructor(loss: Any) -> None:
    config = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    assert again.average == loss.average
    assert set(loss.get_config()) == set(losses.parameters(loss.loss_name))
    agree(evaluate(loss, LABELS, LOGITS), evaluate(again, LABELS, LOGITS))


def compiled(loss: Any, jit_compile: bool, sizes: tuple[int | None, int | None, int | None]) -> Any:
    """Value and gradient in one graph that knows its inputs by their shapes only."""

    @tf.function(
        jit_compile=jit_compile,
        input_signature=[
            tf.TensorSpec(sizes, tf.uint8),
            tf.TensorSpec((*sizes, C), tf.float32),
            tf.TensorSpec(sizes, tf.float32),
        ],
    )
    def run(labels: tf.Tensor, logits: tf.Tensor, weight: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = loss(labels, logits, sample_weight=weight)
        return value, tape.gradient(value, logits)

    return run


@functools.cache
def of_any_size(name: str, average: str) -> Any:
    """A loss in a graph that two of the laws share: tracing takes the time."""
    return compiled(losses.get(name, average=average), False, (None, None, None))


@pytest.fixture(scope="module", autouse=True)
def _no_graph_outlives_the_module() -> Iterator[None]:
    yield
    of_any_size.cache_clear()
    plain.cache_clear()


def test_graph_of_any_size_is_eager(loss: Any) -> None:
    run = of_any_size(loss.loss_name, loss.average)
    agree(evaluate(loss, LABELS, LOGITS, WEIGHTS), run(LABELS, LOGITS, WEIGHTS))


@pytest.mark.parametrize("name", losses.names())  # with their own average alone: compiling takes a second
def test_xla_is_eager(name: str) -> None:
    loss = losses.get(name)
    run = compiled(loss, True, (B, H, W))
    agree(evaluate(loss, LABELS, LOGITS, WEIGHTS), run(LABELS, LOGITS, WEIGHTS))


@pytest.mark.parametrize("name", losses.names_alone())
def test_going_downhill_finds_the_mask(name: str) -> None:
    """Free logits, started near zero, follow the gradient in steps of one length, and end at the labels."""
    run = of_any_size(name, losses.get(name).average)
    logits, ones = LOGITS * np.float32(0.01), np.ones(LABELS.shape, np.float32)
    for _ in range(80):
        gradient = run(LABELS, logits, ones)[1].numpy()
        logits = logits - 0.5 * gradient / (gradient.std() + 1e-12)
    right = logits.argmax(-1) == LABELS
    assert right[LABELS != 255].all()


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
    agree(evaluate(first, LABELS, LOGITS, WEIGHTS), evaluate(second, LABELS, LOGITS, WEIGHTS))


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
    expected = [2 * x + y for x, y in zip(*(evaluate(part, LABELS, LOGITS, WEIGHTS) for part in (a, b)), strict=True)]
    agree(tuple(expected), evaluate(both, LABELS, LOGITS, WEIGHTS))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(both))
    agree(tuple(expected), evaluate(again, LABELS, LOGITS, WEIGHTS))


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
