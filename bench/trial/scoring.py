"""The scores of a trial: of each epoch on the validation split, and of the reported weights on all splits and views."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.core import UsageError
from bench.spec import ViewSpec
from bench.trial import views
from bench.trial.batch_norm import recalibrate, share_statistics
from bench.trial.clocks import PhaseTimer
from bench.trial.evaluator import Evaluator, Scores, Share
from bench.trial.facts import Facts
from bench.trial.failures import error_line
from bench.trial.hosts import FailedAlone, loss_of
from bench.trial.monitor import TrainingHistory
from bench.trial.optimizers import average_weights
from bench.trial.setup import Prepared

RECALIBRATION_BATCHES = 20


@dataclass(frozen=True)
class Reported:
    """The weights that a trial reports.

    Attributes:
        weights: all of the training model, in Keras's order.
        scores: theirs on the validation split; None if that is trained on.
        epoch: after which epoch they were taken; None for an average over epochs.
    """

    weights: list[np.ndarray]
    scores: Scores | None
    epoch: int | None


def score_validation(prepared: Prepared) -> Scores | None:
    """Score the present weights on the validation split. If that is trained on, nothing is scored.

    Raises:
        UsageError: no pixel of the split has a label, so that the trial would measure nothing.
    """
    share_statistics(prepared.training_model, prepared.strategy)
    if "val" not in prepared.evaluation:
        return None
    slices = prepared.dataset.splits["val"].slices()
    scores = prepared.evaluator(prepared.evaluation["val"], prepared.pictured, slices)
    if not scores.confusion.any():
        raise UsageError(
            f"{prepared.dataset.name}: nothing was measured, because no pixel of the split val has a label; give it "
            "images with labels"
        )
    return scores


def choose_reported(prepared: Prepared, history: TrainingHistory, timer: PhaseTimer) -> Reported:
    """Choose the weights that the spec asks for: of the best epoch, of the last, or an average over epochs (SWA)."""
    model = prepared.training_model
    if prepared.spec.train.wrapper == "swa":
        with timer.phase("eval"):
            scores = _average_over_epochs(prepared)
        return Reported(model.get_weights(), scores, None)
    if history.best_weights is not None:
        assert history.best_scores is not None
        return Reported(history.best_weights, history.best_scores, history.best_epoch)
    last = prepared.average.weights() if prepared.average else model.get_weights()
    return Reported(last, history.last_scores, history.epochs)


def _average_over_epochs(prepared: Prepared) -> Scores | None:
    """Put the averaged weights into the model, recompute its batch-norm statistics, and score it."""
    average_weights(prepared.training_model.optimizer, prepared.training_model.trainable_variables)
    recalibrate(prepared.model, prepared.batches(RECALIBRATION_BATCHES), prepared.strategy)
    return score_validation(prepared)


def score_reported_weights(prepared: Prepared, reported: Reported, facts: Facts) -> list[dict[str, Any]]:
    """Put the reported weights into the model and score them on the test split, once, and in the other views.

    Args:
        prepared: the trial, after training.
        reported: the weights, and their scores on the validation split.
        facts: gets the views that fail, each with its reason.

    Returns:
        One row of the record's `views` per view and split; the first is that of the split that judges the trial.
    """
    prepared.training_model.set_weights(reported.weights)
    val = prepared.evaluation.get("val")
    found: list[dict[str, Any]] = []
    if reported.scores is not None:
        found.append(_default(prepared, "val", reported.scores))
    if (test := prepared.evaluation.get("test")) is not None:
        with facts.timer.phase("eval"):
            if val is None or test.element_spec != val.element_spec:
                prepared.evaluator.warm(test)  # labels of another shape need another trace
            scores = prepared.evaluator(test, slices=prepared.dataset.splits["test"].slices())
            found.append(_default(prepared, "test", scores))
    return found + _other_views(prepared, found, facts)


def _default(prepared: Prepared, split: str, scores: Scores) -> dict[str, Any]:
    """Return the row of a split as the model was trained, which alone has slices."""
    dataset = prepared.dataset
    row = scores.as_dict(dataset.class_names, dataset.splits[split].slices())
    return {"view": "default", "split": split, **row}


def _other_views(prepared: Prepared, default: list[dict[str, Any]], facts: Facts) -> list[dict[str, Any]]:
    """Score the reported weights in each view of `eval.views`, and return one row per view and split."""
    found = []
    for view in prepared.spec.eval.views:
        if view.plain and view.output_stride == prepared.spec.model.output_stride:  # as the default view
            found += [{**scores, "view": view.name, "slices": []} for scores in default]
            continue
        try:
            with facts.timer.phase("eval"):
                found += _view(prepared, view)
        except Exception as error:  # a view that fails must not cost a finished training
            if isinstance(error, FailedAlone) or (prepared.hosts.count > 1 and loss_of(error)):
                raise
            traceback.print_exc()
            facts.failed_views[view.name] = error_line(error)[:500]
    return found


def _view(prepared: Prepared, view: ViewSpec) -> list[dict[str, Any]]:
    """Score one view and return one row per split.

    Raises:
        FailedAlone: it failed on this host, and not on others of the trial.
    """

    def share() -> tuple[Evaluator, dict[str, Share]]:
        with prepared.strategy.scope():
            predict = views.predictor(view, prepared.model, prepared.spec, prepared.classes)
        evaluator = prepared.evaluator.of(predict, sized=view.crf is not None)
        found = {}
        for split, dataset in prepared.evaluation.items():
            evaluator.warm(dataset)
            found[split] = evaluator.share(dataset)
        return evaluator, found

    evaluator, shares = prepared.hosts.all_or_none(share)
    scores = {split: evaluator.of_all(one).as_dict(prepared.dataset.class_names) for split, one in shares.items()}
    return [{"view": view.name, "split": split, **one} for split, one in scores.items()]
