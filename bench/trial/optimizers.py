"""Optimisers and learning-rate schedules by name, for Keras 2 and Keras 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from bench.core import KERAS_3
from bench.spec import TrainSpec, check_available, steps_before_release

REFERENCE_BATCH = 8
"""The global batch that `train.learning_rate` is meant for."""
_NOT_DECAYED = ["bias", "gamma", "beta"]  # parts of a variable's name


@keras.utils.register_keras_serializable(package="segmentation_bench")
class WarmupDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up to `peak`, then decay.

    Polynomial decay is peak * (1 - t)^power, DeepLab's "poly" policy (Chen et al. 2017, arXiv 1606.00915); cosine is
    peak * (1 + cos(pi t)) / 2 (Loshchilov & Hutter 2016, arXiv 1608.03983); both end at zero. Exponential is
    peak * final^t. t runs from 0 to 1 after the warm-up.

    Args:
        peak: learning rate at the end of the warm-up.
        steps: optimiser steps of the whole run.
        warmup_steps: steps of the warm-up, fewer than `steps`.
        decay: "constant", "polynomial", "cosine" or "exponential".
        power: exponent of the polynomial.
        final: share of the peak at the end of the exponential.
    """

    def __init__(
        self, peak: float, steps: int, warmup_steps: int, decay: str, power: float, final: float = 0.01
    ) -> None:
        super().__init__()
        self._config: dict[str, Any] = {
            "peak": peak, "steps": steps, "warmup_steps": warmup_steps, "decay": decay, "power": power,
            "final": final,
        }  # fmt: skip

    def __call__(self, step: Any) -> tf.Tensor:
        config = self._config
        step = tf.cast(step, tf.float32)
        warm = tf.minimum(1.0, (step + 1.0) / max(1, config["warmup_steps"]))
        span = max(1, config["steps"] - config["warmup_steps"])
        t = tf.clip_by_value((step - config["warmup_steps"]) / span, 0.0, 1.0)
        if config["decay"] == "polynomial":
            decay = (1.0 - t) ** config["power"]
        elif config["decay"] == "cosine":
            decay = 0.5 * (1.0 + tf.cos(3.141592653589793 * t))
        elif config["decay"] == "exponential":
            decay = config["final"] ** t
        else:
            decay = tf.ones_like(t)
        return config["peak"] * warm * decay

    def get_config(self) -> dict[str, Any]:
        return dict(self._config)


class _Paced:
    """Gives the variables of a backbone a share of the learning rate, and an age of their own.

    The share holds for their updates and for their decay. The age is the number of steps that they have taken. It
    differs from that of the others if the backbone was frozen at first.
    """

    _backbone: frozenset[Any] = frozenset()
    _share = 1.0
    _released = 0

    def pace(self: Any, variables: Sequence[Any], share: float, released: int = 0) -> None:
        """Treat these variables in their own way. Call it before the first step.

        Args:
            variables: of the backbone.
            share: of the learning rate that they get, 0 to 1.
            released: number of the first step that changes them, counted from 0.
        """
        self._backbone, self._share, self._released = frozenset(map(self._var_key, variables)), share, released

    def age(self: Any, variable: Any) -> Any:
        """Return the number of steps that a variable has taken after this one, a scalar tensor of integers.

        Adam corrects its moments by it. With the steps of the whole training, moments that begin at zero late would be
        taken for settled ones. The second is the smaller one then, and updates are up to 6.6 times as large.
        """
        steps = self.iterations + 1
        if not self._released or self._var_key(variable) not in self._backbone:
            return steps
        return tf.maximum(steps - self._released, 1)  # float16 leaves out steps that overflow

    def share_of(self: Any, variable: Any) -> float:
        """Return the share of the learning rate that a variable gets."""
        return self._share if self._backbone and self._var_key(variable) in self._backbone else 1.0

    def scaled(self: Any, value: Any, variable: Any) -> Any:
        """Return a tensor times the share of a variable, without an operation if that is 1."""
        share = self.share_of(variable)
        return value if share == 1 else value * share

    def _use_weight_decay(self, variable: Any) -> bool:
        """Return whether Keras decays a variable, at the whole rate. That of the backbone is left to `update_step`."""
        return self.share_of(variable) == 1 and super()._use_weight_decay(variable)  # type: ignore[misc]

    def update_step(self: Any, gradient: Any, variable: Any, *rate: Any) -> None:
        """Update one variable. Keras 2 leaves the learning rate to the optimiser; Keras 3 passes it as `rate`."""
        share = self.share_of(variable)
        if share != 1 and self.weight_decay and super()._use_weight_decay(variable):  # type: ignore[misc]
            whole = tf.cast(rate[0] if rate else self.learning_rate, variable.dtype)
            variable.assign_sub(variable * whole * share * tf.cast(self.weight_decay, variable.dtype))
        super().update_step(gradient, variable, *rate)  # type: ignore[misc]


