"""The command on a tiny trial's checkpoint: what it writes, and every refusal."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import results
from bench import predict as command
from bench.core import WEIGHTS_FILE, UsageError
from bench.prediction import check_crf, choose_trial, list_sources, overlay, trained_model
from bench.spec import TrialSpec
from models import ModelSpec
from models.encoder.backbones import Backbone
from tests.commands.here import call
from tests.models.hub import WITHOUT_HUB

PROJECT = Path(__file__).resolve().parents[2]
COLORS = [(10, 20, 30), (200, 100, 0), (255, 255, 255)]
SPEC = TrialSpec.model_validate(
    {
        "model": {"backbone": "resnet18", "aspp_channels": 8, "decoder_channels": 8, "batch_norm_momentum": 0.0},
        "data": {"size": 64, "crop": 64},
        "train": {"precision": "float32"},
    }
)


TINY = """
import sys
from bench import predict
from bench.core import start
from tests.faults.thin import make_tiny

make_tiny()
start(predict.main)
"""


def predict(*arguments: object, cwd: Path, tiny: bool = False) -> subprocess.CompletedProcess[str]:
    """The command as a user has it, but for the backbone if that is `tiny`."""
    module = ("-c", TINY) if tiny else ("-m", "bench.predict")
    return subprocess.run(
        [sys.executable, *module, *map(str, arguments)],
        cwd=cwd, env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Any]:
    """The command in this process, which has TensorFlow already: its exit status and what it printed."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(command, "prepare_process", lambda: None)
        return call(command.main, *arguments, cwd=tmp_path, patch=monkeypatch, capsys=capsys)

    return run


def record(trial: str, **fields: object) -> results.Record:
    dataset = {"name": "tiny", "version": "0", "class_names": ["a", "b", "c"], "colors": COLORS}
    base = {"trial": trial, "cell": f"{trial}-cell", "label": trial, "seed": 0, "status": "ok", "dataset": dataset}
    return results.Record(**{**base, "spec": SPEC.model_dump(mode="json"), **fields})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Backbone) -> Path:
    """A run of a trial with a checkpoint of random weights, and of trials that cannot predict."""
    import keras

    import models

    home = tmp_path_factory.mktemp("run")
    trials = home / "trials"
    equalizing = SPEC.model_copy(update={"data": SPEC.data.model_copy(update={"augment": "classic"})})
    keras.utils.set_random_seed(1)
    made = models.build(SPEC.model, 3)
    made(np.random.default_rng(1).uniform(0, 255, (4, 64, 64, 3)), training=True)  # or features fade behind the stem
    made.save_weights(str(home / WEIGHTS_FILE))
    for name in ("whole", "changed", "equalizing"):
        (trials / name).mkdir(parents=True)
        shutil.copy(home / WEIGHTS_FILE, trials / name)
        kept = results.artefact(trials / name, WEIGHTS_FILE, "checkpoint")
        spec = equalizing if name == "equalizing" else SPEC
        results.write(trials / name, record(name, artefacts=[kept], spec=spec.model_dump(mode="json")))
    with open(trials / "changed" / WEIGHTS_FILE, "ab") as file:
        file.write(b"!")
    mix = ModelSpec(backbone="mit_b0", output_stride=32)
    hub = ModelSpec(architecture="keras_hub_segformer", output_stride=32)
    for name, of in (("square", mix), ("hub", hub)):
        (trials / name).mkdir()
        (trials / name / WEIGHTS_FILE).write_bytes(b"never read")
        kept = results.artefact(trials / name, WEIGHTS_FILE, "checkpoint")
        spec = SPEC.model_copy(update={"model": of})
        results.write(trials / name, record(name, artefacts=[kept], spec=spec.model_dump(mode="json")))
    results.write(trials / "bare", record("bare"))
    results.write(trials / "early", record("early", dataset=None, status="crashed"))
    return home


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """One larger than the trial's size, one smaller, one turned by its EXIF tag; all of different shapes."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (75, 100, 3), np.uint8)).save(folder / "large.png")
    Image.fromarray(random.integers(0, 256, (30, 20, 3), np.uint8)).save(folder / "small.png")
    tag = Image.Exif()
    tag[0x0112] = 6
    Image.fromarray(random.integers(0, 256, (40, 64, 3), np.uint8)).save(folder / "turned.jpg", exif=tag)
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def model(run: Path) -> Any:
    """The trial's model, made here."""
    import models

    model = models.build(SPEC.model, 3)
    model.load_weights(str(run / "trials" / "whole" / WEIGHTS_FILE))
    return model


