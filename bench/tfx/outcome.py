"""What came of the last run of a pipeline: what ML Metadata say of its blessing, its push and the time of its nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple


class Node(NamedTuple):
    """A node of a pipeline: its name, and the seconds that it took; None if the cache answered."""

    name: str
    seconds: float | None


class Outcome(NamedTuple):
    """What came of a pipeline.

    Attributes:
        blessed: whether the gate blessed the model.
        verdict, reasons: of the gate.
        version: folder of the pushed version; None if nothing was pushed.
        run: folder of the trials.
        nodes: in the order in which they ran.
    """

    blessed: bool
    verdict: str
    reasons: str
    version: Path | None
    run: str
    nodes: tuple[Node, ...]


def outcome_of(metadata: Any) -> Outcome:
    """Return what came of the last run of a pipeline.

    Args:
        metadata: its connection to ML Metadata.
    """
    from ml_metadata import MetadataStore
    from tfx.components import Pusher

    from bench.tfx.components import BenchmarkGate, BenchmarkTrials

    store = MetadataStore(metadata)
    run = _last_output(store, BenchmarkTrials, "BenchmarkRun").properties["folder"].string_value
    blessing = _last_output(store, BenchmarkGate, "ModelBlessing")
    push = _last_output(store, Pusher, "PushedModel")
    told = blessing.custom_properties
    pushed = push.custom_properties["pushed"].int_value == 1
    return Outcome(
        blessed=told["blessed"].int_value == 1,
        verdict=told["verdict"].string_value,
        reasons=told["reasons"].string_value,
        version=Path(push.custom_properties["pushed_destination"].string_value) if pushed else None,
        run=run,
        nodes=_nodes(store),
    )


def _last_output(store: Any, component: Any, kind: str) -> Any:
    """Return the artifact of a type that the last execution of a component gave, perhaps from the cache."""
    from ml_metadata.proto import metadata_store_pb2 as proto

    name = f"{component.__module__}.{component.__name__}"
    execution = max(store.get_executions_by_type(name), key=lambda one: one.id)
    outputs = {
        event.artifact_id
        for event in store.get_events_by_execution_ids([execution.id])
        if event.type == proto.Event.OUTPUT
    }
    return next(one for one in store.get_artifacts_by_id(list(outputs)) if one.type == kind)


def _nodes(store: Any) -> tuple[Node, ...]:
    """Return the nodes of the last run, each from its driver's entry to that of its outputs."""
    from ml_metadata.proto import metadata_store_pb2 as proto

    run = max(store.get_contexts_by_type("pipeline_run"), key=lambda one: one.id)
    found = []
    for one in sorted(store.get_executions_by_context(run.id), key=lambda execution: execution.id):
        cached = one.last_known_state == proto.Execution.CACHED
        seconds = (one.last_update_time_since_epoch - one.create_time_since_epoch) / 1000
        found.append(Node(one.type.rpartition(".")[2], None if cached else seconds))
    return tuple(found)
