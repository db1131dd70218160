"""The label map of a picture is a function of the weights and of the picture: not of what else is in the split, the
batch or the command. For all kinds of view, of our models, of KerasCV's and of one that knows a single size.

Of the replicas see tests/data/replica_worker.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import losses
import models
from bench import prediction
from bench.core import IGNORE_INDEX
from bench.data import pipeline
from bench.data.dataset import Split
from bench.spec import TrialSpec, ViewSpec, parse
from bench.trial import views
from bench.trial.evaluator import Evaluator
from models.compat import register
from models.encoder.backbones import Backbone
from models.inference.export import export
from tests.faults.thin import make_tiny, tiny

Trained = tuple[str, TrialSpec, Any, Path]
CLASSES, SIZE = 3, 64
THIN = {"output_stride": 32, "low_level_channels": 8, "batch_norm_momentum": 0.0}
OURS = {**THIN, "aspp_channels": 8, "decoder_channels": 8}
MODELS: dict[str, dict[str, Any]] = {
    "ours": {**OURS, "backbone": "resnet34"},
    "keras_cv": {**THIN, "backbone": "resnet18", "architecture": "keras_cv"},
    "one size": {**OURS, "backbone": "mit_b0"},
}
SLOW = {"transformer": {**OURS, "backbone": "mit_b1"}}
VIEWS: dict[str, dict[str, Any]] = {
    "default": {},
    "stride": {"output_stride": 16},
    "scales": {"scales": (0.5, 1.0), "flip": True},
    "crf": {"crf": {}},
}
IMPOSSIBLE = {("keras_cv", "stride"), ("one size", "stride"), ("one size", "scales")}
REPEATED = [("keras_cv", "scales"), ("keras_cv", "crf"), ("one size", "crf")]
SHAPES = [(64, 64), (48, 64), (64, 40), (48, 64), (75, 100), (20, 30), (48, 64)]  # the fifth comes down to 48 x 64

# Where two logits are equal to their rounding, another trace or batch may choose the other. None of these pixels was
# seen to; a margin or another way to average changes some percent of them.
ROUNDING = 1e-3


def _blobs(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    coarse = rng.integers(0, 256, (shape[0] // 5, shape[1] // 5, 3)).astype("uint8")
    image = np.asarray(tf.image.resize(coarse, shape)).astype("uint8")
    label = (image[..., 0] // 86).astype("uint8")
    label[:3] = IGNORE_INDEX
    return image, label


PAIRS = [_blobs(np.random.default_rng(i), shape) for i, shape in enumerate(SHAPES)]


def _split(*positions: int) -> Split:
    return Split(tuple(map(str, positions)), lambda key: PAIRS[int(key)])


@register
class Exchanged(keras.layers.Layer):
    """Exchange channels and places, as KerasCV's mix transformer does: another function at every size."""

    def call(self, inputs: Any) -> Any:
        batch, height, width, channels = tf.unstack(tf.shape(inputs))
        places = tf.reshape(inputs, (batch, height * width, channels))
        return tf.reshape(tf.transpose(places, (0, 2, 1)), (batch, height, width, channels))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


def of_one_size() -> Any:
    """Build the five convolutions with places exchanged between them."""
    return tiny(behind_stride_4=Exchanged())


@pytest.fixture(scope="module")
def small_rows(thin_resnet: Backbone) -> Iterator[None]:
    """`mit_b0` and `resnet34` as five convolutions, the first for one size, beside the thin `resnet18`.

    `mit_b1` has one narrow block per stage.
    """
    rows = [models.BACKBONES[name] for name in ("mit_b0", "mit_b1", "resnet34")]
    before = [(row.arguments, row.constructor) for row in rows]
    small = {"depths": (1,) * 4, "embedding_dims": (8, 16, 40, 64)}
    object.__setattr__(rows[0], "constructor", f"{__name__}:of_one_size")
    object.__setattr__(rows[1], "arguments", {**rows[1].arguments, **small})
    make_tiny("resnet34")
    yield
    for row, (arguments, constructor) in zip(rows, before, strict=True):
        object.__setattr__(row, "arguments", arguments)
        object.__setattr__(row, "constructor", constructor)


@pytest.fixture(scope="module", params=MODELS)
def trained(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    small_rows: None,
    thin_crf: None,
) -> tuple[str, TrialSpec, Any, Path]:
    """A model whose normalisation has the statistics of what it sees, and whose logits differ."""
    keras.utils.set_random_seed(0)
    spec = parse({"model": (MODELS | SLOW)[request.param], "data": {"size": SIZE, "crop": SIZE}}, "here")
    model = models.build(spec.model, CLASSES)
    batch = [pipeline.squared(pipeline.prepared(image, spec.data), SIZE) for image, _ in PAIRS]
    model(np.stack(batch).astype("float32"), training=True)
    kernel = next(weight for weight in model.trainable_variables if weight.shape[-1] == CLASSES)
    kernel.assign(10 * (kernel - np.mean(kernel, axis=-2, keepdims=True)))  # or the CRF leaves one class alone
    path = tmp_path_factory.mktemp("weights") / "model.weights.h5"
    model.save_weights(str(path))
    return request.param, spec, model, path