class _OneOperation:
    """Adam's update of a variable by TensorFlow's single operation for it, in place of a chain of elementwise ones.

    It equals Keras's update up to the rounding of 1 - beta_2, which is done in float32: 1.3e-5 of the second moment.
    The training step is traced faster and dispatches fewer operations (docs/speed.md).
    """

    age: Any
    amsgrad: bool
    beta_1: float
    beta_2: float
    epsilon: float
    learning_rate: Any
    scaled: Any
    _momentums: Any
    _velocities: Any

    def update_step(self, gradient: Any, variable: Any, *rate: Any) -> None:
        """Update one variable, see `_Paced`."""
        if isinstance(gradient, tf.IndexedSlices) or self.amsgrad:
            super().update_step(gradient, variable, *rate)  # type: ignore[misc]
            return
        dtype = variable.dtype
        first, second = self._moments(variable)
        beta_1, beta_2 = (tf.cast(beta, dtype) for beta in (self.beta_1, self.beta_2))
        step = tf.cast(self.age(variable), dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=first.handle,
            v=second.handle,
            beta1_power=tf.pow(beta_1, step),
            beta2_power=tf.pow(beta_2, step),
            lr=self.scaled(tf.cast(rate[0] if rate else self.learning_rate, dtype), variable),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=tf.cast(self.epsilon, dtype),
            grad=tf.cast(gradient, dtype),
        )

    def _moments(self: Any, variable: Any) -> tuple[tf.Variable, tf.Variable]:
        """Return first and second moment of a variable."""
        if KERAS_3:
            index = self._get_variable_index(variable)
            return self._momentums[index].value, self._velocities[index].value
        index = self._index_dict[self._var_key(variable)]
        return self._momentums[index], self._velocities[index]


@keras.utils.register_keras_serializable(package="segmentation_bench")
class Adam(_Paced, _OneOperation, keras.optimizers.Adam):
    """Adam (Kingma & Ba 2014, arXiv 1412.6980)."""


@keras.utils.register_keras_serializable(package="segmentation_bench")
class AdamW(_Paced, _OneOperation, keras.optimizers.AdamW):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2017, arXiv 1711.05101)."""


class _ByGradient:
    """SGD's update with a share of the learning rate. It is linear in the gradient, which takes the share."""

    scaled: Any

    def update_step(self, gradient: Any, variable: Any, *rate: Any) -> None:
        """Update one variable, see `_Paced`."""
        super().update_step(self.scaled(gradient, variable), variable, *rate)  # type: ignore[misc]


@keras.utils.register_keras_serializable(package="segmentation_bench")
class Sgd(_Paced, _ByGradient, keras.optimizers.SGD):
    """Stochastic gradient descent with momentum (Polyak 1964)."""


