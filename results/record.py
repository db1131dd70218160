"""The record of one trial: the only place that knows its schema.

A record is strict JSON. A number that could not be measured is `null`. NaN and infinity become `null` when a record is
built, so a record equals its own round trip. Unknown keys are refused. A schema version newer than `SCHEMA_VERSION` is
refused. An older one goes through `MIGRATIONS`, one step per version.
"""

import math
from collections.abc import Callable
from datetime import UTC
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeInt,
    model_validator,
)

SCHEMA_VERSION = 9

SCORING_VERSION = 2
"""Of the rule that gives a picture its label map. Scores of two versions are of two things, and are not compared.

1: pictures of a split with several shapes were padded to a common square, and the model saw the margin.
2: a picture is seen as it is, whatever else is in its split; equal to `bench.predict`.
"""

UNKNOWN_STATE = "the record does not say what else ran on the machine"
"""Why the speed of a record of schema version 4 or older cannot be compared."""


def _without_state(old: dict[str, Any]) -> dict[str, Any]:
    """Return a record of version 4 as one of version 5: its speed was measured, but nobody knows beside what."""
    speed = old.get("throughput")
    if speed and speed.get("comparable", True):
        speed = {**speed, "comparable": False, "reason": UNKNOWN_STATE}
    return {**old, "schema_version": 5, "throughput": speed}


def _with_target_in_full(old: dict[str, Any]) -> dict[str, Any]:
    """Return a record of version 5 as one of version 6: its target was an mIoU, and was reached if it says when."""
    target, history, spent = old.get("target"), old.get("history") or [], (old.get("clocks") or {}).get("train_s")
    if target:
        reached = target.get("epoch") is not None
        epoch = target["epoch"] if reached else len(history)
        steps = next((one["step"] for one in history if one["epoch"] == epoch), None)
        seconds = target.get("seconds") if reached else spent
        target = {
            "metric": "miou", "value": target["miou"], "reached": reached, "epoch": epoch, "steps": steps,
            "seconds": seconds,
        }  # fmt: skip
    return {**old, "schema_version": 6, "target": target}


# Version n -> a function that turns the JSON object of version n into that of version n + 1.
# 2: views may hold `published`. 3: failed views. 4: the version of the scoring, which was 1 until then.
# 5: the state of the machine during each window, and the reference. 6: targets of any score, with steps and CPU
# seconds, also of a training that did not reach them; the CPU seconds of the trial; metrics of the user's own.
# 7: the cost of the model. 8: slices.
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    1: lambda old: {**old, "schema_version": 2},
    2: lambda old: {**old, "schema_version": 3},
    3: lambda old: {**old, "schema_version": 4, "scoring": 1},
    4: _without_state,
    5: _with_target_in_full,
    6: lambda old: {**old, "schema_version": 7},
    7: lambda old: {**old, "schema_version": 8},
    8: lambda old: {**old, "schema_version": 9},
}

Status = Literal["ok", "oom", "diverged", "timeout", "crashed", "interrupted", "invalid"]
STATUSES: tuple[str, ...] = get_args(Status)