def _evaluator(spec: TrialSpec, model: Any, view: ViewSpec) -> Evaluator:
    loss = losses.get("cross_entropy", average="image")
    shown = views.predictor(view, model, spec, CLASSES)
    return Evaluator(shown, loss, CLASSES, tf.distribute.OneDeviceStrategy("CPU:0"), sized=view.crf is not None)


def _maps(evaluator: Evaluator, split: Split, batch: int, square: bool) -> list[np.ndarray]:
    dataset = pipeline.evaluation(split, parse({"data": {"size": SIZE, "crop": SIZE}}, "").data, batch, square, 1)
    found = evaluator.predict(dataset, set(range(len(split))))
    return [found[i] for i in range(len(split))]


def _differing(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    assert [one.shape for one in found] == [one.shape for one in expected]
    return sum(np.count_nonzero(a != b) for a, b in zip(found, expected, strict=True)) / sum(a.size for a in found)


@pytest.mark.parametrize("name", VIEWS)
def test_a_label_map_hangs_on_the_weights_and_the_picture_alone(trained: Trained, name: str, tmp_path: Path) -> None:
    if (trained[0], name) in IMPOSSIBLE:
        pytest.skip("refused by the spec")
    if (trained[0], name) in REPEATED:
        pytest.skip("to the view it is logits as ours are: slow")
    _assert_alone(trained, name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trained", "name"), [*REPEATED, ("transformer", "default"), ("transformer", "crf")], indirect=["trained"]
)
def test_that_of_larger_models_does_too(trained: Trained, name: str, tmp_path: Path) -> None:
    _assert_alone(trained, name, tmp_path)


def _assert_alone(trained: Trained, name: str, tmp_path: Path) -> None:
    """Assert that the label maps of all pictures are the same, whatever they are computed with."""
    which, spec, model, weights = trained
    square, every = which in ("one size", *SLOW), range(len(PAIRS))
    # The view of scales is mirrored, too; a model of one size has no such view, so that it is mirrored with the CRF.
    view = ViewSpec(**VIEWS[name], **({"flip": True} if square and name == "crf" else {}))
    evaluator = _evaluator(spec, model, view)
    beside = _maps(evaluator, _split(*every), 4, square)
    assert len(np.unique(np.concatenate([one.ravel() for one in beside]))) > 1
    ways = {"another batch": (_maps(evaluator, _split(*every), 2, square), beside)}
    ways["alone"] = (_maps(evaluator, _split(4), 1, square), beside[4:5])  # its size is static there
    if view.output_stride is None:
        options = {"scales": list(view.scales), "flip": view.flip, "crf": view.crf is not None, "window": None}
        # A command builds its model from the weights' file, whatever the view: one of them shows it.
        built = prediction.predictor(spec, weights, CLASSES, **options) if name == "default" else None
        command = built or prediction.segmenter(model, spec, **options)
        ways["bench.predict"] = ([command(image) for image, _ in PAIRS], beside)
    if view.output_stride is None and not square and (which == "ours" or name == "default"):  # saving takes seconds
        crf = models.DenseCRF(from_logits=False) if view.crf else None
        export(model, tmp_path / "saved", scales=view.scales, flip=view.flip, crf=crf)
        serve = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
        own = [i for i in every if max(SHAPES[i]) == SIZE]  # it scales no picture
        served = [serve(images=tf.constant(PAIRS[i][0][None]))["labels"][0].numpy() for i in own]
        ways["export"] = (served, [beside[i] for i in own])
    differing = {way: _differing(*maps) for way, maps in ways.items()}
    assert max(differing.values()) <= ROUNDING, differing


def test_a_split_s_matrix_is_the_sum_of_those_of_its_parts(trained: Trained) -> None:
    which, spec, model, _ = trained
    evaluator = _evaluator(spec, model, ViewSpec())

    def scored(split: Split, batch: int) -> Any:
        return evaluator(pipeline.evaluation(split, spec.data, batch, which == "one size", 1))

    order = sorted(range(len(PAIRS)), key=lambda i: i == 4)
    whole, alone = scored(_split(*order), 3), [scored(_split(*order[:-1]), 2), scored(_split(order[-1]), 1)]
    total = sum(one.confusion for one in alone)
    labelled = sum(int((label < CLASSES).sum()) for _, label in PAIRS)
    assert whole.confusion.sum() == total.sum() == labelled
    assert np.abs(whole.confusion - total).sum() <= 2 * ROUNDING * labelled
    np.testing.assert_allclose(whole.image_mious, np.concatenate([one.image_mious for one in alone]), atol=ROUNDING)
    assert whole.loss == pytest.approx(np.average([one.loss for one in alone], weights=[6, 1]), rel=1e-5)


def test_an_evaluation_is_traced_once_whatever_its_shapes() -> None:
    traces: list[None] = []

    def model(images: tf.Tensor, training: bool) -> tf.Tensor:
        traces.append(None)
        return images

    data = parse({"data": {"size": SIZE, "crop": SIZE}}, "here").data
    loss = losses.get("cross_entropy", average="image")
    evaluator = Evaluator(model, loss, CLASSES, tf.distribute.OneDeviceStrategy("CPU:0"))
    every = range(len(PAIRS))
    for positions in (every, every, every[1:]):  # a test split, say
        evaluator(pipeline.evaluation(_split(*positions), data, 2, multiple=1))
    assert len(traces) == 1
