"""Schedules by hand, and every optimiser the stack has goes downhill."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from bench.core import UsageError, keras_version
from bench.spec import TrainSpec
from bench.trial import make_variables
from bench.trial.optimizers import Adam, WarmupDecay, build, learning_rate

BOTH = ["adam", "adamw", "sgd", "lamb"]
ADDONS = ["rectified_adam", "novograd"]


def test_warm_up_then_polynomial_decay_to_zero():
    rate = WarmupDecay(peak=1.0, steps=110, warmup_steps=10, decay="polynomial", power=2.0)
    found = [float(rate(step)) for step in (0, 4, 9, 10, 60, 110)]
    np.testing.assert_allclose(found, [0.1, 0.5, 1.0, 1.0, 0.25, 0.0], atol=1e-6)


def test_cosine_is_half_way_at_half_time():
    rate = WarmupDecay(peak=2.0, steps=100, warmup_steps=0, decay="cosine", power=1.0)
    np.testing.assert_allclose([float(rate(step)) for step in (0, 50, 100)], [2.0, 1.0, 0.0], atol=1e-6)


def test_exponential_loses_the_same_share_in_the_same_time():
    rate = WarmupDecay(peak=1.0, steps=100, warmup_steps=0, decay="exponential", power=1.0, final=0.16)
    np.testing.assert_allclose([float(rate(step)) for step in (0, 50, 100)], [1.0, 0.4, 0.16], atol=1e-6)


def test_the_rate_scales_with_the_global_batch():
    small, large = (learning_rate(TrainSpec(batch_size=batch, schedule="constant", warmup=0)) for batch in (8, 32))
    assert float(large(5)) == pytest.approx(4 * float(small(5)))


def _final_loss(train):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="ones")])
    optimizer = build(train)
    model.compile(optimizer, "mse")
    x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
    y = x @ np.array([[0.2], [0.5], [-0.3]], "float32")
    before = model.evaluate(x, y, verbose=0)
    model.fit(x, y, batch_size=8, epochs=5, verbose=0)
    return before, model.evaluate(x, y, verbose=0)


@pytest.mark.parametrize("optimizer", BOTH + (ADDONS if keras_version.has_addons() else []))
def test_every_optimizer_goes_downhill(optimizer):
    before, after = _final_loss(TrainSpec(epochs=5, steps_per_epoch=8, optimizer=optimizer, learning_rate=0.02))
    assert after < 0.9 * before


@pytest.mark.parametrize("wrapper", ["lookahead", "swa"] if keras_version.has_addons() else [])
def test_every_wrapper_goes_downhill(wrapper):
    train = TrainSpec(epochs=5, steps_per_epoch=8, optimizer="adam", wrapper=wrapper, learning_rate=0.02)
    before, after = _final_loss(train)
    assert after < 0.9 * before


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_one_operation_does_what_keras_does(name):
    """Three steps of gradients of very different sizes: the same kernel and moments as of Keras's own class."""
    train = TrainSpec(epochs=1, steps_per_epoch=10, optimizer=name, weight_decay=0.1, learning_rate=0.5)
    kind = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}[name]
    decay = {"weight_decay": 0.1} if name == "adamw" else {}
    draws = np.random.default_rng(0).normal(size=(3, 4, 5))
    found = []
    for optimizer in (build(train), kind(learning_rate(train), **decay)):
        assert isinstance(optimizer, kind)
        layer = keras.layers.Dense(5, kernel_initializer="ones", use_bias=False)
        layer.build((None, 4))
        make_variables(optimizer, layer.trainable_variables)
        for gradient in draws * [[[1.0]], [[1e-6]], [[1e3]]]:
            optimizer.apply_gradients([(tf.constant(gradient, tf.float32), layer.trainable_variables[0])])
        variables = optimizer.variables() if callable(optimizer.variables) else optimizer.variables
        found.append([np.asarray(layer.kernel), *(np.asarray(v) for v in variables if len(v.shape) == 2)])
    assert len(found[0]) == 3
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(
            ours, theirs, rtol=2e-5, atol=2e-5 * np.abs(theirs).max()
        )  # 1 - 0.999 is off by 1.3e-5


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_a_backbone_moves_as_with_a_learning_rate_of_its_own(name):
    """Its update and decay are those of a training at a tenth of the rate; the head's are those at the whole rate."""

    def trained(rate, **more):
        layers = [keras.layers.Dense(5, kernel_initializer="ones", bias_initializer="ones") for _ in range(2)]
        for layer in layers:
            layer.build((None, 4))
        variables = [variable for layer in layers for variable in layer.trainable_variables]
        train = TrainSpec(
            epochs=1, steps_per_epoch=10, optimizer=name, weight_decay=0.5, learning_rate=rate, schedule="constant",
            warmup=0, **more,
        )  # fmt: skip
        optimizer = build(train, layers[0].trainable_variables if more else ())
        make_variables(optimizer, variables)
        draws = np.random.default_rng(0)
        for _ in range(3):
            gradients = [tf.constant(draws.normal(size=v.shape), tf.float32) for v in variables]
            optimizer.apply_gradients(list(zip(gradients, variables, strict=True)))
        return [np.asarray(variable) for variable in variables]

    both, slow, fast = trained(0.2, backbone_rate=0.1), trained(0.02), trained(0.2)
    for found, wanted in zip(both, [*slow[:2], *fast[2:]], strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert not np.allclose(slow[0], fast[0], rtol=1e-2)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_a_backbone_that_is_released_late_begins_like_one_that_is_trained_from_the_start(name):
    """Its update at step 6 is that of a first step. With the age of the others Adam's would be half of it."""
    layers = [keras.layers.Dense(5, kernel_initializer="ones") for _ in range(2)]
    for layer in layers:
        layer.build((None, 4))
    late, head = ([*layer.trainable_variables] for layer in layers)
    train = TrainSpec(
        epochs=10, steps_per_epoch=1, optimizer=name, weight_decay=0.0, learning_rate=0.01, schedule="constant",
        warmup=0, freeze="backbone", freeze_for=0.5,
    )  # fmt: skip
    optimizer = build(train, late)
    make_variables(optimizer, [*late, *head])
    gradient = {id(variable): tf.fill(variable.shape, 0.5) for variable in (*late, *head)}
    moves = []
    for variables in [head] * 5 + [[*late, *head]]:
        before = np.asarray(late[0])
        optimizer.apply_gradients([(gradient[id(variable)], variable) for variable in variables])
        moves.append(float(np.abs(np.asarray(late[0]) - before).max()))
    first = 0.01 * 0.5 if name == "sgd" else 0.01  # Adam's first step is the rate in the direction of the sign
    np.testing.assert_allclose(moves, [0.0] * 5 + [first], rtol=1e-4)


def _operations(optimizer):
    layer = keras.layers.Dense(5)
    layer.build((None, 4))
    make_variables(optimizer, layer.trainable_variables)

    @tf.function(autograph=False)
    def step():
        optimizer.apply_gradients([(tf.ones(v.shape), v) for v in layer.trainable_variables])

    return [operation.type for operation in step.get_concrete_function().graph.get_operations()]


def test_it_is_one_operation_a_variable():
    ours, theirs = (_operations(kind(1e-3)) for kind in (Adam, keras.optimizers.Adam))
    assert ours.count("ResourceApplyAdam") == 2
    assert "Sqrt" not in ours
    assert "Sqrt" in theirs


def test_two_replicas_make_the_step_of_one_device():
    script = textwrap.dedent("""
        import keras, numpy as np, tensorflow as tf
        from bench.trial.optimizers import AdamW, build, make_variables
        from bench.spec import TrainSpec
        from bench.core import KERAS_3
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        images = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
        kernels = []
        lamb = TrainSpec(optimizer="lamb", learning_rate=0.1, weight_decay=0.01, warmup=0, schedule="constant")
        kinds = [lambda: AdamW(0.1, weight_decay=0.01), *([lambda: build(lamb)] if KERAS_3 else [])]
        for make, replicas in [(make, replicas) for make in kinds for replicas in (1, 2)]:
            strategy = tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(replicas)])
            with strategy.scope():
                layer = keras.layers.Dense(5, kernel_initializer="ones")
                layer.build((None, 4))
                optimizer = make()
                make_variables(optimizer, layer.trainable_variables)
            def replica(batch):
                with tf.GradientTape() as tape:
                    value = tf.reduce_sum(tf.square(layer(batch) - 1)) / 8
                variables = layer.trainable_variables
                optimizer.apply_gradients(zip(tape.gradient(value, variables), variables))
            step = tf.function(lambda batch: strategy.run(replica, args=(batch,)))
            for batch in strategy.experimental_distribute_dataset(tf.data.Dataset.from_tensor_slices(images).batch(8)):
                step(batch)
            kernels.append(np.asarray(layer.kernel))
        pairs = list(zip(kernels[::2], kernels[1::2]))
        print(max(np.abs(one - two).max() for one, two in pairs), min(np.abs(one - 1).max() for one, _ in pairs))

        # The second replica's gradients overflow, the first's do not.
        keras.mixed_precision.set_global_policy("mixed_float16")
        with strategy.scope():
            model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, kernel_initializer="ones")])
            model.compile(build(TrainSpec(precision="mixed_float16", schedule="constant")), "mse", jit_compile=False)
        spoilt = np.ones((4, 4), "float32")
        spoilt[2:] = 1e30
        def scale():
            held = model.optimizer
            return float(np.asarray(held.dynamic_scale if hasattr(held, "dynamic_scale") else held.loss_scale))
        for inputs in (spoilt, np.ones((4, 4), "float32")):
            model.fit(tf.data.Dataset.from_tensors((inputs, np.full((4, 1), 3.9, "float32"))), verbose=0)
            print(np.abs(model.get_weights()[0] - 1).max(), scale() / 2**15)
    """)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False,
        cwd=Path(__file__).parents[2], env={**os.environ, "KERAS_BACKEND": "tensorflow"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    apart, moved, skipped, halved, taken, kept = map(float, done.stdout.split()[-6:])
    assert apart < 1e-6
    assert moved > 0.1
    assert (skipped, halved) == (0, 0.5)
    assert 0 < taken < 0.1
    assert kept == 0.5


def _layer_after(steps, gradient, **train):
    """A layer with a kernel of ones and a bias of zero, after steps with these gradients."""
    layer = keras.layers.Dense(1, kernel_initializer="ones")
    layer.build((None, 2))
    optimizer = build(TrainSpec(epochs=1, steps_per_epoch=steps, schedule="constant", warmup=0, **train))
    make_variables(optimizer, layer.trainable_variables)
    for _ in range(steps):
        gradients = [tf.constant(gradient, tf.float32), tf.ones((1,))]
        optimizer.apply_gradients(zip(gradients, layer.trainable_variables, strict=True))
    return np.asarray(layer.kernel).ravel(), float(np.asarray(layer.bias)[0])


@pytest.mark.skipif(
    not (keras_version.KERAS_3 or keras_version.has_addons()), reason="LAMB is tensorflow-addons' or Keras 3's"
)
def test_lamb_rescales_and_decays_kernels_alone():
    # Adam's first step is the sign: u = (1, -1) + 0.1 w; w moves by rate |w| / |u| u, with |w| = 2 ** 0.5.
    kernel, _ = _layer_after(1, [[3.0], [-2.0]], optimizer="lamb", weight_decay=0.1, learning_rate=0.1)
    update = np.array([1.1, -0.9])
    np.testing.assert_allclose(kernel, 1 - 0.1 * 2**0.5 / np.linalg.norm(update) * update, rtol=1e-4)
    _, bias = _layer_after(10, [[1.0], [1.0]], optimizer="lamb", weight_decay=0.1, learning_rate=0.1)
    assert bias == pytest.approx(-1, rel=1e-3)  # ten steps of the rate; rescaled by its own size it would stay near 0


@pytest.mark.skipif(keras_version.KERAS_3, reason="the optimisers of Keras 3 know no XLA of their own")
def test_no_update_is_a_program_of_xla_on_a_machine_with_a_gpu(monkeypatch):
    monkeypatch.setattr(tf.compat.v2.config, "list_physical_devices", lambda kind=None: ["a GPU"])  # as Keras 2 asks
    assert keras.optimizers.Adam().jit_compile
    for optimizer in ("adam", "adamw", "sgd"):
        assert not build(TrainSpec(optimizer=optimizer)).jit_compile


def test_averaged_weights_get_statistics_of_their_own():
    from bench.trial.batch_norm import recalibrate

    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    with strategy.scope():
        frozen = keras.layers.BatchNormalization(momentum=0.99, trainable=False)
        model = keras.Sequential([keras.Input((2,)), frozen, keras.layers.BatchNormalization(momentum=0.99)])
    rng = np.random.default_rng(0)
    batches = tf.data.Dataset.from_tensor_slices(rng.normal(5, 2, (20, 64, 2)).astype("float32"))
    recalibrate(model, batches.map(lambda images: (images,)), strategy)
    *_, mean, variance = model.layers[-1].get_weights()
    np.testing.assert_allclose(mean, 5, atol=0.2)
    np.testing.assert_allclose(variance, 4, atol=0.5)
    assert model.layers[-1].momentum == 0.99
    np.testing.assert_array_equal(frozen.get_weights()[2:], [[0, 0], [1, 1]])


# What one step without a gradient leaves of a kernel of ones.
_DECAYED = {("adamw", "none"): 0.95, ("sgd", "none"): 0.95}  # 1 - rate * decay
_DECAYED |= {
    ("sgd", "lookahead"): 0.95, ("sgd", "swa"): 0.95, ("rectified_adam", "none"): 0.95, ("novograd", "none"): 0.95,
    ("adam", "swa"): 1.0,
} if keras_version.has_addons() else {}  # fmt: skip


@pytest.mark.parametrize(("optimizer", "wrapper"), _DECAYED)
def test_weight_decay_spares_biases_and_normalisation(optimizer, wrapper):
    dense = keras.layers.Dense(1, kernel_initializer="ones", bias_initializer="ones", name="d")
    norm = keras.layers.BatchNormalization(beta_initializer="ones", name="n")
    dense.build((None, 2))
    norm.build((None, 2))
    variables = [*dense.trainable_variables, *norm.trainable_variables]
    train = TrainSpec(
        epochs=1, steps_per_epoch=1, optimizer=optimizer, wrapper=wrapper, weight_decay=0.1, warmup=0, learning_rate=0.5
    )
    made = build(train)
    make_variables(made, variables)
    made.apply_gradients(zip([tf.zeros_like(tf.convert_to_tensor(v)) for v in variables], variables, strict=True))
    kernel, *others = [np.asarray(v) for v in variables]
    np.testing.assert_allclose(kernel, _DECAYED[optimizer, wrapper], rtol=1e-6)
    assert [float(value) for other in others for value in other.ravel()] == [1.0] * 5  # bias, gamma, beta


@pytest.mark.skipif(keras_version.has_addons(), reason="tensorflow-addons is installed on this stack")
@pytest.mark.parametrize("fields", [{"optimizer": "novograd"}, {"wrapper": "swa"}])
def test_what_the_stack_lacks_is_refused_by_name(fields):
    with pytest.raises(UsageError, match=r"tensorflow-addons, which ends at Python 3\.11"):
        build(TrainSpec(**fields))


@pytest.mark.skipif(not keras_version.has_addons(), reason="no tensorflow-addons on this stack")
def test_a_wrapper_around_what_it_cannot_wrap_is_refused():
    with pytest.raises(UsageError, match="cannot wrap 'adamw'"):
        build(TrainSpec(optimizer="adamw", wrapper="swa"))