def brought_to_size(picture: np.ndarray) -> np.ndarray:
    """The 100 x 75 picture with 64 pixels on its longer side."""
    return np.asarray(Image.fromarray(picture).resize((64, 48), Image.Resampling.BILINEAR))[None]


def test_labels_are_those_of_evaluation_at_each_picture_s_own_size(
    run: Path, model: Any, pictures: Path, tmp_path: Path
) -> None:
    import tensorflow as tf

    from bench.trial import evaluator

    done = predict(run, "--trial", "whole", "--images", pictures, "--out", tmp_path / "out", cwd=tmp_path, tiny=True)
    assert done.returncode == 0, done.stderr[-2000:]
    expected = {f"{name}{end}.png" for name in ("large", "small", "turned") for end in ("", "-overlay")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*expected, "overlay-legend.png"}
    legend = np.asarray(Image.open(tmp_path / "out" / "overlay-legend.png").convert("RGB"))
    assert {(10, 20, 30), (200, 100, 0)} <= {tuple(color) for color in legend.reshape(-1, 3).tolist()}
    sizes = {name: Image.open(tmp_path / "out" / f"{name}.png").size for name in ("large", "small", "turned")}
    assert sizes == {"large": (100, 75), "small": (20, 30), "turned": (40, 64)}

    picture = np.asarray(Image.open(pictures / "large.png"))
    logits = model(brought_to_size(picture).astype("float32"), training=False)[0]
    truth = evaluator.label_map(logits, tf.constant([48, 64]), tf.constant([75, 100])).numpy()
    labels = Image.open(tmp_path / "out" / "large.png")
    assert labels.mode == "L"
    assert len(np.unique(truth)) > 1
    assert np.mean(np.asarray(labels) == truth) > 0.999  # what is nearly a tie may fall otherwise in another trace
    blended = np.asarray(Image.open(tmp_path / "out" / "large-overlay.png"))
    np.testing.assert_array_equal(blended, overlay(picture, np.asarray(labels), np.array(COLORS, np.uint8)))


def test_views_and_the_crf_are_those_of_the_models_room(
    run: Path, model: Any, pictures: Path, tmp_path: Path, here: Callable[..., Any], thin_crf: None
) -> None:
    import tensorflow as tf

    import models
    from models import label_map, probabilities

    source, out = pictures / "large.png", tmp_path / "out"
    options = ["--scales", "0.5,1,1.5", "--flip", "--crf"]
    status, told, _ = here(run / "trials" / "whole", "--images", source, "--out", out, *options)
    assert status == 0
    assert told.endswith(f"1 image by trial whole: {out}\n")

    picture = np.asarray(Image.open(source))
    small, size = brought_to_size(picture), picture.shape[:2]
    averaged = probabilities(model, small, scales=(0.5, 1, 1.5), flip=True)
    refined = models.DenseCRF(from_logits=False)([small, averaged])
    labels = np.asarray(Image.open(out / "large.png"))
    found, *others = (
        label_map(tf.image.resize(tf.math.log(one), size))[0]
        for one in (refined, averaged, probabilities(model, small))
    )
    assert np.mean(labels == found) > 0.999
    for other in others:
        assert np.mean(labels == other) < 0.99

    # What is mirrored shows without the CRF, which levels it.
    assert here(run / "trials" / "whole", "--images", source, "--out", tmp_path / "mean", *options[:-1])[0] == 0
    labels = np.asarray(Image.open(tmp_path / "mean" / "large.png"))
    once = probabilities(model, small, scales=(0.5, 1, 1.5))
    mean, unmirrored = (label_map(tf.image.resize(tf.math.log(one), size))[0] for one in (averaged, once))
    assert np.mean(labels == mean) > 0.999
    assert np.mean(labels == unmirrored) < 0.99