def plain(value: Any) -> Any:
    """Return `value` as JSON can hold it: NumPy values as Python's, tuples as lists, NaN and infinity as None."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return value


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or "\\" in path or ".." in parts:
        raise ValueError(f"{path!r} is not a relative path inside the trial folder")
    return path


# Plain values are checked without a call into Python, which matters for ten thousand records; others go to `plain`.
_FIRST = Field(union_mode="left_to_right")
Real = Annotated[FiniteFloat | Annotated[float | None, BeforeValidator(plain)] | None, _FIRST]
Count = Annotated[NonNegativeInt | Annotated[NonNegativeInt | None, BeforeValidator(plain)] | None, _FIRST]
Reals = Annotated[list[FiniteFloat | None] | Annotated[list[float | None], BeforeValidator(plain)], _FIRST]
Counts = Annotated[list[list[NonNegativeInt]] | Annotated[list[list[NonNegativeInt]], BeforeValidator(plain)], _FIRST]
Json = Annotated[Any, BeforeValidator(plain)]
Object = Annotated[dict[str, Any], BeforeValidator(plain)]
Time = Annotated[AwareDatetime, AfterValidator(lambda time: time.astimezone(UTC))]
InnerPath = Annotated[str, AfterValidator(_inside)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Failure(_Part):
    """Why a trial did not end well. `message` is one readable line, `traceback` the full traceback."""

    kind: str
    message: str
    traceback: str | None = None
    epoch: Count = None
    step: Count = None
    detail: Json = None


class Dataset(_Part):
    """The data set of the trial. `images` counts the images per split; `colors` are RGB, 0..255, one per class."""

    name: str
    version: str
    class_names: list[str]
    colors: list[tuple[int, int, int]]
    ignore_index: int = 255
    images: dict[str, NonNegativeInt] = {}

    @model_validator(mode="after")
    def _one_color_per_class(self) -> "Dataset":
        if len(self.colors) != len(self.class_names):
            raise ValueError(f"{len(self.class_names)} class names, {len(self.colors)} colours")
        return self


class Clocks(_Part):
    """Seconds: before the first step, tracing and compiling, training, evaluation, reading and writing, and in all.

    `init_s` contains the imports, also where a fork server has made them for several trials; `total_s` does then not.

    `cpu_s` counts the CPU seconds of all threads of the trial's process, from its set-up to its record.
    """

    init_s: Real = None
    compile_s: Real = None
    train_s: Real = None
    eval_s: Real = None
    io_s: Real = None
    total_s: Real = None
    cpu_s: Real = None

    @property
    def start_s(self) -> float | None:
        """Return the seconds until the first step is over: set-up, tracing and compiling; None if one is unknown."""
        return None if self.init_s is None or self.compile_s is None else self.init_s + self.compile_s


class GradientScale(_Part):
    """Norm of d loss / d logits relative to cross-entropy, at uniform probabilities and at a margin of 3 logits."""

    initial: Real = None
    at_margin_3: Real = None


class TrainedLoss(_Part):
    """The loss as it was trained: its parameters with all weights as numbers; the scale includes the calibration."""

    params: Object = {}
    gradient_scale: GradientScale = GradientScale()


class ModelCost(_Part):
    """Cost of the model: weights, moving statistics included, and GFLOP of the forward pass of one training image.

    A multiply and add counts as 2. `size` is the side of the training image in pixels.
    """

    parameters: Count = None
    forward_gflop: Real = None
    size: Count = None


class TrainMetrics(_Part):
    """Running values over the training images of one epoch."""

    loss: Real = None
    miou: Real = None
    pixel_accuracy: Real = None


class ValMetrics(TrainMetrics):
    """Values over the validation split after one epoch; `iou` is per class, null where the class never occurs."""

    mean_dice: Real = None
    mean_image_iou: Real = None
    boundary_iou: Real = None
    iou: Reals = []


class Epoch(_Part):
    """One epoch of the history; `step` and `images` count from the start of the training."""

    epoch: NonNegativeInt
    step: NonNegativeInt
    images: NonNegativeInt
    learning_rate: Real = None
    seconds: Real = None
    images_per_second: Real = None
    train: TrainMetrics = TrainMetrics()
    val: ValMetrics = ValMetrics()


class Published(_Part):
    """What earlier projects published as IoU, computed as they did, to be read beside the true mIoU.

    It holds the soft Jaccard of the foreground averaged over batches, the mean recall of the classes, and soft Dice
    over all classes at once.
    """

    soft_iou: Real = None
    class_recall: Real = None
    soft_dice: Real = None


class SliceScores(_Part):
    """The images of a split that have one value of a feature of the data set, such as time = night.

    `confusion` is that of the view, of these images alone. Over the values of a feature it adds up to that of the view.
    """

    feature: str
    value: str
    images: NonNegativeInt
    confusion: Counts


_ROUNDING = 1e-6
"""What a fraction may lie outside of 0 to 1: means of float32 values do, by their last digit."""


class ViewScores(ValMetrics):
    """One evaluation of the chosen weights on one split. Its scores are fractions.

    `confusion` is C x C, rows truth, columns prediction, in pixels, without void pixels. `iou`, `dice` and `boundary`
    have one value per class (null: the class occurs neither in truth nor in prediction), or are empty (not measured).
    `own` has a value of each metric of the user's own, by reference. `slices` is empty if the data set names none.
    """

    view: str = "default"
    split: Literal["val", "test"] = "val"
    images: NonNegativeInt
    dice: Reals = []
    boundary: Reals = []
    confusion: Counts = []
    images_per_second: Real = None
    absent_classes: list[str] = []
    published: Published | None = None
    own: dict[str, Real] = {}
    slices: list[SliceScores] = []

    @model_validator(mode="after")
    def _fractions(self) -> "ViewScores":
        for name in (
            "miou",
            "pixel_accuracy",
            "mean_dice",
            "mean_image_iou",
            "boundary_iou",
            "iou",
            "dice",
            "boundary",
        ):
            found = getattr(self, name)
            for value in found if isinstance(found, list) else (found,):
                if value is not None and not -_ROUNDING <= value <= 1 + _ROUNDING:
                    raise ValueError(f"{name} is {value:g}; scores are fractions from 0 to 1, not percent")
        return self

    @model_validator(mode="after")
    def _slices_of_the_same_classes(self) -> "ViewScores":
        classes = len(self.confusion)
        for one in self.slices:
            if len(one.confusion) != classes or any(len(row) != classes for row in one.confusion):
                raise ValueError(f"slice {one.feature} = {one.value}: its confusion is not {classes} x {classes}")
        return self

    @model_validator(mode="after")
    def _one_value_per_class(self) -> "ViewScores":
        classes = len(self.confusion) or len(self.iou)
        for name in ("iou", "dice", "boundary", *(["confusion"] if self.confusion else [])):
            if len(getattr(self, name)) not in (0, classes):
                raise ValueError(f"{name} has {len(getattr(self, name))} values, the view {classes} classes")
        if any(len(row) != classes for row in self.confusion):
            raise ValueError(f"confusion is not square: {classes} rows, but not {classes} columns in each")
        return self


class GpuState(_Part):
    """One GPU of the trial at the end of a window, by NVML. `other_processes` counts those besides the trial's own."""

    clock_mhz: Real = None
    temperature_c: Real = None
    power_limit_w: Real = None
    other_processes: Count = None


