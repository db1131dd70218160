"""One trial: data, model, training, scoring, record.

`python -m bench.trial --set loss.name=dice` runs one in the foreground.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import results
from bench.core import (
    MADE_BY,
    WEIGHTS_FILE,
    Checkpoint,
    UsageError,
    describe,
    peak_rss_mb,
    read_checkpoint,
    remove_checkpoint,
)
from bench.spec import TrialSpec, View, initial_weights
from bench.trial import checkpoint
from bench.trial.failures import error_line, failure
from bench.trial.timing import Clocks
from models import BACKBONES

if TYPE_CHECKING:
    from bench.trial.training import Trace

Progress = Callable[[dict[str, Any]], None]
SETTLED = ("ok", "diverged")
"""Behind these nothing is left to take up from the last epoch; whatever else ended an attempt may be mended."""


def run(
    spec: TrialSpec,
    folder: Path,
    *,
    trial: str = "trial",
    label: str = "trial",
    axes: Mapping[str, Any] | None = None,
    shared: bool = False,
    attempt: int = 1,
    tuning: Mapping[str, Any] | None = None,
    tell: Progress = lambda event: None,
) -> results.Record:
    """Run one trial and write its record, whatever happens short of the death of the process.

    When the folder holds the state that an earlier attempt left after an epoch, the training goes on from there.

    Args:
        spec: the whole specification; `train.precision` must be resolved.
        folder: where record, checkpoint and pictures go; made when missing.
        trial, label, axes: the trial's name, its cell's name and what the grid varies.
        shared: whether other trials share this machine's cores, which spoils throughput.
        attempt: number of this process start, for the record.
        tuning: what a search found for this cell, for the record.
        tell: called with progress events ("step", "epoch", and "alive", a bare sign of life).

    Returns:
        The record, also written to `folder/record.json`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    body = Body(spec, folder, shared, tell)
    body.known["environment"] |= {"attempt": attempt}
    base = {"trial": trial, "cell": spec.cell, "label": label, "axes": dict(axes or {}), "seed": spec.seed}
    base |= {"spec": spec.model_dump(mode="json"), "started": now(), "tuning": tuning}
    try:
        found: dict[str, Any] = {"status": "ok", "error": None, **body.run()}
    except KeyboardInterrupt:
        found = {"status": "interrupted", "error": {"kind": "KeyboardInterrupt", "message": "stopped by the user"}}
    except Exception as error:
        found = failure(error)
    record = results.Record(**{**base, **body.so_far(), **found, "finished": now()})
    results.write(folder, record)
    if record.status in SETTLED:
        remove_checkpoint(folder)
    return record