def test_what_a_file_browser_hides_is_no_picture(pictures: Path, tmp_path: Path) -> None:
    shutil.copy(pictures / "large.png", tmp_path / "a.png")
    (tmp_path / "._a.png").write_bytes(b"what macOS leaves beside a file")
    (tmp_path / "b.png").mkdir()
    assert list_sources(tmp_path) == [tmp_path / "a.png"]


def test_a_picture_too_large_for_the_crf_of_a_gpu_is_refused_before_any_is_written(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    Image.new("RGB", (1600, 1500)).save(tmp_path / "wide.png")  # 2.4 megapixels; 2**31 / (9 * 100) are 2.39
    sources = [pictures / "large.png", tmp_path / "wide.png"]
    check_crf(sources, 100, None)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["a GPU"])
    check_crf(sources, 99, None)
    check_crf(sources, 100, 1590)  # the CRF sees it smaller
    with pytest.raises(
        UsageError, match=r"wide\.png has 2.40 megapixels, more than the 2.39 that a GPU takes with 100 cl"
    ):
        check_crf(sources, 100, None)


def test_windows_go_over_the_picture_at_its_own_size(
    run: Path, model: Any, pictures: Path, tmp_path: Path, here: Callable[..., Any]
) -> None:
    from models import label_map, probabilities, sliding

    out = tmp_path / "out"
    options = ["--images", pictures / "large.png", "--out", out, "--window", 64]
    assert here(run / "trials" / "whole", *options)[0] == 0
    picture = np.asarray(Image.open(pictures / "large.png"))[None]
    labels = np.asarray(Image.open(out / "large.png"))
    windows = sliding(lambda part: probabilities(model, part), picture, 64, 16)
    assert np.mean(labels == label_map(windows)[0]) > 0.999
    assert np.mean(labels == label_map(probabilities(model, brought_to_size(picture[0]), size=(75, 100)))[0]) < 0.99


def test_windows_see_pictures_equalized_as_in_training(
    run: Path, model: Any, pictures: Path, tmp_path: Path, here: Callable[..., Any]
) -> None:
    from bench.data.image_ops import equalized
    from bench.spec.augmentation import named
    from models import label_map, probabilities, sliding

    out, clahe = tmp_path / "out", named()["classic"].clahe
    options = ["--images", pictures / "large.png", "--out", out, "--window", 64]
    assert here(run / "trials" / "equalizing", *options)[0] == 0
    plain = np.asarray(Image.open(pictures / "large.png"))
    expected, other = (
        label_map(sliding(lambda part: probabilities(model, part), picture[None], 64, 16))[0]
        for picture in (equalized(plain, clahe.clip, clahe.tiles), plain)
    )
    labels = np.asarray(Image.open(out / "large.png"))
    assert np.mean(labels == expected) > 0.999
    assert np.mean(labels == other) < 0.99