if KERAS_3:

    @keras.utils.register_keras_serializable(package="segmentation_bench")
    class Lamb(keras.optimizers.Lamb):
        """LAMB as published and as in tensorflow-addons (You et al. 2019, arXiv 1904.00962).

        The decay is part of the update whose norm is compared. Biases and normalisation are neither decayed nor
        rescaled. Keras's own LAMB decays outside the update and rescales all variables, so that a bias that starts at
        zero hardly moves.
        """

        def __init__(self, learning_rate: Any, decay: float, **kwargs: Any) -> None:
            super().__init__(learning_rate, **kwargs)
            self._decay = decay

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            index = self._get_variable_index(variable)
            spared, dtype = _spared(self._trainable_variables[index]), variable.dtype
            first, second = self._momentums[index], self._velocities[index]
            gradient, step = tf.cast(gradient, dtype), tf.cast(self.iterations + 1, dtype)
            self.assign(first, self.beta_1 * first + (1 - self.beta_1) * gradient)
            self.assign(second, self.beta_2 * second + (1 - self.beta_2) * tf.square(gradient))
            mean, square = first / (1 - self.beta_1**step), second / (1 - self.beta_2**step)
            update = mean / (tf.sqrt(square) + self.epsilon)
            ratio = tf.ones((), dtype)
            if not spared:
                value = tf.convert_to_tensor(variable)
                update += self._decay * value
                norms = tf.norm(value), tf.norm(update)
                ratio = tf.where((norms[0] > 0) & (norms[1] > 0), tf.math.divide_no_nan(*norms), ratio)
            self.assign_sub(variable, tf.cast(learning_rate, dtype) * ratio * update)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "decay": self._decay}

    @keras.utils.register_keras_serializable(package="segmentation_bench")
    class LossScale(keras.optimizers.LossScaleOptimizer):
        """Loss scaling that skips a step if the gradients of any replica overflow.

        Keras checks those of the first replica only, as if they were summed already; but the inner optimiser sums them
        later.
        """

        def check_finite(self, grads: Any) -> tf.Tensor:
            finite = super().check_finite(grads)
            context = tf.distribute.get_replica_context()
            if context is None or context.num_replicas_in_sync == 1:
                return finite
            return context.all_reduce(tf.distribute.ReduceOp.SUM, 1 - tf.cast(finite, tf.int32)) == 0


def learning_rate(train: TrainSpec) -> WarmupDecay:
    """Return the learning-rate schedule of a trial. Its peak scales linearly with the global batch."""
    steps = train.epochs * train.steps_per_epoch
    peak = train.learning_rate * train.batch_size / REFERENCE_BATCH
    return WarmupDecay(peak, steps, round(train.warmup * steps), train.schedule, train.power, train.final)


def build(train: TrainSpec, backbone: Sequence[Any] = ()) -> keras.optimizers.Optimizer:
    """Return the optimiser of a trial. Adam has no weight decay; the others do not decay normalisation and biases.

    Args:
        train: section of the spec.
        backbone: the variables that `train.backbone_rate` and `train.freeze_for` are meant for; they exist already.

    Raises:
        UsageError: the installed packages lack it.
    """
    check_available(train)
    rate = learning_rate(train)
    if train.wrapper != "none" and train.optimizer in ("adam", "sgd"):
        base = _legacy(train, rate)
    elif train.optimizer == "adam":
        base = Adam(rate)
    elif train.optimizer == "adamw":
        base = AdamW(rate, weight_decay=train.weight_decay)
    elif train.optimizer == "sgd":
        base = Sgd(rate, momentum=train.momentum, weight_decay=train.weight_decay or None)
    elif train.optimizer == "lamb" and KERAS_3:
        base = Lamb(rate, train.weight_decay)
    else:
        base = _from_addons(train, rate)
    if isinstance(base, keras.optimizers.Optimizer):
        base.exclude_from_weight_decay(var_names=_NOT_DECAYED)
        if not KERAS_3:  # Keras 2 turns it on if there is a GPU: one XLA program per variable
            base.jit_compile = False
    released = steps_before_release(train)
    if train.backbone_rate != 1 or released:  # rules of the spec leave only optimisers that know it
        base.pace(backbone, train.backbone_rate, released)
    base = _wrap(base, train)
    return LossScale(base) if KERAS_3 and train.precision == "mixed_float16" else base


