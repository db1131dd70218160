"""The specification of a trial: model, loss, data, training, evaluation, placement, seed. It is validated at once.

A *cell* is what a benchmark compares. Its hash covers all fields that change the distribution of the result. Seeds,
placement, evaluation views and retention are left out, so that a cell means the same on a laptop and on a cluster.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

import losses
from bench.core import WEIGHTS_FILE, UsageError, first_fault, nearest, own_code
from bench.spec.augmentation import AugmentationPolicy
from bench.spec.augmentation import named as named_policies
from bench.spec.base import Spec, added_later, identity, outside_cell
from bench.spec.rules import RULES
from bench.spec.views import ViewSpec
from models import ModelSpec

UntilMetric = Literal["miou", "mean_dice", "pixel_accuracy", "mean_image_iou", "boundary_iou"]
OptimizerName = Literal["adam", "adamw", "sgd", "lamb", "rectified_adam", "novograd"]
Precision = Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]


class LossSpec(Spec):
    """A loss by its registered name, or as `package.module:Class`, with parameters of its constructor.

    `BY_NAME` lists the parameters that may be the name of a rule (see `losses.core.class_weights`).
    """

    BY_NAME: ClassVar[dict[str, tuple[str, ...]]] = {
        "class_weights": ("median_frequency", "enet", "effective_number"),
        "priors": ("train",),
    }

    name: str = "cross_entropy"
    """A registered loss, or `package.module:Class` of your own (docs/own-code.md)."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Parameters of its constructor, also as `loss.params.NAME`. `class_weights` and `priors` may be names of
    rules, which take them from the training labels."""
    calibrated: bool = added_later(False)
    """Divide the loss by its gradient scale, so that one learning rate suits all losses."""

    @field_validator("params")
    @classmethod
    def _numbers(cls, params: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        name = info.data.get("name")
        if own_code.is_own(name):  # its defaults are not known before it is imported
            return {key: _exponent(value) for key, value in params.items()}
        known = losses.parameters(name) if name in losses.names() else {}
        return {key: _number(key, value) if _is_number(known.get(key)) else value for key, value in params.items()}

    @model_validator(mode="after")
    def _known(self) -> LossSpec:
        if own_code.is_own(self.name):
            own_code.reference(self.name)  # what the module holds is checked before the first trial
            return self
        if self.name not in losses.names():
            raise ValueError(f"unknown loss {self.name!r}{nearest(self.name, losses.names())}")
        known = losses.parameters(self.name)
        for key in self.params:
            if key not in known:
                raise ValueError(f"loss {self.name!r} has no parameter {key!r}{nearest(key, known)}")
        if self.params.get("from_logits") is False:
            raise ValueError("params.from_logits: models return logits; leave it out")
        if self.params.get("reduction", "sum_over_batch_size") != "sum_over_batch_size":
            raise ValueError("params.reduction: a training step is the mean over its images; leave it out")
        for key, choices in self.BY_NAME.items():
            if isinstance(value := self.params.get(key), str) and value not in choices:
                raise ValueError(f"params.{key}: {value!r} is not known{nearest(value, choices)}")
        return self


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _exponent(value: Any) -> Any:
    """Return a value, and the number that YAML 1.1 reads as text because it has no point, such as 1e-6."""
    return float(value) if isinstance(value, str) and re.fullmatch(r"[-+]?\d+[eE][-+]?\d+", value) else value


def _number(key: str, value: Any) -> int | float | None:
    """Return a parameter whose default is a number. YAML 1.1 reads 1e-6, which has no point, as text."""
    if _is_number(value) or value is None:  # None may have a meaning; else the loss refuses it
        return value  # type: ignore[no-any-return]
    with contextlib.suppress(ValueError):
        if isinstance(value, str):
            return float(value)
    raise ValueError(f"{key}: expected a number, got {value!r}")


class DataSpec(Spec):
    """A data set and how its images reach the model.

    Evaluation scores at each label's own size. Policies are in bench/spec/policies.yaml, the rules of `pixel_weights`
    in bench/data/pixel_weights.py.
    """

    dataset: str = "scenes"
    """Name of a data set; `folder` for a folder of your own, `tfrecord` for shards."""
    root: str | None = outside_cell(None)
    """Folder of the data set, or its address in an object store, such as s3://bucket/folder."""
    name: str | None = None
    """Name of the set in cells and reports. Default: the name of its folder, else of the data set."""
    masks: str = "masks"
    """Folder of the masks, beside images/."""
    mask_values: Literal["auto", "ids", "binary", "colors"] = "auto"
    """What the values in masks mean. `auto` decides from the whole set."""
    on_error: Literal["stop", "skip"] = added_later("stop")
    """What a broken pair does: stop the run before training, or be left out."""
    size: int = Field(160, ge=32, le=4096)
    """Longest side of an image as the model sees it, in pixels, in training and evaluation."""
    crop: int = Field(128, ge=32, le=4096)
    """Side of the square crop for training, in pixels."""
    augment: str | AugmentationPolicy = "light"
    """Name of an augmentation policy, or the policy itself."""
    pixel_weights: Literal["none", "balanced", "frequency", "unet"] = added_later("none")
    """Rule for weights of the training pixels."""
    cache: Literal["auto", "memory", "disk"] = outside_cell("auto")
    """Where resized images are kept."""
    planned_root: str | None = outside_cell(None)
    """Where the folder lay when the run was planned, if elsewhere."""
    train_on: Literal["train", "trainval"] = added_later("train")
    """Images that are trained on: those of train, or those of train and val. With `trainval` nothing is scored during
    the training, and the last weights are scored on test alone."""
    train_limit: int | None = Field(None, ge=1)
    """Largest number of images for training; none: all."""
    val_limit: int | None = Field(None, ge=1)
    """Largest number of images for validation; none: all."""
    test_limit: int | None = Field(None, ge=1)
    """Largest number of images of the test split; none: all."""

    @model_validator(mode="before")
    @classmethod
    def _name(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and not values.get("name"):
            root = values.get("root")
            # Behind ? are the settings of the address of an object store.
            folder = (
                Path(root.partition("?")[0] if "://" in root else root).resolve().name
                if isinstance(root, str) and root
                else None
            )  # others are refused below
            values = {**values, "name": folder or values.get("dataset", "scenes")}
        return values

    @field_validator("augment", mode="before")
    @classmethod
    def _augment(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            try:
                return AugmentationPolicy.model_validate(value)
            except ValidationError as error:
                fault = first_fault(error)
                raise ValueError(f"{fault.place}: {fault.message}, got {fault.value!r}") from None
        if isinstance(value, str) and value not in named_policies():
            raise ValueError(f"unknown policy {value!r}{nearest(value, named_policies())}")
        return value

    @property
    def trained(self) -> tuple[str, ...]:
        """The names of the splits that are trained on."""
        return ("train", "val") if self.train_on == "trainval" else ("train",)

    @property
    def policy(self) -> AugmentationPolicy:
        """The augmentation policy that `augment` names or is."""
        return named_policies()[self.augment] if isinstance(self.augment, str) else self.augment


class TrainSpec(Spec):
    """Optimisation. The linear scaling of the learning rate is that of Goyal et al. (2017, arXiv 1706.02677)."""

    epochs: int = Field(4, ge=1)
    """Number of epochs. Validation and a checkpoint follow each of them."""
    steps_per_epoch: int = Field(30, ge=1)
    """Steps per epoch."""
    until: dict[UntilMetric, Annotated[float, Field(gt=0, le=1)]] | None = added_later(None, min_length=1, max_length=1)
    """A score on the validation split, such as `{miou: 0.6}`: the training ends at the first evaluation that reaches
    it. `epochs` is then the most that it may take; the learning rate falls as if it took all of them."""
    batch_size: int = Field(8, ge=1)
    """Images per step, split evenly over the replicas."""
    optimizer: OptimizerName = "adamw"
    """Optimiser. `rectified_adam` and `novograd` are of tensorflow-addons (Python 3.11)."""
    wrapper: Literal["none", "lookahead", "swa"] = "none"
    """Wrapper of tensorflow-addons around the optimiser: lookahead, or averaged weights (SWA)."""
    learning_rate: float = Field(1e-3, gt=0)
    """Highest learning rate, for a batch of 8. It scales linearly with the batch."""
    backbone_rate: float = added_later(1.0, gt=0, le=1)
    """Share of the learning rate that the backbone gets, such as 0.1 for one that was trained before."""
    weight_decay: float = Field(1e-4, ge=0)
    """Decay of kernels per step, relative to the learning rate. Adam has none."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum of SGD."""
    schedule: Literal["constant", "polynomial", "cosine", "exponential"] = "polynomial"
    """How the learning rate falls after the warm-up."""
    power: float = Field(0.9, gt=0)
    """Exponent of the polynomial schedule."""
    final: float = added_later(0.01, gt=0, le=1)
    """Share of the learning rate that an exponential schedule leaves at the end."""
    warmup: float = Field(0.1, ge=0, lt=1)
    """Share of all steps in which the learning rate rises from zero."""
    ema: float = added_later(0.0, ge=0, lt=1)
    """Momentum of an exponential moving average of the weights, such as 0.99, which is evaluated and kept in place
    of them; 0: there is none. In update t it is at most (1 + t) / (10 + t)."""
    precision: Precision = "auto"
    """Precision of the computation. `auto` follows the devices (bench/plan/precision.yaml)."""
    freeze: Literal["none", "backbone"] = "none"
    """What is not trained."""
    freeze_for: float = added_later(1.0, gt=0, le=1)
    """Share of the steps, rounded to whole epochs, for which `freeze` holds; then the backbone is trained, too. While
    it is frozen, its batch normalisation is as in inference."""
    smaller_crops: tuple[tuple[Annotated[float, Field(gt=0, lt=1)], Annotated[int, Field(ge=32, le=4096)]], ...] = (
        added_later(())
    )
    """Smaller crops at the beginning: pairs of a share of the steps, rounded to whole epochs, and the side of the crops
    up to there in pixels, such as `[[0.3, 96], [0.6, 128]]`. Behind the last, crops have `data.crop`."""
    init_from: str | None = None
    """A weights file, or the folder of an earlier trial, from which training starts."""
    jit_compile: bool = outside_cell(False)
    """Compile the step with XLA."""
    steps_per_execution: int = outside_cell(1, ge=1)
    """Steps per call of the compiled function. It divides `steps_per_epoch`."""
    eager: bool = outside_cell(False)
    """Do not compile steps, and check every label. Slow, for debugging."""
    deterministic: bool = outside_cell(False)
    """Equal seeds give equal bits on one machine. Slower."""

    @property
    def steps(self) -> int:
        """The number of steps."""
        return self.epochs * self.steps_per_epoch

    @property
    def batch_norm_momentum(self) -> float:
        """The momentum of batch normalisation that fits the number of steps, for `model.batch_norm_momentum: auto`.

        The running statistics look back over a twentieth of the steps, at least 5 and at most 100 steps. So a training
        of 200 steps has 0.9, and one of 2000 or more 0.99, which is Keras's default.

        >>> TrainSpec(epochs=4, steps_per_epoch=50).batch_norm_momentum
        0.9
        """
        return round(1 - 1 / min(max(self.steps / 20, 5), 100), 4)

    @model_validator(mode="after")
    def _whole_executions(self) -> TrainSpec:
        if self.steps_per_epoch % self.steps_per_execution:
            raise ValueError(
                f"steps_per_execution {self.steps_per_execution} does not divide steps_per_epoch {self.steps_per_epoch}"
            )
        return self


class EvalSpec(Spec):
    """What is measured and kept beside training. None of it changes what is trained.

    Each view has its own mIoU and images/s in the record. For `published` see bench/trial/legacy_iou.py.
    """

    batch_size: int = outside_cell(16, ge=1)
    """Images per batch of the evaluation."""
    target_miou: float | None = outside_cell(None, gt=0, le=1)
    """Validation mIoU; the record says when it was reached. The training goes on; `train.until` ends it."""
    pictures: int = outside_cell(6, ge=0, le=64)
    """Number of validation images whose label maps are kept for the report."""
    keep_checkpoint: Literal["best", "last", "none"] = outside_cell("best")
    """Which weights are reported and kept: of the best validation epoch, or of the last. `none`: the last are
    reported, none are kept."""
    window_steps: int = outside_cell(10, ge=1)
    """Steps per window of the measurement of speed."""
    views: tuple[ViewSpec, ...] = outside_cell(())
    """Further evaluations of the reported weights."""
    published: bool = outside_cell(False)
    """Also compute the numbers that three earlier projects published as IoU."""
    metrics: tuple[str, ...] = outside_cell(())
    """Further metrics of your own: `package.module:function` of the confusion matrix (docs/own-code.md)."""

    @field_validator("metrics")
    @classmethod
    def _references(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            own_code.reference(name)
        return names

    @model_validator(mode="after")
    def _distinct(self) -> EvalSpec:
        names = ["default", *(view.name for view in self.views)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"views: {', '.join(twice)} occurs twice (the view default is always included)")
        return self


class Placement(Spec):
    """Devices of one trial: whole GPUs, or logical CPU devices. Grids that measure time need `exclusive_node`."""

    hosts: int = outside_cell(1, ge=1, le=256)
    """Hosts that train one trial together, each with `gpus` GPUs (Keras 2 alone, docs/cluster.md)."""
    gpus: Annotated[int, Field(ge=0)] = outside_cell(0)
    """GPUs per trial, all of one node; with several hosts, GPUs per host."""
    cpus: Annotated[int, Field(ge=1)] | None = outside_cell(None)
    """CPUs per trial. The plan sets it: the trial's share of its node."""
    cpu_replicas: int = outside_cell(1, ge=1, le=8)
    """Logical CPU devices per trial, to exercise replication without a GPU."""
    exclusive_node: bool = outside_cell(False)
    """Give the trial all CPUs of its node, so that nothing else runs there."""
    accelerator: str | None = outside_cell(None, min_length=1)
    """Kind of GPU, as a Ray cluster names it, such as H100 or A100-40G; none for any."""

    @property
    def replicas(self) -> int:
        """The number of replicas on all hosts: one per GPU, or per logical CPU device."""
        return self.hosts * (self.gpus or self.cpu_replicas)


class TrialSpec(Spec):
    """Everything that one trial needs. Equal specs give equal trials."""

    model: ModelSpec = ModelSpec()
    """The model."""
    loss: LossSpec = LossSpec()
    """The loss."""
    data: DataSpec = DataSpec()  # type: ignore[call-arg]
    """The data."""
    train: TrainSpec = TrainSpec()  # type: ignore[call-arg]
    """Optimisation."""
    eval: EvalSpec = EvalSpec()
    """What is measured and kept."""
    placement: Placement = Placement()
    """Devices."""
    seed: int = outside_cell(0, ge=0)
    """Seed of weights, order and augmentation. A run sets it: 0, 1, and so on."""
    own_code: dict[str, str] = added_later({})
    """Hashes of code of your own, by reference; set when a spec is made (docs/own-code.md)."""

    @model_validator(mode="after")
    def _sources(self) -> TrialSpec:
        # Of code that is named already, the hash is kept: that is the code with which the trial was planned.
        hashes = {name: self.own_code.get(name) or own_code.source(name).digest for name in self.references}
        self.__dict__["own_code"] = hashes
        return self

    @model_validator(mode="after")
    def _momentum(self) -> TrialSpec:
        if self.model.batch_norm_momentum == "auto":  # a number from here on: cells that train alike are one
            number = {"batch_norm_momentum": self.train.batch_norm_momentum}
            self.__dict__["model"] = self.model.model_copy(update=number)
        return self

    @property
    def references(self) -> list[str]:
        """The names in this spec that mean code of the user's own."""
        names = (self.loss.name, self.model.backbone, self.model.head, *self.eval.metrics)
        return [name for name in dict.fromkeys(names) if own_code.is_own(name)]

    @model_validator(mode="after")
    def _consistent(self) -> TrialSpec:
        for broken in (rule(self) for rule in RULES):
            if broken:
                raise ValueError(broken)
        return self

    @property
    def target(self) -> tuple[str, float] | None:
        """The score to reach on the validation split, as (metric, value); None if there is none."""
        if self.train.until:
            return next((str(metric), value) for metric, value in self.train.until.items())
        return None if self.eval.target_miou is None else ("miou", self.eval.target_miou)

    def model_copy(self, **changes: Any) -> TrialSpec:
        """Return a copy with changes, whose cell is computed again."""
        made = super().model_copy(**changes)
        made.__dict__.pop("cell", None)
        return made

    @cached_property
    def cell(self) -> str:
        """Twelve hexadecimal digits, equal for trials that differ only in seed, placement, evaluation or retention."""
        made = identity(self)
        hashes = made.pop("own_code", {})  # without those of metrics, which change nothing that is trained
        if trained := {name: digest for name, digest in hashes.items() if name not in self.eval.metrics}:
            made["own_code"] = trained
        text = json.dumps(made, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def initial_weights(source: str) -> Path:
    """Return the weights file that `train.init_from` names: a file, or the weights in an earlier trial's folder.

    Raises:
        UsageError: there is no such file.
    """
    path = Path(source).expanduser()
    path = path / WEIGHTS_FILE if path.is_dir() else path
    if not path.is_file():
        raise UsageError(f"train.init_from: no weights at {path}; give a .weights.h5 file or a trial's folder")
    return path
