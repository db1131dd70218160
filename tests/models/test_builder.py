"""The whole model: sizes, dtypes, scaling, reproducibility and the round trip through a file."""

import functools
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import models
from models.encoder.backbones import Backbone
from models.layers.normalisation import BatchNormalization

SMALL = {"backbone": "resnet18", "aspp_channels": 16, "decoder_channels": 16, "low_level_channels": 8}
IMAGE = np.random.default_rng(0).uniform(0, 255, (2, 97, 131, 3)).astype("float32")


@pytest.fixture(autouse=True)
def _float32_afterwards() -> Iterator[None]:
    yield
    keras.mixed_precision.set_global_policy("float32")


def _build(**fields: object) -> keras.Model:
    keras.utils.set_random_seed(3)
    return models.build(models.ModelSpec(**{**SMALL, **fields}), 5, seed=1)


def _kept(**fields: object) -> keras.Model:
    """A model that several tests look at; none changes its weights, trains it or builds it under half precision."""
    return _of(models.ModelSpec(**{**SMALL, **fields}))


@functools.cache
def _of(spec: models.ModelSpec) -> keras.Model:
    return _build(**spec.model_dump())


@functools.cache
def _with_auxiliary_head(stride: int) -> tuple[keras.Model, keras.Model]:
    """The model to train and the one to use; no test changes their weights."""
    keras.utils.set_random_seed(3)
    return models.build_training(models.ModelSpec(**SMALL, output_stride=stride, auxiliary_weight=0.4), 5, seed=1)


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_kept_longer(thin_resnet: Backbone) -> Iterator[None]:
    """Building and tracing take the time here, so the ResNet is thin."""
    yield
    _of.cache_clear()
    _with_auxiliary_head.cache_clear()


@pytest.mark.parametrize("head", ["bilinear", "subpixel"])
@pytest.mark.parametrize("stride", [8, 16, pytest.param(32, marks=pytest.mark.slow)])  # without dilation
def test_any_size_gives_logits_of_that_size(head: str, stride: int) -> None:
    model = _kept(head=head, output_stride=stride)
    # AutoGraph, which models do not need, takes the time: one stride shows that it does no harm.
    call = tf.function(model, input_signature=[tf.TensorSpec((None, None, None, 3))], autograph=stride == 16)
    for height, width in ((97, 131), (64, 64), (33, 50)):
        image = IMAGE[:, :height, :width]
        logits = np.asarray(call(image))
        assert logits.shape == (2, height, width, 5)
        assert logits.std() > 0
        np.testing.assert_allclose(logits, np.asarray(model(image)), rtol=0, atol=1e-3 * logits.std())


def test_tiny_images_are_seen_within_their_mean_colour() -> None:
    model = _kept(backbone="mobilenetv3_small", head="bilinear")  # on 20 rows its deepest map would have none
    call = tf.function(model, input_signature=[tf.TensorSpec((None, None, None, 3))], autograph=False)
    image = IMAGE[:, :20, :34]
    padded = np.concatenate([image, np.broadcast_to(image.mean((1, 2), keepdims=True), (2, 12, 34, 3))], 1)
    logits = np.asarray(model(image))
    np.testing.assert_allclose(logits, np.asarray(model(padded))[:, :20], atol=1e-4)
    np.testing.assert_allclose(logits, np.asarray(call(image)), atol=1e-4)


@pytest.mark.parametrize("head", ["bilinear", "subpixel"])
def test_deeplabv3_has_no_decoder_and_any_size(head: str) -> None:
    model = _build(architecture="deeplabv3", head=head, output_stride=8)
    assert np.asarray(model(IMAGE)).shape == (2, 97, 131, 5)
    names = [layer.name for layer in model.layers]
    assert "refine_conv" in names
    assert not [name for name in names if name.startswith(("decoder", "low_level"))]


def test_the_same_weights_serve_at_every_stride() -> None:
    """Kernels keep their shapes and order; at the stride of training the function is the same."""
    model = _kept(head="bilinear", output_stride=32)
    for stride in (8, 16, 32):
        other = _build(output_stride=stride)
        other.set_weights(model.get_weights())
        logits = np.asarray(other(IMAGE))
        assert np.corrcoef(logits.ravel(), np.asarray(model(IMAGE)).ravel())[0, 1] > (0.999 if stride == 32 else 0.3)


def test_output_stride_is_reached() -> None:
    for stride, size in ((16, 6), (32, 3)):
        low_level, context = _kept(head="bilinear", output_stride=stride).get_layer("backbone")(IMAGE[:, :96, :96])
        assert tuple(low_level.shape[1:3]) == (24, 24)
        assert tuple(context.shape[1:3]) == (size, size)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("head", ["bilinear", "subpixel"])
