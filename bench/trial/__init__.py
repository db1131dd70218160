"""One trial: set up, fit, score, save. It shares only files and events with the driver."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.trial import disturbances, evaluator, objective, optimizers, trial
    from bench.trial.clocks import PhaseTimer
    from bench.trial.entry import warm_up, worker
    from bench.trial.label_maps import score_label_maps
    from bench.trial.machine_watch import MachineWatch
    from bench.trial.metrics import RunningConfusion, class_dice, confusion_matrix, mean_of_known, score_image
    from bench.trial.optimizers import AdamW, make_variables
    from bench.trial.strategy import distribute, visible_gpus
    from bench.trial.trial import run
else:
    from bench.core.lazy import face

    __getattr__, __dir__, __all__ = face(__name__, __file__)
