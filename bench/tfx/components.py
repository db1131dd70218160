"""The components: a grid of trials as a step of a pipeline, and a gate that knows the noise between seeds.

Annotations are evaluated here, because TFX reads them when it makes a component of a function.
"""

from pathlib import Path
from typing import Any

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Examples, Model, ModelBlessing

from bench.tfx import judging
from bench.tfx.artifacts import RUN_OF_MODEL, BenchmarkRun
from bench.tfx.trials import TrialsRequest, run_trials

BLESSED_PROPERTY = "blessed"
"""The custom property that a Pusher and LatestBlessedModelStrategy read."""


@component
def BenchmarkTrials(
    examples: InputArtifact[Examples],
    run: OutputArtifact[BenchmarkRun],
    model: OutputArtifact[Model],
    grid: Parameter[str],
    storage: Parameter[str],
    name: Parameter[str] = "trials",
    options: Parameter[str] = "",
    address: Parameter[str] = "",
    python: Parameter[str] = "",
    code: Parameter[str] = "",
) -> None:
    """Run a grid on the examples, and hand over the model of its best cell.

    The run is `storage/NAME-HASH`. A repeated step resumes it; on Ctrl-C or after a crash no complete trial is lost.

    Args:
        examples: with the splits train and val (or eval).
        run: what the run found.
        model: the SavedModel of the best cell, with the signature `serving_examples`.
        grid: name of a grid, or path of a grid file.
        storage: folder of runs, outside of the pipeline's root.
        name: of the run; a hash of what is run is appended.
        options: further options of `bench.run`, e.g. "--preset quick --seeds 3".
        address: of a Ray cluster; empty to start Ray on this machine.
        python: interpreter of the project's environment; empty for this one.
        code: version of the suite, so that TFX's cache does not answer for other code; `make_pipeline` gives it.
    """
    del code  # it is part of the step's identity
    request = TrialsRequest(Path(examples.uri), grid, Path(storage), name, options, address, python)
    facts = run_trials(request, Path(model.uri), Path(run.uri) / "benchmark.json")
    for key, value in vars(facts).items():
        setattr(run, key, value)
    model.set_string_custom_property(RUN_OF_MODEL, facts.folder)


@component
def BenchmarkGate(
    run: InputArtifact[BenchmarkRun],
    model: InputArtifact[Model],
    blessing: OutputArtifact[ModelBlessing],
    baseline: InputArtifact[Model] = None,  # type: ignore[assignment]
    evaluation: InputArtifact[ModelBlessing] = None,  # type: ignore[assignment]
    base: Parameter[str] = "",
    bless_first: Parameter[int] = 0,
    options: Parameter[str] = "",
    python: Parameter[str] = "",
) -> None:
    """Judge a run against a base by `bench.compare`, and bless its model or not.

    Args:
        run: the run to judge.
        model: its model.
        blessing: with `blessed`, `current_model`, `current_model_id`, of a baseline `baseline_model` and
            `baseline_model_id`, `verdict` and `reasons`.
        baseline: a model that an earlier run of the pipeline blessed; its run is the base.
        evaluation: what Evaluator says of the model. Without its blessing there is none here.
        base: folder of a run, or name of a release; it goes before `baseline`.
        bless_first: 1 to bless a run that has no base.
        options: further options of `bench.compare`, e.g. "--require-conclusive".
        python: interpreter of the project's environment; empty for this one.
    """
    against = base or (baseline.get_string_custom_property(RUN_OF_MODEL) if baseline else "")
    if against:
        judgement = judging.compare(against, run.folder, options, python)
    else:
        judgement = judging.of_the_first(bool(bless_first), run.failed)
    if model.get_string_custom_property(RUN_OF_MODEL) != run.folder:
        judgement = judgement.vetoed(f"the model is not one of the run {run.folder}")
    if evaluation and evaluation.get_int_custom_property(BLESSED_PROPERTY) != 1:
        judgement = judgement.vetoed(f"Evaluator did not bless the model: {evaluation.uri}")
    judging.write(Path(blessing.uri), judgement, {"run": run.folder, "base": against})
    _mark(blessing, judgement, model, baseline)


def _mark(blessing: Any, judgement: judging.Judgement, model: Any, baseline: Any) -> None:
    """Set the properties of a ModelBlessing: those of TFX's own Evaluator, and the verdict with its reasons."""
    blessing.set_int_custom_property(BLESSED_PROPERTY, int(judgement.blessed))
    for role, artifact in (("current_model", model), ("baseline_model", baseline)):
        if artifact:
            blessing.set_string_custom_property(role, artifact.uri)
            blessing.set_int_custom_property(f"{role}_id", artifact.id)
    blessing.set_string_custom_property("verdict", judgement.verdict)
    blessing.set_string_custom_property("reasons", "\n".join(judgement.reasons))