def test_half_precision_computes_nearly_the_same_and_gives_float32(head: str, policy: str) -> None:
    whole = _kept(head=head, output_stride=16)
    keras.mixed_precision.set_global_policy(policy)
    half = _build(head=head)
    assert half.get_layer("decoder_2_relu").compute_dtype == policy.removeprefix("mixed_")
    half.set_weights(whole.get_weights())
    expected, found = (np.asarray(model(IMAGE[:1, :64, :64])) for model in (whole, half))
    assert found.dtype == "float32"
    assert np.isfinite(found).all()
    assert np.abs(found - expected).max() > 0
    # Half a unit in the last of 8 or 11 bits, through some thirty layers.
    assert np.abs(found - expected).std() < (0.1 if policy == "mixed_bfloat16" else 0.01) * expected.std()


@pytest.mark.parametrize("head", [pytest.param("bilinear", marks=pytest.mark.slow), "subpixel"])
def test_xla_computes_and_learns_the_same(head: str) -> None:
    model, images = _kept(head=head, output_stride=16), tf.constant(IMAGE[:1, :64, :64])

    def step(image: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            logits = model(image, training=False)
            value = tf.reduce_mean(tf.square(logits))
        return logits, tape.gradient(value, model.trainable_variables)

    logits, gradients = tf.function(step, autograph=False)(images)
    compiled, others = tf.function(step, jit_compile=True, autograph=False)(images)
    np.testing.assert_allclose(compiled, logits, rtol=0, atol=2e-4 * float(tf.math.reduce_std(logits)))
    largest = max(float(tf.reduce_max(tf.abs(one))) for one in gradients)
    for one, other in zip(gradients, others, strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-3 * largest)


@pytest.mark.parametrize(
    ("backbone", "head"),
    [
        pytest.param("efficientnetlite_b0", "subpixel", marks=pytest.mark.slow),
        ("mobilenetv3_small", "bilinear"),
        ("resnet18", "subpixel"),
    ],
)
def test_keras_file_round_trip(backbone: str, head: str, tmp_path: Path) -> None:
    model = _kept(backbone=backbone, head=head)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(np.asarray(model(IMAGE[:1])), np.asarray(loaded(IMAGE[:1])))


def test_efficientnet_lite_input_is_centred_on_127() -> None:
    model = _kept(backbone="efficientnetlite_b0", head="subpixel")
    scaling = model.get_layer("input_scaling")
    np.testing.assert_allclose(np.asarray(scaling(np.array([[[[127.0, 255.0, 0.0]]]]))).ravel(), [0, 1, -127 / 128])


@pytest.mark.parametrize("separable", [True, False])
def test_a_training_step_learns_everywhere(separable: bool) -> None:
    model = _build(separable=separable)
    labels = np.random.default_rng(1).integers(0, 5, (2, 64, 64))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels, model(IMAGE[:, :64, :64], training=True))
        )
    gradients = tape.gradient(loss, model.trainable_variables)
    silent = [v.name for v, g in zip(model.trainable_variables, gradients, strict=True) if g is None or not np.any(g)]
    assert silent == []


def test_the_seed_fixes_weights_and_dropout() -> None:
    first, second = _build(dropout=0.5), _build(dropout=0.5)
    image = IMAGE[:, :64, :64]
    np.testing.assert_array_equal(np.asarray(first(image)), np.asarray(second(image)))
    trained = []
    for model in (first, second):
        keras.utils.set_random_seed(4)  # Keras 2.15 counts the draws of a process
        trained.append(np.asarray(model(image, training=True)))
    np.testing.assert_array_equal(*trained)


def test_a_weights_file_and_a_momentum_reach_the_backbone(tmp_path: Path) -> None:
    from models.encoder.backbones import BACKBONES
    from models.encoder.pyramid import build_backbone

    whole = build_backbone(BACKBONES["resnet18"])
    whole.save(tmp_path / "resnet18.keras")
    weights = str(tmp_path / "resnet18.keras")
    built = _build(weights=weights, output_stride=16, batch_norm_momentum=0.75).get_layer("backbone")
    name = "v2_stack_3_block1_2_conv"
    np.testing.assert_array_equal(built.get_layer(name).get_weights()[0], whole.get_layer(name).get_weights()[0])
    assert built.get_layer("conv1_bn").momentum == 0.75


def test_no_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, received 0"):
        models.build(models.ModelSpec(), 0)


