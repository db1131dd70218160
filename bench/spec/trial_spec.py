"""What a trial is: model, loss, data, training, evaluation, placement and seed, validated before anything runs.

A *cell* is what a benchmark compares: the hash of all fields that change the result in distribution. Seeds, placement,
evaluation views and retention stay out of it, so that a cell means the same on a laptop and on a cluster.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

import losses
from bench.core import WEIGHTS_FILE, UsageError, nearest
from bench.spec.augmentation import Policy
from bench.spec.augmentation import named as named_policies
from models import BACKBONES, OUTPUT_STRIDES, ModelSpec

OptimizerName = Literal["adam", "adamw", "sgd", "lamb", "rectified_adam", "novograd"]
Precision = Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]


def _aside(default: Any, **constraints: Any) -> Any:
    """A field that does not take part in the cell: where or how a trial runs, not what it measures."""
    return Field(default, json_schema_extra={"identity": False}, **constraints)


class Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class LossSpec(Spec):
    """A loss by its registered name, with parameters of its constructor.

    Class weights and priors may be names: the trial computes them from the training labels
    (see `losses.core.class_weights`).
    With `calibrated` the loss is divided by its gradient scale before training, so that one learning rate suits all.
    """

    BY_NAME: ClassVar[dict[str, tuple[str, ...]]] = {
        "class_weights": ("median_frequency", "enet", "effective_number"),
        "priors": ("train",),
    }

    name: str = "cross_entropy"
    params: dict[str, Any] = {}
    calibrated: bool = Field(False, json_schema_extra={"neutral": False})

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
    """A parameter whose default is a number; YAML 1.1 takes 1e-6, without a point, for text."""
    if _is_number(value) or value is None:  # none: no pixel is void, say; a loss that cannot do without one says so
        return value  # type: ignore[no-any-return]
    with contextlib.suppress(ValueError):
        if isinstance(value, str):
            return float(value)
    raise ValueError(f"{key}: a number is wanted, got {value!r}")


class DataSpec(Spec):
    """A data set and how its pictures reach the model.

    `size` is the longest side in pixels to which images are brought (training and evaluation alike), `crop` the square
    training crop cut from that. Evaluation scores at each label's own size. `augment` is a policy by name
    (bench/data/policies.yaml) or the policy itself; `pixel_weights` see bench.data.pixel_weights.
    """

    dataset: str = "scenes"
    root: str | None = _aside(None)
    name: str | None = None
    masks: str = "masks"
    mask_values: Literal["auto", "ids", "binary", "colors"] = "auto"
    on_error: Literal["stop", "skip"] = Field("stop", json_schema_extra={"neutral": "stop"})
    size: int = Field(160, ge=32, le=4096)
    crop: int = Field(128, ge=32, le=4096)
    augment: str | Policy = "light"
    pixel_weights: Literal["none", "balanced", "frequency", "unet"] = Field(
        "none", json_schema_extra={"neutral": "none"}
    )
    cache: Literal["auto", "memory", "disk"] = _aside("auto")
    planned_root: str | None = _aside(None, description="where the folder lay when the run was planned, if elsewhere")
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
                return Policy.model_validate(value)
            except ValidationError as error:
                fault = error.errors(include_url=False)[0]
                raise ValueError(
                    f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}, got {fault['input']!r}"
                ) from None
        if isinstance(value, str) and value not in named_policies():
            raise ValueError(f"unknown policy {value!r}{nearest(value, named_policies())}")
        return value

    @property
    def policy(self) -> Policy:
        """The augmentation policy that `augment` names or is."""
        return named_policies()[self.augment] if isinstance(self.augment, str) else self.augment


class TrainSpec(Spec):
    """Optimisation. `learning_rate` is meant for a global batch of 8 and scales linearly with it (Goyal et al. 2017,
    arXiv 1706.02677); warm-up and decay are shares of the whole run. With `eager` steps are not compiled: slow, but
    every label is checked and a debugger can step."""

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
    final: float = Field(
        0.01,
        gt=0,
        le=1,
        json_schema_extra={"neutral": 0.01},
        description="share of the rate left by an exponential schedule",
    )
    warmup: float = Field(0.1, ge=0, lt=1, description="share of all steps")
    precision: Precision = "auto"
    freeze: Literal["none", "backbone"] = "none"
    init_from: str | None = None
    jit_compile: bool = _aside(False)
    steps_per_execution: int = _aside(1, ge=1)
    eager: bool = _aside(False)
    deterministic: bool = _aside(False, description="equal seeds give equal bits on one machine; slower")

    @model_validator(mode="after")
    def _whole_executions(self) -> TrainSpec:
        if self.steps_per_epoch % self.steps_per_execution:
            raise ValueError(
                f"steps_per_execution {self.steps_per_execution} does not divide steps_per_epoch {self.steps_per_epoch}"
            )
        return self


class CRF(Spec):
    """Parameters of the dense CRF (`models.DenseCRF`); what is left out is as published, for pictures of 500 pixels."""

    iterations: int | None = Field(None, ge=1, description="updates")
    gaussian_sxy: float | None = Field(None, gt=0, description="width of the smoothness kernel, pixels")
    gaussian_compat: float | None = Field(None, ge=0, description="its weight")
    bilateral_sxy: float | None = Field(None, gt=0, description="width of the appearance kernel, pixels")
    bilateral_srgb: float | None = Field(None, gt=0, description="and in colour, grey levels")
    bilateral_compat: float | None = Field(None, ge=0, description="its weight")

    @property
    def chosen(self) -> dict[str, Any]:
        """The parameters that are given."""
        return self.model_dump(exclude_none=True)

    @property
    def name(self) -> str:
        """Such as `crf(bilateral_sxy=26)`."""
        values = ",".join(f"{name}={value:g}" for name, value in self.chosen.items())
        return f"crf({values})" if values else "crf"


class View(Spec):
    """A way to evaluate the trained weights; what is left out is as in training."""

    output_stride: int | None = None
    flip: bool = False
    scales: tuple[Annotated[float, Field(gt=0, le=4)], ...] = Field((1.0,), min_length=1)
    crf: CRF | None = Field(None, description="or true, for the CRF as published")

    @field_validator("crf", mode="before")
    @classmethod
    def _as_published(cls, value: Any) -> Any:
        return {True: {}, False: None}[value] if isinstance(value, bool) else value

    @model_validator(mode="after")
    def _known(self) -> View:
        if self.output_stride not in (None, *OUTPUT_STRIDES):
            raise ValueError(f"output_stride {self.output_stride}: known are {', '.join(map(str, OUTPUT_STRIDES))}")
        return self

    @property
    def plain(self) -> bool:
        """Whether one pass of the model is all there is."""
        return not self.flip and self.crf is None and self.scales == (1.0,)

    @property
    def name(self) -> str:
        """Such as `os16+flip+x0.5,1,1.5+crf`; `default` when nothing is chosen."""
        parts = [f"os{self.output_stride}"] if self.output_stride else []
        parts += ["flip"] if self.flip else []
        parts += [f"x{','.join(f'{scale:g}' for scale in self.scales)}"] if self.scales != (1.0,) else []
        return "+".join(parts + ([self.crf.name] if self.crf else [])) or "default"


class EvalSpec(Spec):
    """What is measured and kept beside training; none of it changes what is trained.

    `views` are further evaluations of the kept weights, each with its own mIoU and images/s in the record; `published`
    adds the numbers that three earlier projects published as IoU (`bench.trial.legacy_iou`).
    """

    batch_size: int = _aside(16, ge=1)
    target_miou: float | None = _aside(None, gt=0, le=1)
    pictures: int = _aside(6, ge=0, le=64)
    keep_checkpoint: Literal["best", "last", "none"] = _aside("best")
    window_steps: int = _aside(10, ge=1)
    views: tuple[View, ...] = _aside(())
    published: bool = _aside(False)

    @model_validator(mode="after")
    def _distinct(self) -> EvalSpec:
        names = ["default", *(view.name for view in self.views)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"views: {', '.join(twice)} stands twice (the view default is always there)")
        return self


class Placement(Spec):
    """Devices of one trial: whole GPUs, or logical CPU devices to exercise replication without a GPU.

    With `exclusive_node` it has all CPUs of its node, so that nothing else runs there: for grids that time.
    """

    gpus: Annotated[int, Field(ge=0)] = _aside(0)
    cpus: Annotated[int, Field(ge=1)] | None = _aside(None)
    cpu_replicas: int = _aside(1, ge=1, le=8)
    exclusive_node: bool = _aside(False)

    @property
    def replicas(self) -> int:
        return self.gpus or self.cpu_replicas


class TrialSpec(Spec):
    """Everything one trial needs; equal specs give equal trials."""

    model: ModelSpec = ModelSpec()
    loss: LossSpec = LossSpec()
    data: DataSpec = DataSpec()  # type: ignore[call-arg]
    train: TrainSpec = TrainSpec()  # type: ignore[call-arg]
    eval: EvalSpec = EvalSpec()
    placement: Placement = Placement()
    seed: int = _aside(0, ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> TrialSpec:
        replicas = self.placement.replicas
        if self.train.batch_size % replicas:
            raise ValueError(f"train.batch_size {self.train.batch_size} does not split over {replicas} replicas")
        if replicas > 1 and self.train.steps_per_execution > 1:
            raise ValueError("train.steps_per_execution > 1 fails under Keras 3 with several replicas; set it to 1")
        if replicas > 1 and self.train.jit_compile:
            raise ValueError("train.jit_compile cannot compile an all-reduce; turn it off or use one replica")
        if self.train.eager and (self.train.jit_compile or self.train.steps_per_execution > 1):
            raise ValueError("train.eager (--debug) goes with neither train.jit_compile nor train.steps_per_execution")
        if self.placement.gpus and self.placement.cpu_replicas > 1:
            raise ValueError("placement.cpu_replicas is for CPU trials; with placement.gpus leave it at 1")
        if self.train.freeze == "backbone" and self.model.architecture == "keras_cv":
            raise ValueError("train.freeze backbone works with model.architecture deeplabv3plus, not with keras_cv")
        if self.model.architecture == "keras_cv" and any(view.output_stride for view in self.eval.views):
            raise ValueError("eval.views: model.architecture keras_cv has one output stride; leave output_stride out")
        if BACKBONES[self.model.backbone].one_size and (
            self.data.crop != self.data.size or any(view.scales != (1.0,) for view in self.eval.views)
        ):
            raise ValueError(
                f"backbone {self.model.backbone!r} is another function at every size of image: set data.crop to "
                f"data.size, here {self.data.size}, and no scales in eval.views"
            )
        reached = BACKBONES[self.model.backbone].strides
        for view in self.eval.views:
            if view.output_stride and view.output_stride not in reached:
                raise ValueError(
                    f"eval.views: backbone {self.model.backbone!r} reaches output_stride "
                    f"{', '.join(map(str, reached))} only; received {view.output_stride}"
                )
        if self.data.crop > self.data.size * 2:
            raise ValueError(
                f"data.crop {self.data.crop} is more than twice data.size {self.data.size}: mostly padding"
            )
        return self

    def model_copy(self, **changes: Any) -> TrialSpec:
        """A copy with changes, which does not keep the cell of the original."""
        made = super().model_copy(**changes)
        made.__dict__.pop("cell", None)
        return made

    @cached_property
    def cell(self) -> str:
        """Twelve hexadecimal digits: equal for trials that differ in seed, placement, evaluation or retention only."""
        text = json.dumps(identity(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def initial_weights(source: str) -> Path:
    """The weights file that `train.init_from` means: a file, or the checkpoint in an earlier trial's folder.

    Raises:
        UsageError: nothing there.
    """
    path = Path(source).expanduser()
    path = path / WEIGHTS_FILE if path.is_dir() else path
    if not path.is_file():
        raise UsageError(f"train.init_from: no weights at {path}; give a .weights.h5 file or a trial's folder")
    return path


def identity(spec: BaseModel) -> dict[str, Any]:
    """The fields that make the cell. A field added after a release carries `neutral`, and is left out at that value, so
    that old cells keep their hash."""
    found: dict[str, Any] = {}
    for name, field in type(spec).model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        value = getattr(spec, name)
        if extra.get("identity") is False or ("neutral" in extra and value == extra["neutral"]):
            continue
        if isinstance(value, BaseModel):
            if part := identity(value):
                found[name] = part
        else:
            found[name] = list(value) if isinstance(value, tuple) else value
    return found


def parse(values: Mapping[str, Any], where: str) -> TrialSpec:
    """Validate a nested mapping into a TrialSpec.

    Args:
        values: sections and fields, as in a grid file.
        where: what to name as the place of a fault, a file or `--set`.

    Raises:
        UsageError: one line with the place, the path in the spec, the value and the nearest right name.
    """
    try:
        return TrialSpec.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"{where}: {_first_fault(error)}") from None


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    path = [str(part) for part in fault["loc"]]
    dotted = ".".join(path)
    if fault["type"] == "extra_forbidden":
        return f"unknown field {dotted!r}{nearest(dotted, fields_of(path[:-1]))}"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "value_error":
        return f"{dotted}: {message}" if dotted else message
    if fault["type"] == "literal_error":
        return f"{dotted}: {fault['input']!r} is not known{nearest(fault['input'], _choices(path))}"
    return f"{dotted}: {message}, got {fault['input']!r}"


def _annotation(path: list[str]) -> Any:
    found: Any = TrialSpec
    for part in path:
        field = getattr(found, "model_fields", {}).get(part)
        found = field.annotation if field else None
    return found


def fields_of(path: list[str]) -> list[str]:
    """Dotted names of the fields of a section, e.g. ['train'] -> ['train.epochs', ...]."""
    return [".".join([*path, name]) for name in getattr(_annotation(path), "model_fields", {})]


def _choices(path: list[str]) -> list[str]:
    return [str(option) for option in get_args(_annotation(path))]


def assign(values: dict[str, Any], dotted: str, value: Any, where: str) -> None:
    """Set `a.b` in nested mappings in place; the path has to be a field of the spec.

    Raises:
        UsageError: no such field, with the nearest one.
    """
    *sections, name = dotted.split(".")
    inside_params = sections[:2] == ["loss", "params"]
    if not inside_params and dotted not in fields_of(sections):
        everywhere = [
            field for section in ("", *TrialSpec.model_fields) for field in fields_of([section] if section else [])
        ]
        raise UsageError(f"{where}: unknown field {dotted!r}{nearest(dotted, fields_of(sections) or everywhere)}")
    if not inside_params and (fields := fields_of([*sections, name])) and not isinstance(value, Mapping):
        raise UsageError(f"{where}: {dotted} is a section; set one of its fields, e.g. {fields[0]}")
    for section in sections:
        if not isinstance(values := values.setdefault(section, {}), dict):
            raise UsageError(f"{where}: {dotted}: {section!r} was set to {values!r}, which has no fields")
    values[name] = value
