"""The rules that relate fields of several sections of a spec, one function per rule.

The first line of a function's docstring is the rule as docs/grids.md lists it. A test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

from bench.spec.course import crop_ends, frozen_epochs
from models import REFERENCES, row_of

if TYPE_CHECKING:
    from bench.spec.trial_spec import TrainSpec, TrialSpec

Rule = Callable[["TrialSpec"], "str | None"]
RULES: list[Rule] = []  # in the order in which they are checked; the first broken rule is reported


def _rule(check: Rule) -> Rule:
    """Add a check to RULES. A check returns what is wrong, in one line, or None."""
    RULES.append(check)
    return check


def stated() -> list[str]:
    """Return the rules as sentences, in the order in which they are checked."""
    return [str(check.__doc__).partition("\n")[0] for check in RULES]


def _knows_a_backbone(train: TrainSpec) -> bool:
    """Return whether the optimiser can treat the variables of the backbone in another way than the others."""
    return train.optimizer in ("adam", "adamw", "sgd") and train.wrapper == "none"


@_rule
def batch_splits_over_replicas(spec: TrialSpec) -> str | None:
    """`train.batch_size` is a multiple of the number of replicas."""
    replicas = spec.placement.replicas
    if spec.train.batch_size % replicas == 0:
        return None
    return f"train.batch_size {spec.train.batch_size} does not split evenly over {replicas} replicas"


@_rule
def one_step_per_execution_with_replicas(spec: TrialSpec) -> str | None:
    """With several replicas `train.steps_per_execution` is 1: Keras 3 fails at more."""
    if spec.placement.replicas == 1 or spec.train.steps_per_execution == 1:
        return None
    return "train.steps_per_execution > 1 fails under Keras 3 with several replicas; set it to 1"


@_rule
def no_jit_with_replicas(spec: TrialSpec) -> str | None:
    """With several replicas `train.jit_compile` is off: XLA cannot compile an all-reduce."""
    if spec.placement.replicas == 1 or not spec.train.jit_compile:
        return None
    return "train.jit_compile cannot compile an all-reduce; turn it off or use one replica"


@_rule
def eager_is_not_compiled(spec: TrialSpec) -> str | None:
    """`train.eager` goes with neither `train.jit_compile` nor several steps per execution."""
    if not spec.train.eager or not (spec.train.jit_compile or spec.train.steps_per_execution > 1):
        return None
    return "train.eager (--debug) goes with neither train.jit_compile nor train.steps_per_execution"


@_rule
def cpu_replicas_without_gpus(spec: TrialSpec) -> str | None:
    """`placement.cpu_replicas` is for trials without GPUs."""
    if not spec.placement.gpus or spec.placement.cpu_replicas == 1:
        return None
    return "placement.cpu_replicas is for CPU trials; with placement.gpus leave it at 1"


@_rule
def one_cpu_replica_a_host(spec: TrialSpec) -> str | None:
    """With several `placement.hosts` and no GPU, `placement.cpu_replicas` is 1: TensorFlow takes one device of each."""
    if spec.placement.hosts == 1 or spec.placement.cpu_replicas == 1:
        return None
    return "placement.cpu_replicas is for one host; with placement.hosts leave it at 1"


@_rule
def keras_cv_is_not_frozen(spec: TrialSpec) -> str | None:
    """`train.freeze: backbone` is not for `model.architecture: keras_cv`."""
    if spec.train.freeze != "backbone" or spec.model.architecture != "keras_cv":
        return None
    return "train.freeze backbone works with model.architecture deeplabv3plus, not with keras_cv"


@_rule
def one_target(spec: TrialSpec) -> str | None:
    """`train.until` and `eval.target_miou` are not both set: a record has one target."""
    if spec.train.until is None or spec.eval.target_miou is None:
        return None
    return "train.until and eval.target_miou both name a target; leave eval.target_miou out"


@_rule
def backbone_rate_has_its_optimisers(spec: TrialSpec) -> str | None:
    """`train.backbone_rate` below 1 goes with `adam`, `adamw` and `sgd` without a wrapper, and a backbone that trains.

    KerasCV's own model has no layer that is its backbone.
    """
    train = spec.train
    if train.backbone_rate == 1:
        return None
    if not _knows_a_backbone(train):
        return "train.backbone_rate goes with the optimizers adam, adamw and sgd without a wrapper; leave it at 1"
    if train.freeze == "backbone" and train.freeze_for == 1:
        return "train.backbone_rate: the backbone is frozen (train.freeze); leave one of the two out"
    if spec.model.architecture == "keras_cv":
        return "train.backbone_rate works with model.architecture deeplabv3plus, not with keras_cv"
    return None


@_rule
def release_has_its_optimisers(spec: TrialSpec) -> str | None:
    """`train.freeze_for` below 1 goes with `train.freeze: backbone`, `adam`, `adamw` and `sgd` without a wrapper.

    Adam counts the steps of the backbone from its release on. At least one epoch is left to train it.
    """
    train = spec.train
    if train.freeze_for == 1:
        return None
    if train.freeze == "none":
        return "train.freeze_for: nothing is frozen; set train.freeze to backbone, or leave train.freeze_for at 1"
    if not _knows_a_backbone(train):
        return "train.freeze_for goes with the optimizers adam, adamw and sgd without a wrapper; leave it at 1"
    if frozen_epochs(train) >= train.epochs:
        return (
            f"train.freeze_for {train.freeze_for:g} leaves no whole epoch for the backbone (train.epochs is "
            f"{train.epochs}); lower it, or take more and shorter epochs"
        )
    return None


@_rule
def crops_grow(spec: TrialSpec) -> str | None:
    """`train.smaller_crops` rise in share and side, stay below `data.crop`, and leave each size at least one epoch."""
    ends = [(0, 0), *crop_ends(spec.train), (spec.train.epochs, spec.data.crop)]
    for (end, side), (later, larger) in pairwise(ends):
        if larger <= side:
            return f"train.smaller_crops: {larger} pixels follow {side}; crops grow up to data.crop {spec.data.crop}"
        if later <= end:
            return (
                f"train.smaller_crops: crops of {larger} pixels get no whole epoch (train.epochs is "
                f"{spec.train.epochs}); change the shares, or take more and shorter epochs"
            )
    return None


@_rule
def trainval_chooses_nothing(spec: TrialSpec) -> str | None:
    """`data.train_on: trainval` goes with `eval.keep_checkpoint: last` or `none`, and without a target.

    The validation split is trained on, so it can choose neither an epoch nor the end of a training.
    """
    if "val" not in spec.data.trained:
        return None
    if spec.eval.keep_checkpoint == "best":
        return "data.train_on trainval leaves no val to choose an epoch by; set eval.keep_checkpoint to last"
    if spec.target is not None:
        return "data.train_on trainval leaves no val to reach a target on; leave train.until and eval.target_miou out"
    return None


@_rule
def averages_of_every_step(spec: TrialSpec) -> str | None:
    """`train.ema` goes with one step per execution, and not with `train.wrapper: swa`, which averages itself."""
    if not spec.train.ema:
        return None
    if spec.train.steps_per_execution > 1:
        return "train.ema takes in every step; set train.steps_per_execution to 1"
    return (
        "train.ema and train.wrapper swa both average the weights; choose one" if spec.train.wrapper == "swa" else None
    )


@_rule
def references_have_one_stride(spec: TrialSpec) -> str | None:
    """With a `model.architecture` of KerasCV or KerasHub no view in `eval.views` has an `output_stride`."""
    name = spec.model.architecture
    if name not in REFERENCES or not any(view.output_stride for view in spec.eval.views):
        return None
    return f"eval.views: model.architecture {name} has one output stride; leave output_stride out"


@_rule
def fixed_size_of_some_backbones(spec: TrialSpec) -> str | None:
    """A backbone that is another function at every size has `data.crop` equal to `data.size`, and views without scales.

    See `fixed_size` in `models.encoder.backbones`.
    """
    if not row_of(spec.model.backbone).fixed_size:
        return None
    one_size = spec.data.crop == spec.data.size and not spec.train.smaller_crops
    if one_size and all(view.scales == (1.0,) for view in spec.eval.views):
        return None
    return (
        f"backbone {spec.model.backbone!r} works at a single image size only: set data.crop to "
        f"data.size, here {spec.data.size}, no train.smaller_crops, and no scales in eval.views"
    )


@_rule
def views_reach_their_stride(spec: TrialSpec) -> str | None:
    """The `output_stride` of each view in `eval.views` is one that the backbone reaches."""
    reached = row_of(spec.model.backbone).strides
    for view in spec.eval.views:
        if view.output_stride and view.output_stride not in reached:
            return (
                f"eval.views: backbone {spec.model.backbone!r} supports output_stride "
                f"{', '.join(map(str, reached))} only; received {view.output_stride}"
            )
    return None


@_rule
def crop_is_not_mostly_padding(spec: TrialSpec) -> str | None:
    """`data.crop` is at most twice `data.size`."""
    if spec.data.crop <= spec.data.size * 2:
        return None
    return f"data.crop {spec.data.crop} is more than twice data.size {spec.data.size}: mostly padding"