class WindowState(_Part):
    """The machine during one window; null is unknown.

    `own`, `others`, `steal` and `throttled` are shares of wall-clock seconds times the cores that the trial may use:
    the CPU seconds of the trial with its children; those that other processes took from its cores; those that the
    hypervisor gave to others; those that a CPU quota withheld. `stood_still_s` counts the seconds in which the whole
    process stood still. `cores` is the number of cores that the trial could use at the window's end. `hand_over_ns` has
    the nanoseconds in which two cores handed a byte to each other and back, at both edges; it is empty if that was not
    measured, as on GPUs. `disturbed` states why the window is left out of the median; null if it is not.
    """

    seconds: Real = None
    own: Real = None
    others: Real = None
    steal: Real = None
    throttled: Real = None
    stood_still_s: Real = None
    cores: Count = None
    gpus: list[GpuState] = []
    hand_over_ns: Reals = []
    disturbed: str | None = None


class Reference(_Part):
    """Speed of the trial's own devices on fixed work, GFLOP/s, measured before and after the windows.

    Each list has one value per measurement, in order; an attempt that resumed adds its own. `gflops` is the rate of the
    convolution and the matrix product together. `version` is that of their shapes; rates of two versions cannot be
    compared.
    """

    version: Annotated[int, Field(ge=1)]
    gflops: Reals = []
    convolution: Reals = []
    product: Reals = []


class Throughput(_Part):
    """Training speed in the steady state: the median of `windows` (images/s over `window_steps` steps each).

    Windows whose entry in `states` says `disturbed` are left out of it. `images_per_100_gflop` is the speed relative to
    the trial's own reference: the images that are trained in the time in which the reference computes 100 GFLOP.
    `hand_over_ns` is the median of the hand-over between cores in the windows that count; trials that differ in it ran
    on cores placed otherwise, and their speeds are not compared. `input_share` is the share of a step that waits for
    input. If the speed cannot be compared with that of other trials (for example because they shared the machine),
    `comparable` is false and `reason` states why. A section that does not say whether it is comparable is not.
    """

    images_per_second: Real = None
    images_per_100_gflop: Real = None
    windows: Reals = []
    states: list[WindowState] = []
    window_steps: Count = None
    batch_size: Count = None
    replicas: Count = None
    hand_over_ns: Real = None
    input_share: Real = None
    reference: Reference | None = None
    comparable: bool = False
    reason: str | None = None

    @model_validator(mode="after")
    def _one_state_a_window(self) -> "Throughput":
        if self.states and len(self.states) != len(self.windows):
            raise ValueError(f"{len(self.windows)} windows, {len(self.states)} states")
        return self