def test_an_overlay_mixes_inside_outlines_and_leaves_a_black_class_clear() -> None:
    picture = np.full((5, 5, 3), (0, 100, 255), np.uint8)
    colors = np.array([(0, 0, 0), (200, 101, 255)], np.uint8)
    labels = np.zeros((5, 5), np.uint8)
    labels[1:4, 1:4] = 1
    # (0 + 200) / 2, (100 + 101) / 2 = 100.5 up, 255; then a quarter: 50, 100.25, 255
    for opacity, inside in {0.5: (100, 101, 255), 0.25: (50, 100, 255), 0.0: (0, 100, 255)}.items():
        mixed = overlay(picture, labels, colors, opacity)
        assert tuple(mixed[2, 2]) == inside
        edge = (labels == 1) & ~np.pad([[True]], 2)
        assert (mixed[edge] == colors[1]).all()
        assert (mixed[labels == 0] == picture[0, 0]).all()
    long = np.repeat([[0, 1]], 500, axis=1)  # 1000 pixels: an outline of two on either side
    mixed = overlay(np.full((1, 1000, 3), 40, np.uint8), long, np.array([(0, 0, 9), (200, 0, 0)], np.uint8), 0.0)
    drawn = (mixed[0] != 40).any(axis=1)
    assert np.flatnonzero(drawn).tolist() == [498, 499, 500, 501]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"run": "absent"}, "absent: no such file or folder"),
        ({"trial": None}, "has 7 cells; choose one with --trial: bare, changed, early, equalizing, hub, square, whole"),
        ({"trial": "hole"}, "no trial or cell 'hole'; did you mean 'whole'?"),
        ({"trial": "bare"}, "kept no checkpoint; train with eval.keep_checkpoint best or last"),
        ({"trial": "early"}, "trial early (crashed) ended before it read its data; choose another"),
        ({"trial": "changed"}, "was changed after the trial wrote it"),
        ({"images": "nowhere"}, "--images nowhere: no such file or folder"),
        ({"images": "empty"}, "--images empty: no image or video there"),
        ({"images": "broken"}, "broken/b.png: cannot be read (not an image"),
        ({"images": "twice"}, "would both write a.png"),
        ({"images": "overlay-legend.png"}, "overlay-legend.png and the legend would both write overlay-legend.png"),
        ({"out": "pictures"}, "--out pictures is not empty"),
        ({"out": "file"}, "file is not a writable folder"),
        ({"scales": "1;2"}, "--scales '1;2': expected numbers separated by commas"),
        ({"scales": "0"}, "--scales '0': each must be above 0"),
        ({"trial": "square", "scales": "0.5,1"}, "works at a single image size only: leave out --scales"),
        ({"trial": "square", "window": "64"}, "leave out --scales and --window"),
        ({"scales": "nan"}, "--scales 'nan': each must be above 0"),
        pytest.param(
            {"trial": "hub"},
            "trials/hub: model.architecture 'keras_hub_segformer' comes from KerasHub: pip install",
            marks=WITHOUT_HUB,
        ),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    run: Path, pictures: Path, tmp_path: Path, here: Callable[..., Any], arguments: dict[str, str | None], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "b.png").write_bytes(b"nothing")
    (tmp_path / "twice").mkdir()
    shutil.copy(pictures / "large.png", tmp_path / "overlay-legend.png")
    for name in ("a.jpg", "a.png"):
        (tmp_path / "twice" / name).write_bytes((pictures / "large.png").read_bytes())
    given = {"run": run, "trial": "whole", "images": "pictures", "out": "out", **arguments}
    options = [part for name, value in given.items() if name != "run" and value for part in (f"--{name}", value)]
    if arguments == {"trial": "changed"}:  # one of them as a user has it
        done = predict(given["run"], *options, cwd=tmp_path)
        status, told = done.returncode, done.stderr
    else:
        status, _, told = here(given["run"], *options)
    assert status == 2, told
    assert told.count("\n") == 1
    assert told.startswith("error: ")
    assert message in told
    assert not (tmp_path / "out").exists()


def test_a_model_whose_code_cannot_be_imported_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net_of_another.py").write_text("import no_such_package_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    spec = SPEC.model_copy(update={"model": ModelSpec(backbone="net_of_another:Net")})
    with pytest.raises(UsageError, match=r"^the model of w\.h5 cannot be built here: No module named 'no_such_package"):
        trained_model(spec, Path("w.h5"), 3)


def test_another_trial_s_broken_record_is_no_hindrance(run: Path, tmp_path: Path) -> None:
    home = Path(shutil.copytree(run, tmp_path / "runs" / "a"))
    (home / "trials" / "bare" / "record.json").write_text("{")
    assert choose_trial(home, "whole").folder == home / "trials" / "whole"
    with pytest.raises(UsageError, match="bare"):
        choose_trial(home, "bare")
    shutil.copytree(home, tmp_path / "runs" / "b")
    with pytest.raises(UsageError, match="has two trials"):
        choose_trial(tmp_path / "runs", "whole")


def test_checking_needs_no_tensorflow(tmp_path: Path) -> None:
    code = "import sys, bench.predict; print([m for m in ('tensorflow', 'ray', 'keras') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