@pytest.mark.parametrize("training", [True, False])
def test_fused_batch_normalisation_is_the_keras_layer(training: bool) -> None:
    image = np.random.default_rng(5).normal(2, 3, (4, 5, 6, 3)).astype("float32")
    ours, theirs = BatchNormalization(momentum=0.75), keras.layers.BatchNormalization(momentum=0.75)
    start = [np.array(row, "float32") for row in ([1, 2, 3], [0.1, 0.2, 0.3], [1, 0, -1], [1, 4, 9])]
    values, gradients = [], []
    for layer in (ours, theirs):
        layer.build((None, 5, 6, 3))
        layer.set_weights(start)
        with tf.GradientTape() as tape:
            value = layer(image, training=training)
            loss = tf.reduce_sum(tf.sin(value))
        values.append(np.asarray(value))
        gradients.append([np.asarray(g) for g in tape.gradient(loss, layer.trainable_variables)])
    np.testing.assert_allclose(*values, atol=1e-5)
    np.testing.assert_allclose(np.stack(gradients[0]), np.stack(gradients[1]), rtol=1e-4, atol=1e-4)
    mean, variance = ours.get_weights()[2:]
    kept = 0.75 if training else 1.0
    np.testing.assert_allclose(mean, kept * start[2] + (1 - kept) * image.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(variance, kept * start[3] + (1 - kept) * image.var((0, 1, 2), ddof=1), rtol=1e-4)


def test_frozen_normalisation_keeps_its_statistics() -> None:
    layer = BatchNormalization()
    layer.build((None, 4, 4, 2))
    layer.trainable = False
    layer(np.full((2, 4, 4, 2), 7.0, "float32"), training=True)
    np.testing.assert_array_equal(layer.get_weights()[2], 0)


def test_the_auxiliary_head_is_in_the_training_model_only(tmp_path: Path) -> None:
    trained, used = _with_auxiliary_head(16)
    image = IMAGE[:, :64, :64]
    both = np.asarray(trained(image))
    assert both.shape == (2, 2, 64, 64, 5)
    np.testing.assert_array_equal(both[:, 0], np.asarray(used(image)))
    assert np.abs(both[:, 1] - both[:, 0]).max() > 0.1
    extra = {weight.path if hasattr(weight, "path") else weight.name for weight in trained.weights}
    extra -= {weight.path if hasattr(weight, "path") else weight.name for weight in used.weights}
    assert extra
    assert all("auxiliary" in name for name in extra)
    # A checkpoint of the one fits a model that never had the head.
    used.save_weights(str(tmp_path / "model.weights.h5"))
    plain = _build()
    plain.load_weights(str(tmp_path / "model.weights.h5"))
    np.testing.assert_array_equal(np.asarray(plain(image)), both[:, 0])


@pytest.mark.parametrize(("stride", "side"), [(32, 6), (16, 6), (8, 12)])
def test_the_auxiliary_head_sees_the_last_map_at_stride_16(stride: int, side: int) -> None:
    """At output stride 8 that map is as dense as the rest."""
    trained, _ = _with_auxiliary_head(stride)
    _, _, middle = trained.get_layer("backbone")(IMAGE[:, :96, :96])
    assert tuple(middle.shape[1:]) == (side, side, 32)  # the third stage has 32 channels, the fourth 40
    own = [weight for weight in trained.weights if "auxiliary" in getattr(weight, "path", weight.name)]
    assert next(weight.shape[2] for weight in own if len(weight.shape) == 4) == 32


@pytest.mark.parametrize(("stride", "side"), [(16, 6), (8, 12)])
def test_the_decoder_reads_the_maps_of_skips_beside_the_auxiliary_head(stride: int, side: int) -> None:
    fields = {"output_stride": stride, "skip_strides": (8, 16), "auxiliary_weight": 0.4}
    trained, used = models.build_training(models.ModelSpec(**SMALL, **fields), 5)
    image = IMAGE[:, :96, :96]
    low_level, _, skip_8, skip_16, middle = trained.get_layer("backbone")(image)
    # Of the thin ResNet the stages at stride 8 and 16 have 24 and 32 channels.
    assert [tuple(values.shape[1:]) for values in (skip_16, skip_8)] == [(side, side, 32), (12, 12, 24)]
    np.testing.assert_array_equal(np.asarray(skip_16), np.asarray(middle))
    assert low_level.shape[1] == 24
    assert used.get_layer("decoder_join").output.shape[-1] == 16 + 3 * 8  # context, and the maps at 4, 8 and 16
    own = [weight for weight in trained.weights if "auxiliary" in getattr(weight, "path", weight.name)]
    assert next(weight.shape[2] for weight in own if len(weight.shape) == 4) == 32
    kernels = {name: used.get_layer(name) for name in ("skip_16_conv", "skip_8_conv")}
    before = np.asarray(used(image))
    for name, layer in kernels.items():
        layer.set_weights([np.zeros_like(values) for values in layer.get_weights()])
        after = np.asarray(used(image))
        assert np.abs(after - before).max() > 1e-3, name
        before = after


def test_skips_keep_any_size_and_models_without_them_have_no_such_layers() -> None:
    model = _build(skip_strides=(8, 16))
    call = tf.function(model, input_signature=[tf.TensorSpec((None, None, None, 3))], autograph=False)
    for height, width in ((97, 131), (33, 50)):
        image = IMAGE[:, :height, :width]
        logits = np.asarray(call(image))
        assert logits.shape == (2, height, width, 5)
        np.testing.assert_allclose(logits, np.asarray(model(image)), rtol=0, atol=1e-3 * logits.std())
    names = [layer.name for layer in _kept().layers]
    assert not [name for name in names if name.startswith("skip")]


def test_without_the_head_one_model_is_trained_and_used() -> None:
    trained, used = models.build_training(models.ModelSpec(**SMALL), 5)
    assert trained is used
