"""The suite in TensorFlow Extended: components, a pipeline, metrics for its model analysis, and a Trainer's `run_fn`.

Nothing else imports this room. TFX is imported when a component is used, and the suite's own work is done by processes
of the project's interpreter: TFX 1.15 does not fit into one environment with it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.tfx.artifacts import BenchmarkRun
    from bench.tfx.components import BenchmarkGate, BenchmarkTrials
    from bench.tfx.evaluation import eval_config
    from bench.tfx.installed import check_installed
    from bench.tfx.outcome import Outcome
    from bench.tfx.pipeline import PipelineRequest, make_pipeline, run_pipeline
    from bench.tfx.trainer import run_fn
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