def make_variables(optimizer: Any, variables: Sequence[Any]) -> None:
    """Create the optimiser's variables now, because a training step that creates them is traced twice.

    Call it in the scope of the distribution strategy. It does nothing if the variables exist; Keras 3's loss scaling
    would create them a second time.
    """
    if getattr(optimizer, "built", False):
        return
    make = getattr(optimizer, "build", None) or optimizer._create_all_weights  # the name in Keras's older kind
    make(variables)


def average_weights(optimizer: Any, variables: Sequence[Any]) -> None:
    """Set the variables to their averages, which the optimiser SWA has kept."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # in half precision a loss-scaling optimiser wraps it
    inner.assign_average_vars(variables)


def _legacy(train: TrainSpec, rate: WarmupDecay) -> Any:
    """Return an optimiser of Keras's legacy API, the only kind that the wrappers of tensorflow-addons take."""
    if train.optimizer == "adam":
        return keras.optimizers.legacy.Adam(rate)
    return _decoupled(keras.optimizers.legacy.SGD)(rate, momentum=train.momentum, decoupled_decay=train.weight_decay)


def _from_addons(train: TrainSpec, rate: WarmupDecay) -> Any:
    """Return an optimiser of tensorflow-addons."""
    addons = _addons()
    if train.optimizer == "lamb":
        return addons.LAMB(rate, weight_decay=train.weight_decay, exclude_from_weight_decay=_NOT_DECAYED)
    if train.optimizer == "rectified_adam":
        return _decoupled(addons.RectifiedAdam)(rate, decoupled_decay=train.weight_decay)
    return _sparing(addons.NovoGrad)(rate, weight_decay=train.weight_decay)


def _spared(variable: Any) -> bool:
    """Return whether a variable is not decayed: a bias or a parameter of normalisation."""
    return any(part in variable.name for part in _NOT_DECAYED)


def _decoupled(kind: Any) -> Any:
    """Return a legacy optimiser class that subtracts rate * decay * kernel per step, as Keras's newer optimisers do."""

    class Decoupled(kind):
        def __init__(self, *args: Any, decoupled_decay: float, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._decoupled_decay = decoupled_decay

        def _resource_apply_dense(self, grad: Any, var: Any, apply_state: Any = None) -> Any:
            if self._decoupled_decay and not _spared(var):
                var.assign_sub(self._decayed_lr(var.dtype.base_dtype) * self._decoupled_decay * var)
            return super()._resource_apply_dense(grad, var, apply_state)

    return Decoupled


def _sparing(kind: Any) -> Any:
    """Return a NovoGrad class that decays kernels only.

    The decay is part of the normalised gradient (Ginsburg et al. 2019, arXiv 1905.11286).
    """

    class Sparing(kind):
        _spares = False

        def _resource_apply_dense(self, grad: Any, var: Any, apply_state: Any = None) -> Any:
            self._spares = _spared(var)
            return super()._resource_apply_dense(grad, var, apply_state)

        def _get_hyper(self, name: str, dtype: Any = None) -> Any:
            found = super()._get_hyper(name, dtype)
            return tf.zeros_like(found) if name == "weight_decay" and self._spares else found

    return Sparing


def _wrap(base: Any, train: TrainSpec) -> Any:
    """Return an optimiser inside the wrapper that the spec names. SWA averages over the last quarter of the steps."""
    if train.wrapper == "lookahead":
        return _addons().Lookahead(base)
    if train.wrapper == "swa":
        last_quarter = train.epochs * train.steps_per_epoch * 3 // 4
        return _addons().SWA(base, start_averaging=last_quarter, average_period=max(1, train.steps_per_epoch // 4))
    return base


def _addons() -> Any:
    """Import the optimisers of tensorflow-addons without their warning."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its end-of-life notice, on every import
        from tensorflow_addons import optimizers
    return optimizers
