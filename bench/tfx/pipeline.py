"""A whole pipeline around a grid: checked examples, trials, an evaluation, a gate, and a push of what it blessed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core import UsageError, code_version
from bench.tfx import processes
from bench.tfx.installed import check_installed
from bench.tfx.outcome import Outcome, outcome_of

NAME = "segmentation-bench"
_VAL, _TRAIN = "val", "train"


@dataclass(frozen=True)
class PipelineRequest:
    """A pipeline as it is requested.

    Attributes:
        shards: folder that `bench.data prepare` wrote.
        root: folder of the pipeline: artifacts, metadata, and the folder of runs.
        push_to: folder of versions that a model server watches.
        grid: name of a grid, or path of a grid file.
        options: further options of `bench.run`.
        gate_options: further options of `bench.compare`.
        base: folder of a run, or name of a release, to judge against; empty for the run of the last blessed model.
        bless_first: bless the first run, which has no base.
        floor: mIoU that Evaluator demands, 0..1.
        drop: loss of mIoU against the last blessed model that Evaluator accepts, 0..1; None: any.
        slices: features for whose values the metrics are computed, too.
        address: of a Ray cluster; empty to start Ray on this machine.
        python: interpreter of the project's environment; empty for this one.
    """

    shards: Path
    root: Path
    push_to: Path
    grid: str
    options: str = ""
    gate_options: str = ""
    base: str = ""
    bless_first: bool = False
    floor: float = 0.0
    drop: float | None = None
    slices: tuple[str, ...] = ()
    address: str = ""
    python: str = ""


def make_pipeline(request: PipelineRequest) -> Any:
    """Return the pipeline, a `tfx.dsl.Pipeline`.

    Nodes: ImportExampleGen, ImportSchemaGen, StatisticsGen, ExampleValidator, BenchmarkTrials, a resolver of the last
    blessed model, Evaluator, BenchmarkGate, Pusher.

    Raises:
        UsageError: TFX, the shards or the packages of the project are not there.
    """
    check_installed("tfx")
    from tfx import v1 as tfx

    _check_shards(request.shards)
    processes.interpreter(request.python)
    data = _examples(request)
    trials = _trials(request, data)
    verdict = _judging(request, data, trials)
    push = tfx.components.Pusher(
        model=trials.outputs["model"],
        model_blessing=verdict[-1].outputs["blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=str(request.push_to.absolute()))
        ),
    )
    return tfx.dsl.Pipeline(
        pipeline_name=NAME,
        pipeline_root=str(request.root.absolute() / "artifacts"),
        metadata_connection_config=_metadata(request.root),
        components=[*data, trials, *verdict, push],
        enable_cache=True,
    )


def run_pipeline(request: PipelineRequest) -> Outcome:
    """Run the pipeline on this machine, and return what came of it.

    Raises:
        UsageError: bad input, or a trial that did not end well; complete trials are kept.
    """
    pipeline = make_pipeline(request)
    from tfx import v1 as tfx

    request.root.mkdir(parents=True, exist_ok=True)
    tfx.orchestration.LocalDagRunner().run(pipeline)
    return outcome_of(_metadata(request.root))


def _check_shards(shards: Path) -> None:
    for name in (f"{_TRAIN}-*.tfrecord", f"{_VAL}-*.tfrecord", "schema.pbtxt"):
        if not any(shards.glob(name)):
            raise UsageError(f"{shards}: no {name}; write the set with `python -m bench.data prepare {shards}`")


def _metadata(root: Path) -> Any:
    from tfx import v1 as tfx

    return tfx.orchestration.metadata.sqlite_metadata_connection_config(str(root.absolute() / "metadata.sqlite"))


def _examples(request: PipelineRequest) -> list[Any]:
    """Return the nodes that read and check the examples, those that give examples and anomalies first and last."""
    from tfx import v1 as tfx

    splits = [
        tfx.proto.Input.Split(name=name, pattern=f"{name}-*.tfrecord")
        for name in (_TRAIN, _VAL, "test")
        if any(request.shards.glob(f"{name}-*.tfrecord"))
    ]
    examples = tfx.components.ImportExampleGen(
        input_base=str(request.shards.absolute()), input_config=tfx.proto.Input(splits=splits)
    )
    schema = tfx.components.ImportSchemaGen(schema_file=str(request.shards.absolute() / "schema.pbtxt"))
    statistics = tfx.components.StatisticsGen(examples=examples.outputs["examples"], schema=schema.outputs["schema"])
    validator = tfx.components.ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
    )
    return [examples, schema, statistics, validator]


def _trials(request: PipelineRequest, data: list[Any]) -> Any:
    from bench.tfx.components import BenchmarkTrials

    trials = BenchmarkTrials(
        examples=data[0].outputs["examples"],
        grid=str(Path(request.grid).absolute()) if Path(request.grid).is_file() else request.grid,
        storage=str(request.root.absolute() / "runs"),
        options=request.options,
        address=request.address,
        python=request.python,
        code=code_version(),
    )
    trials.add_upstream_node(data[-1])  # anomalies are written before hours of training, and not beside them
    return trials


def _judging(request: PipelineRequest, data: list[Any], trials: Any) -> list[Any]:
    """Return the nodes that judge the model: the resolver of the last blessed one, Evaluator, the gate."""
    from tfx import v1 as tfx
    from tfx.types.standard_artifacts import Model, ModelBlessing

    from bench.tfx.components import BenchmarkGate
    from bench.tfx.evaluation import eval_config

    # Blessings of the gate alone: Evaluator writes some of the same type, which are only its share.
    last = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
        model=tfx.dsl.Channel(type=Model),
        model_blessing=tfx.dsl.Channel(type=ModelBlessing, producer_component_id="BenchmarkGate"),
    ).with_id("last_blessed_model")
    evaluator = tfx.components.Evaluator(
        examples=data[0].outputs["examples"],
        model=trials.outputs["model"],
        baseline_model=last.outputs["model"],
        example_splits=[_VAL],
        eval_config=eval_config(request.floor, request.drop, request.slices),
    )
    gate = BenchmarkGate(
        run=trials.outputs["run"],
        model=trials.outputs["model"],
        baseline=last.outputs["model"],
        evaluation=evaluator.outputs["blessing"],
        base=request.base,
        bless_first=int(request.bless_first),
        options=request.gate_options,
        python=request.python,
    )
    return [last, evaluator, gate]
