"""The specification of a trial: model, loss, data, training, evaluation, placement, seed. It is validated at once.

A *cell* is what a benchmark compares. Its hash covers all fields that change the distribution of the result. Seeds,
placement, evaluation views and retention are left out, so that a cell means the same on a laptop and on a cluster.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

import losses
from bench.core import WEIGHTS_FILE, UsageError, first_fault, nearest
from bench.spec.augmentation import AugmentationPolicy
from bench.spec.augmentation import named as named_policies
from bench.spec.base import Spec, added_later, identity, outside_cell
from bench.spec.rules import RULES
from bench.spec.views import ViewSpec
from models import ModelSpec

OptimizerName = Literal["adam", "adamw", "sgd", "lamb", "rectified_adam", "novograd"]
Precision = Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]


class LossSpec(Spec):
    """A loss by its registered name, with parameters of its constructor.

    Class weights and priors may be given by name (see `BY_NAME`). The trial then computes them from the training labels
    (see `losses.core.class_weights`). With `calibrated` the loss is divided by its gradient scale before training, so
    that one learning rate suits all losses.
    """

    BY_NAME: ClassVar[dict[str, tuple[str, ...]]] = {
        "class_weights": ("median_frequency", "enet", "effective_number"),
        "priors": ("train",),
    }

    name: str = "cross_entropy"
    params: dict[str, Any] = Field(default_factory=dict)
    calibrated: bool = added_later(False)

    @field_validator("params")
    @classmethod
    def _numbers(cls, params: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        name = info.data.get("name")
        known = losses.parameters(name) if name in losses.names() else {}
        return {key: _number(key, value) if _is_number(known.get(key)) else value for key, value in params.items()}

    @model_validator(mode="after")
    def _known(self) -> LossSpec:
        if self.name not in losses.names():
            raise ValueError(f"unknown loss {self.name!r}{nearest(self.name, losses.names())}")
        known = losses.parameters(self.name)
        for key in self.params:
            if key not in known:
                raise ValueError(f"loss {self.name!r} has no parameter {key!r}{nearest(key, known)}")
        if self.params.get("from_logits") is False:
            raise ValueError("params.from_logits: models give logits here; leave it out")
        if self.params.get("reduction", "sum_over_batch_size") != "sum_over_batch_size":
            raise ValueError("params.reduction: a training step is the mean over its images; leave it out")
        for key, choices in self.BY_NAME.items():
            if isinstance(value := self.params.get(key), str) and value not in choices:
                raise ValueError(f"params.{key}: {value!r} is not known{nearest(value, choices)}")
        return self


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(key: str, value: Any) -> int | float | None:
    """Return a parameter whose default is a number. YAML 1.1 reads 1e-6, which has no point, as text."""
    if _is_number(value) or value is None:  # None may have a meaning; else the loss refuses it
        return value  # type: ignore[no-any-return]
    with contextlib.suppress(ValueError):
        if isinstance(value, str):
            return float(value)
    raise ValueError(f"{key}: a number is wanted, got {value!r}")


class DataSpec(Spec):
    """A data set and how its images reach the model.

    `size` is the longest side in pixels to which images are scaled, in training and evaluation. `crop` is the side in
    pixels of the square crop that is cut from that for training. Evaluation scores at each label's own size. `augment`
    is the name of a policy (bench/spec/policies.yaml) or the policy itself. For `pixel_weights` see
    `bench.data.pixel_weights`.
    """

    dataset: str = "scenes"
    root: str | None = outside_cell(None)
    name: str | None = None
    masks: str = "masks"
    mask_values: Literal["auto", "ids", "binary", "colors"] = "auto"
    on_error: Literal["stop", "skip"] = added_later("stop")
    size: int = Field(160, ge=32, le=4096)
    crop: int = Field(128, ge=32, le=4096)
    augment: str | AugmentationPolicy = "light"
    pixel_weights: Literal["none", "balanced", "frequency", "unet"] = added_later("none")
    cache: Literal["auto", "memory", "disk"] = outside_cell("auto")
    planned_root: str | None = outside_cell(
        None, description="where the folder lay when the run was planned, if elsewhere"
    )
    train_limit: int | None = Field(None, ge=1)
    val_limit: int | None = Field(None, ge=1)
    test_limit: int | None = Field(None, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _name(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and not values.get("name"):
            root = values.get("root")
            folder = Path(root).resolve().name if isinstance(root, str) and root else None  # others are refused below
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
    def policy(self) -> AugmentationPolicy:
        """The augmentation policy that `augment` names or is."""
        return named_policies()[self.augment] if isinstance(self.augment, str) else self.augment


class TrainSpec(Spec):
    """Optimisation.

    `learning_rate` is that of a global batch of 8 and scales linearly with the batch (Goyal et al. 2017,
    arXiv 1706.02677). `warmup` is a share of the whole run, and the decay takes the rest. With `eager` steps are not
    compiled: this is slow, but every label is checked and a debugger can step.
    """

    epochs: int = Field(4, ge=1)
    steps_per_epoch: int = Field(30, ge=1)
    batch_size: int = Field(8, ge=1, description="global batch, split evenly over the replicas")
    optimizer: OptimizerName = "adamw"
    wrapper: Literal["none", "lookahead", "swa"] = "none"
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0, description="of kernels; adam has none")
    momentum: float = Field(0.9, ge=0, lt=1)
    schedule: Literal["constant", "polynomial", "cosine", "exponential"] = "polynomial"
    power: float = Field(0.9, gt=0)
    final: float = added_later(0.01, gt=0, le=1, description="share of the rate left by an exponential schedule")
    warmup: float = Field(0.1, ge=0, lt=1, description="share of all steps")
    precision: Precision = "auto"
    freeze: Literal["none", "backbone"] = "none"
    init_from: str | None = None
    jit_compile: bool = outside_cell(False)
    steps_per_execution: int = outside_cell(1, ge=1)
    eager: bool = outside_cell(False)
    deterministic: bool = outside_cell(False, description="equal seeds give equal bits on one machine; slower")

    @model_validator(mode="after")
    def _whole_executions(self) -> TrainSpec:
        if self.steps_per_epoch % self.steps_per_execution:
            raise ValueError(
                f"steps_per_execution {self.steps_per_execution} does not divide steps_per_epoch {self.steps_per_epoch}"
            )
        return self


class EvalSpec(Spec):
    """What is measured and kept beside training. None of it changes what is trained.

    `views` are further evaluations of the reported weights, each with its own mIoU and images/s in the record.
    `published` adds the numbers that three earlier projects published as IoU (`bench.trial.legacy_iou`).
    """

    batch_size: int = outside_cell(16, ge=1)
    target_miou: float | None = outside_cell(None, gt=0, le=1)
    pictures: int = outside_cell(6, ge=0, le=64)
    keep_checkpoint: Literal["best", "last", "none"] = outside_cell("best")
    window_steps: int = outside_cell(10, ge=1)
    views: tuple[ViewSpec, ...] = outside_cell(())
    published: bool = outside_cell(False)

    @model_validator(mode="after")
    def _distinct(self) -> EvalSpec:
        names = ["default", *(view.name for view in self.views)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"views: {', '.join(twice)} stands twice (the view default is always there)")
        return self


class Placement(Spec):
    """Devices of one trial: whole GPUs, or logical CPU devices to exercise replication without a GPU.

    With `exclusive_node` the trial gets all CPUs of its node, so that nothing else runs there. Grids that measure time
    need this.
    """

    gpus: Annotated[int, Field(ge=0)] = outside_cell(0)
    cpus: Annotated[int, Field(ge=1)] | None = outside_cell(None)
    cpu_replicas: int = outside_cell(1, ge=1, le=8)
    exclusive_node: bool = outside_cell(False)

    @property
    def replicas(self) -> int:
        """The number of replicas: one per GPU, or per logical CPU device."""
        return self.gpus or self.cpu_replicas


class TrialSpec(Spec):
    """Everything that one trial needs. Equal specs give equal trials."""

    model: ModelSpec = ModelSpec()
    loss: LossSpec = LossSpec()
    data: DataSpec = DataSpec()  # type: ignore[call-arg]
    train: TrainSpec = TrainSpec()  # type: ignore[call-arg]
    eval: EvalSpec = EvalSpec()
    placement: Placement = Placement()
    seed: int = outside_cell(0, ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> TrialSpec:
        for broken in (rule(self) for rule in RULES):
            if broken:
                raise ValueError(broken)
        return self

    def model_copy(self, **changes: Any) -> TrialSpec:
        """Return a copy with changes, whose cell is computed again."""
        made = super().model_copy(**changes)
        made.__dict__.pop("cell", None)
        return made

    @cached_property
    def cell(self) -> str:
        """Twelve hexadecimal digits, equal for trials that differ only in seed, placement, evaluation or retention."""
        text = json.dumps(identity(self), sort_keys=True, separators=(",", ":"))
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
