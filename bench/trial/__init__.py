"""One trial: set up, fit, score, save. It meets the driver in its specification, its events and its record only."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.trial import evaluator, objective, optimizers, training, trial
    from bench.trial.evaluator import distribute
    from bench.trial.optimizers import AdamW, make_variables
    from bench.trial.timing import Clocks
    from bench.trial.training import RunningConfusion, visible_gpus
    from bench.trial.trial import Body, run
    from bench.trial.worker import worker
else:
    from bench.core import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