class Body:
    """The phases of a trial in order; each leaves what is known so far for the record."""

    def __init__(self, spec: TrialSpec, folder: Path, shared: bool, tell: Progress) -> None:
        self.spec, self.folder, self.shared, self.tell = spec, folder, shared, tell
        self.clocks = Clocks()
        self.known: dict[str, Any] = {"environment": dict(describe()), "artefacts": [], "failed_views": {}}
        self.trace: Trace | None = None

    def so_far(self) -> dict[str, Any]:
        """Fields of the record that hold even when the trial failed half-way."""
        history = self.trace.history if self.trace else []
        return {"memory": self._peaks(), **self.known, "clocks": self.clocks.as_dict(), "history": history}

    def _peaks(self) -> dict[str, float | None]:
        return {"peak_rss_mb": peak_rss_mb(), "peak_gpu_mb": self._gpu_peak()}

    def run(self) -> dict[str, Any]:
        self.prepare()
        with self.clocks.phase("train"):
            self._fit()
        self.known["memory"] = self._peaks()  # of training and its validation, whatever else is evaluated
        scores = self._settle()
        with self.clocks.phase("io"):
            self._keep_checkpoint()
            try:
                self._draw()
            except Exception:  # a picture that is gone by now costs the pictures, not the scores
                traceback.print_exc()
        trace = self.trace
        assert trace is not None
        target = self.spec.eval.target_miou
        return {
            "views": scores,
            "throughput": self._throughput(),
            "target": None
            if target is None
            else {"miou": target, "seconds": trace.seconds_to_target, "epoch": trace.epoch_of_target},
            "best": {"epoch": trace.best_epoch, "miou": trace.best_scores.as_dict()["miou"]}
            if trace.best_scores
            else None,
        }

    def prepare(self) -> None:
        """All that comes before the first step: imports, data, model."""
        with self.clocks.phase("init"):
            self._import()
            self._load_data()
            self._build()

    def _import(self) -> None:
        import keras
        import tensorflow as tf

        from bench.trial import training

        keras.utils.set_random_seed(self.spec.seed)
        if self.spec.train.deterministic:
            tf.config.experimental.enable_op_determinism()
        keras.mixed_precision.set_global_policy(self.spec.train.precision)
        self.strategy = training.make_strategy(self.spec.placement)
        self.known["environment"] |= {
            "device": "gpu" if self.spec.placement.gpus else "cpu",
            "replicas": self.strategy.num_replicas_in_sync,
            "precision": self.spec.train.precision,
            "gpu_names": [
                tf.config.experimental.get_device_details(gpu).get("device_name", "unknown")
                for gpu in tf.config.list_physical_devices("GPU")
            ]
            if self.spec.placement.gpus
            else [],
        }
        if self.spec.placement.gpus:  # on which float32 may be computed with 10 bits
            self.known["environment"]["tensor_float_32"] = tf.config.experimental.tensor_float_32_execution_enabled()

    def _load_data(self) -> None:
        from bench import data
        from bench.data import pipeline

        spec = self.spec
        self.dataset = data.load(spec.data)
        for note in self.dataset.notes:
            print(note, flush=True)
        splits = self.dataset.splits
        self.known["dataset"] = {
            "name": self.dataset.name,
            "version": self.dataset.version,
            "class_names": list(self.dataset.class_names),
            "colors": [list(color) for color in self.dataset.colors],
            "ignore_index": self.dataset.ignore_index,
            "images": {name: len(split) for name, split in splits.items()},
        }
        self.classes = len(self.dataset.class_names)
        # Filled up to a multiple of the replicas: a shorter last batch crashes the strategy.
        replicas = spec.placement.replicas
        self.eval_batch = -(-spec.eval.batch_size // replicas) * replicas
        square = BACKBONES[spec.model.backbone].one_size
        self.crops = pipeline.Crops(splits["train"], spec.data, spec.seed)
        self.scored = {
            name: pipeline.evaluation(split, spec.data, self.eval_batch, square, replicas)
            for name, split in splits.items()
            if name != "train"
        }

    def _build(self) -> None:
        from bench.trial import objective, optimizers, training

        spec = self.spec
        with self.strategy.scope():
            # `fit` sees the first, all else the second; they share their layers.
            self.trained, self.model = self._models()
            if spec.train.init_from:
                _load_weights(self.model, spec.train.init_from)
            if spec.train.freeze == "backbone":
                _freeze_backbone(self.model)
            self.rate = optimizers.learning_rate(spec.train)
            labels = self.crops.labels()
            self.objective = objective.build(spec.loss, labels, self.classes, spec.model.auxiliary_weight)
            self.known["objective"] = self.objective.facts
            self.running = training.RunningConfusion(self.classes)
            self.trained.compile(
                optimizer=optimizers.build(spec.train),
                loss=self.objective.trained,
                metrics=[self.running],
                jit_compile=spec.train.jit_compile,
                run_eagerly=spec.train.eager,
                steps_per_execution=spec.train.steps_per_execution,
            )
            optimizers.make_variables(self.trained.optimizer, self.trained.trainable_variables)
        self.evaluator = self._evaluator(self.model)

    def _models(self) -> tuple[Any, Any]:
        import models
        from models import in_a_line

        try:
            return models.build_training(self.spec.model, self.classes, seed=self.spec.seed)
        except ValueError as error:  # such as weights of another architecture
            raise UsageError(in_a_line(error)) from error

    def _evaluator(self, model: Callable[..., Any], sized: bool = False) -> Any:
        from bench.trial.evaluator import Evaluator

        def alive() -> None:
            self.tell({"event": "alive"})

        loss, published = self.objective.scored, self.spec.eval.published
        return Evaluator(model, loss, self.classes, self.strategy, published, alive, sized)

    def _fit(self) -> None:
        from bench.trial import training
        from bench.trial.evaluator import distribute

        train = self.spec.train
        trace = self.trace = self._taken_up() or training.Trace()
        callbacks: list[Any] = [
            training.Watch(
                self.spec,
                self._score,
                self.running,
                self.rate,
                self.clocks,
                self.tell,
                trace,
                self._keep_state,
            )
        ]
        if self.objective.trained.scheduled:
            callbacks.append(training.Schedule(self.objective.set_progress, train, trace.steps))
        if not train.eager:  # else the images/s of the first evaluation would hold its tracing
            with self.clocks.phase("compile"):
                self.evaluator.warm(self.scored["val"])
        steps = train.epochs * train.steps_per_epoch
        batches = distribute(self.batches(steps, trace.steps), self.strategy)
        # As it was at the last step: of an attempt that ended behind it, only the scoring is left.
        self.objective.set_progress(max(0, trace.steps - train.steps_per_execution) / steps)
        if trace.epochs < train.epochs:
            self.trained.fit(
                batches,
                initial_epoch=trace.epochs,
                epochs=train.epochs,
                steps_per_epoch=train.steps_per_epoch,
                callbacks=callbacks,
                verbose=0,
            )

    def _score(self) -> Any:
        """The validation scores of the weights as they are.

        Raises:
            UsageError: no pixel of the split has a label, so that training on would measure nothing.
        """
        from bench.trial.training import share_statistics

        share_statistics(self.trained, self.strategy)
        scores = self.evaluator(self.scored["val"])
        if not scores.confusion.any():
            raise UsageError(
                f"{self.dataset.name}: nothing was measured, for no pixel of the split val has a label; give it "
                "pictures with labels"
            )
        return scores

    def batches(self, steps: int, first: int = 0) -> Any:
        """Training batches `first` to `steps` of the trial, of all replicas together."""
        from bench.data import pipeline

        return pipeline.train(self.crops, self.spec.train.batch_size, steps, first=first)

    def _taken_up(self) -> Trace | None:
        """What an earlier attempt saw, its weights and all else put back; None when it left nothing that fits."""
        kept = read_checkpoint(self.folder)
        if kept is None:
            return None
        if kept.state.get("made_by") != self._made_by():
            print("The state of an earlier attempt was left by other code, versions or data: from the beginning.")
            return None
        with self.strategy.scope():
            checkpoint.restore_training(self.trained, kept.arrays)
        for name in Clocks.PHASES:
            self.clocks.add(name, kept.state["clocks"][f"{name}_s"])
        trace = checkpoint.trace_of(kept)
        if kept.state.get("machine") != self._machine():
            trace.windows.clear()  # of another machine's speed
        self.known["environment"] |= {"resumed_after_epoch": trace.epochs}
        return trace

    def _keep_state(self) -> None:
        assert self.trace is not None
        with self.clocks.phase("io"):
            seen = checkpoint.of_trace(self.trace)
            state = {**seen.state, "made_by": self._made_by(), "machine": self._machine()}
            state["clocks"] = self.clocks.as_dict()
            arrays = {**checkpoint.of_training(self.trained), **seen.arrays}
            checkpoint.write(self.folder, Checkpoint(state, arrays))

    def _machine(self) -> dict[str, Any]:
        """What images/s are told of."""
        return {
            name: self.known["environment"].get(name) for name in ("processor", "instructions", "cores", "gpu_names")
        }

    def _made_by(self) -> dict[str, Any]:
        """What has to be equal for a training to go on as if it had never stopped."""
        spec = self.spec.model_dump(mode="json")
        spec["placement"].pop("cpus")
        return {"spec": spec, "data": self.dataset.version, **{name: describe().get(name) for name in MADE_BY}}

    def _settle(self) -> list[dict[str, Any]]:
        """Put the weights that are reported into the model and score them: validation, and the test split once."""
        trace, names = self.trace, self.dataset.class_names
        assert trace is not None
        best = trace.best_weights is not None
        scores = trace.best_scores if best else trace.last_scores
        if self.spec.train.wrapper == "swa":
            with self.clocks.phase("eval"):
                scores, best = self._average_weights(), False
        kept = trace.best_weights if best else self.trained.get_weights()
        self.resident_rate = self._resident_rate()
        self.trained.set_weights(kept)
        assert scores is not None
        views = [{"view": "default", "split": "val", **scores.as_dict(names)}]
        if "test" in self.scored:
            with self.clocks.phase("eval"):
                if self.scored["test"].element_spec != self.scored["val"].element_spec:
                    self.evaluator.warm(self.scored["test"])  # traced for labels of another shape
                views.append({"view": "default", "split": "test", **self.evaluator(self.scored["test"]).as_dict(names)})
        return views + self._other_views(views)

    def _other_views(self, default: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The weights that are reported, evaluated in the other ways that were asked for."""
        found = []
        for view in self.spec.eval.views:
            if view.plain and view.output_stride == self.spec.model.output_stride:  # as in training, by its full name
                found += [{**scores, "view": view.name} for scores in default]
                continue
            try:
                with self.clocks.phase("eval"):
                    found += self._view(view)
            except Exception as error:  # a finished training is worth more than one more way to look at it
                traceback.print_exc()
                self.known["failed_views"][view.name] = error_line(error)[:500]
        return found

    def _view(self, view: View) -> list[dict[str, Any]]:
        from bench.trial import views

        with self.strategy.scope():
            predict = views.predictor(view, self.model, self.spec, self.classes)
        evaluator = self._evaluator(predict, sized=view.crf is not None)
        found = []
        for split, dataset in self.scored.items():
            evaluator.warm(dataset)
            scores = evaluator(dataset).as_dict(self.dataset.class_names)
            found.append({"view": view.name, "split": split, **scores})
        return found

    def _average_weights(self) -> Any:
        from bench.trial.optimizers import average_weights
        from bench.trial.training import recalibrate

        average_weights(self.trained.optimizer, self.trained.trainable_variables)
        recalibrate(self.model, self.batches(20), self.strategy)
        return self._score()

    def _resident_rate(self) -> float | None:
        """Images/s of the same step on one batch held in memory; the difference is what the input costs."""
        from bench.trial.evaluator import distribute
        from bench.trial.training import steps_per_second

        spec = self.spec
        if self.shared or spec.train.epochs * spec.train.steps_per_epoch < 4 * spec.eval.window_steps:
            return None
        batch = distribute(self.batches(1).cache().repeat(), self.strategy)
        steps = steps_per_second(self.trained, batch, spec.eval.window_steps, spec.train.steps_per_execution)
        return spec.train.batch_size * steps

    def _throughput(self) -> dict[str, Any]:
        from bench.trial.training import throughput

        assert self.trace is not None
        return throughput(self.spec, self.trace.windows, self.resident_rate, self.shared)

    def _keep_checkpoint(self) -> None:
        if self.spec.eval.keep_checkpoint != "none":
            path = self.folder / WEIGHTS_FILE
            self.model.save_weights(str(path))
            self._list("checkpoint", path, {"epoch": self._kept_epoch()})

    def _kept_epoch(self) -> int | None:
        """The epoch whose weights are reported and kept; None for an average over epochs."""
        assert self.trace is not None
        if self.spec.train.wrapper == "swa":
            return None
        return self.trace.best_epoch if self.spec.eval.keep_checkpoint == "best" else self.trace.epochs

    def _draw(self) -> None:
        """Pictures for the report: evenly spaced images of the validation split, their truth and what was predicted."""
        import numpy as np
        from PIL import Image

        split = self.dataset.splits["val"]
        wanted = np.unique(np.linspace(0, len(split) - 1, min(len(split), self.spec.eval.pictures)).round().astype(int))
        predicted = self.evaluator.predict(self.scored["val"], set(wanted.tolist())) if len(wanted) else {}
        (self.folder / "pictures").mkdir(exist_ok=True)
        for order, index in enumerate(wanted.tolist()):
            image, label = split.read(index)
            shown: dict[results.ArtefactKind, Any] = {"image": image, "truth": label, "prediction": predicted[index]}
            for kind, pixels in shown.items():
                path = self.folder / "pictures" / f"{order:02d}-{kind}.png"
                Image.fromarray(pixels).save(path)
                self._list(kind, path, {"key": split.keys[index], "order": order})

    def _list(self, kind: results.ArtefactKind, path: Path, meta: dict[str, Any]) -> None:
        self.known["artefacts"].append(results.artefact(self.folder, path.relative_to(self.folder), kind, meta))

    def _gpu_peak(self) -> float | None:
        """Largest device memory in use by TensorFlow so far, MiB over all GPUs of the trial."""
        if not self.spec.placement.gpus:
            return None
        import tensorflow as tf

        gpus = range(len(tf.config.list_logical_devices("GPU")))
        return sum(tf.config.experimental.get_memory_info(f"GPU:{i}")["peak"] for i in gpus) / 2**20


def _load_weights(model: Any, source: str) -> None:
    """Start from a weights file or an earlier trial's folder.

    Raises:
        UsageError: nothing there, or weights of another architecture.
    """
    from models import in_a_line

    path = initial_weights(source)
    try:
        model.load_weights(str(path))
    except (ValueError, KeyError, OSError) as error:
        raise UsageError(f"train.init_from: {path} does not fit this model: {in_a_line(error)}") from error


def _freeze_backbone(model: Any) -> None:
    model.get_layer("backbone").trainable = False


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