class Memory(_Part):
    """Peaks of memory, MiB."""

    peak_rss_mb: Real = None
    peak_gpu_mb: Real = None


class Target(_Part):
    """Time to a target score on the validation split, such as a `miou` of 0.6.

    If `reached`, the other fields tell when: epoch, steps, seconds of training, CPU seconds of training. If not, they
    tell after how much of each the training ended without it: the time is censored there, and longer than that.
    """

    metric: str = "miou"
    value: Real
    reached: bool
    epoch: Count = None
    steps: Count = None
    seconds: Real = None
    cpu_seconds: Real = None


class Best(_Part):
    """The epoch with the best validation mIoU; its weights are the reported ones if `eval.keep_checkpoint` is best."""

    epoch: NonNegativeInt
    miou: Real


ArtefactKind = Literal["log", "checkpoint", "image", "truth", "prediction"]


class Artefact(_Part):
    """A file of the trial: `path` is relative to the trial folder, `sha256` is the digest of its bytes.

    Images have `meta = {"key": image key, "order": int}`. Truth and prediction are 8-bit one-channel PNGs of class ids.
    """

    kind: ArtefactKind
    path: InnerPath
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    meta: Object = {}


class Record(_Part):
    """Everything that a trial records. Sections that a failed trial never reached keep their empty defaults.

    `failed_views` holds the further evaluations of a trained model that failed, each with its reason. `scoring` is the
    `SCORING_VERSION` of its scores.
    """

    schema_version: Literal[9] = 9
    scoring: Annotated[int, Field(ge=1)] = SCORING_VERSION
    trial: str
    cell: str
    label: str
    axes: dict[str, Annotated[str | int | float | bool | None, BeforeValidator(plain)]] = {}
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    status: Status
    error: Failure | None = None
    spec: Object = {}
    started: Time | None = None
    finished: Time | None = None
    dataset: Dataset | None = None
    objective: TrainedLoss | None = None
    cost: ModelCost | None = None
    environment: Object = {}
    clocks: Clocks = Clocks()
    history: list[Epoch] = []
    views: list[ViewScores] = []
    failed_views: dict[str, str] = {}
    throughput: Throughput | None = None
    memory: Memory = Memory()
    target: Target | None = None
    best: Best | None = None
    tuning: Object | None = None
    artefacts: list[Artefact] = []

    @model_validator(mode="after")
    def _consistent(self) -> "Record":
        if self.status == "ok" and self.error is not None:
            raise ValueError(f"status ok, yet an error: {self.error.message}")
        names = [(view.view, view.split) for view in self.views]
        if len(set(names)) != len(names):
            raise ValueError(f"a view occurs twice: {names}")
        return self

    @property
    def replicas(self) -> int | None:
        """Return its number of replicas: GPUs on all hosts, or replicas on CPUs; None if the spec does not say."""
        placement = self.spec.get("placement", {})
        own = placement.get("gpus") or placement.get("cpu_replicas")
        return own and own * self.hosts

    @property
    def hosts(self) -> int:
        """Return the number of hosts that trained together."""
        return self.spec.get("placement", {}).get("hosts") or 1


def migrate(data: dict[str, Any]) -> dict[str, Any]:
    """Migrate a JSON object to `SCHEMA_VERSION`.

    Raises:
        ValueError: its version is missing, newer, or has no migration.
    """
    version = data.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise ValueError(f"no schema_version, or not a whole number: {version!r}")
    if version > SCHEMA_VERSION:
        raise ValueError(
            f"schema version {version} is newer than this software knows ({SCHEMA_VERSION}); "
            "read it with the release that wrote it"
        )
    while version < SCHEMA_VERSION:
        if version not in MIGRATIONS:
            raise ValueError(f"schema version {version} is not known (known: {SCHEMA_VERSION})")
        data = MIGRATIONS[version](data)
        version += 1
    return data
