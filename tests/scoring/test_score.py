"""`bench.score`: label maps of any framework become records that reports, comparisons and the gate read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import reports
import results
from bench import score as command
from bench.core import start

PROJECT = Path(__file__).resolve().parents[2]
KEYS = ("a", "b", "c")
SIZES = {"a": (20, 30), "b": (16, 16), "c": (9, 40)}


def truth(key):
    label = np.random.default_rng(ord(key)).integers(0, 3, SIZES[key]).astype(np.uint8)
    label[0] = 255
    return label


def predicted(key, share=0.7, seed=0):
    """The truth, wrong on a share of its pixels."""
    random = np.random.default_rng([ord(key), seed])
    label = truth(key)
    guessed = random.integers(0, 3, label.shape).astype(np.uint8)
    return np.where((random.uniform(size=label.shape) < share) & (label != 255), label, guessed)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder of three test pictures of different sizes, and one of each other split."""
    root = tmp_path / "data"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    SIZES.update(x=(16, 16), y=(16, 16))
    for key in (*KEYS, "x", "y"):
        Image.fromarray(np.full((*SIZES[key], 3), 100 + ord(key), np.uint8)).save(root / "images" / f"{key}.png")
        Image.fromarray(truth(key)).save(root / "masks" / f"{key}.png")
    (root / "classes.txt").write_text("sky\nland\nsea\n")
    for split, keys in {"train": "x", "val": "y", "test": KEYS}.items():
        (root / f"{split}.txt").write_text("\n".join(keys) + "\n")
    monkeypatch.chdir(tmp_path)
    return root


@pytest.fixture
def score(monkeypatch, capsys, data):
    """The command in this process: its exit status and what it printed."""

    def run(*arguments):
        words = ["bench.score", *map(str, arguments), "--data-root", str(data), "--out", "runs/torch"]
        monkeypatch.setattr(command, "prepare_process", lambda: None)
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            start(command.main)
        return ended.value.code, *capsys.readouterr()

    return run


def write(folder, seed=0, share=0.7, **changed):
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    for number, key in enumerate(KEYS):
        ids = changed.get(key, predicted(key, share, seed))
        if number % 2:
            np.save(folder / f"{key}.npy", np.asarray(ids, np.int64) if np.asarray(ids).dtype == np.uint8 else ids)
        else:
            Image.fromarray(ids).save(folder / f"{key}.png")
    (folder / "a-overlay.png").write_bytes(b"no label map, left alone")
    return folder


def test_scores_are_those_counted_by_hand(score):
    status, output, error = score(write("maps"), "--label", "unet", "--seed", 3)
    assert status == 0, error
    counted = np.zeros((3, 3), int)
    for key in KEYS:
        valid = truth(key) != 255
        np.add.at(counted, (truth(key)[valid], predicted(key)[valid]), 1)
    (file,) = Path("runs/torch/trials").glob("unet-*-s3/record.json")
    record = results.read(file)
    (view,) = record.views
    assert view.confusion == counted.tolist()
    union = counted.sum(0) + counted.sum(1) - np.diag(counted)
    assert view.miou == pytest.approx((np.diag(counted) / union).mean())
    assert (view.split, view.images, record.seed, record.label) == ("test", 3, 3, "unet")
    assert f"unet, seed 3: mIoU {100 * view.miou:.2f} % on 3 images of the split test" in output
    assert record.throughput is None
    assert record.memory.peak_rss_mb is None


def test_slices_are_scored_on_their_own(score, data):
    (data / "slices.csv").write_text("image,time\na,day\nb,night\nc,day\n")
    status, _, error = score(write("maps"), "--label", "unet")
    assert status == 0, error
    (file,) = Path("runs/torch/trials").glob("unet-*/record.json")
    (view,) = results.read(file).views
    counted = {}
    for key, value in {"a": "day", "b": "night", "c": "day"}.items():
        valid = truth(key) != 255
        np.add.at(counted.setdefault(value, np.zeros((3, 3), int)), (truth(key)[valid], predicted(key)[valid]), 1)
    assert [(one.feature, one.value, one.images) for one in view.slices] == [("time", "day", 2), ("time", "night", 1)]
    assert {one.value: one.confusion for one in view.slices} == {key: of.tolist() for key, of in counted.items()}
    assert sum(counted.values()).tolist() == view.confusion


def test_calls_add_to_a_run_that_report_and_gate_read(score):
    for label, share in (("unet", 0.7), ("segformer", 0.9)):
        for seed in range(3):
            assert score(write(f"{label}{seed}", seed, share), "--label", label, "--seed", seed)[0] == 0
    run = results.read_run("runs/torch")
    cells = {cell["label"]: cell["seeds"] for cell in run.manifest["cells"]}
    assert cells == {"unet": [0, 1, 2], "segformer": [0, 1, 2]}
    page = reports.write(Path("runs/torch"))
    text = page.read_text()
    assert "segformer** has the highest test mIoU" in text
    assert "on the test split" in text
    assert "validation" not in text.lower().replace("chosen by the validation split", "")
    compared = results.compare("runs/torch", "runs/torch")
    rows = {row.metric: row for row in compared.rows if row.label == "unet"}
    assert rows["miou"].verdict in ("ok", "inconclusive")
    assert rows["images_per_second"].verdict == "not comparable"
    assert not any(row.verdict == "ok" for name, row in rows.items() if name in ("images_per_second", "peak_rss_mb"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"a": np.zeros((20, 31), np.uint8)}, "maps/a.png: 31x20 pixels, but the label of 'a' has 30x20"),
        ({"b": np.full((16, 16), 7, np.uint8)}, "maps/b.npy: class id 7 on 256 pixels, but there are 3 classes"),
        ({"a": truth("a")}, "maps/a.png: 30 pixels are void (255); a prediction needs a class for every pixel"),
        ({"a": np.zeros((20, 30, 3), np.uint8)}, "maps/a.png: a picture of mode RGB; write one channel of class ids"),
        ({"b": np.zeros((16, 16), np.float32)}, "maps/b.npy: values of type float32; write class ids as integers"),
        ({"b": np.full((16, 16), -1, np.int16)}, "maps/b.npy: class ids -1 to -1; they have to be 0 to 255"),
        ({"b": np.zeros((16, 16, 3), np.int16)}, "maps/b.npy: an array of shape (16, 16, 3)"),
        ({"b": np.array([[{}]], object)}, "maps/b.npy: cannot be read"),
    ],
)  # fmt: skip
def test_a_bad_label_map_is_one_line_and_leaves_nothing(score, changed, message):
    status, _, error = score(write("maps", **changed), "--label", "unet")
    assert status == 2
    assert message in error
    assert error.count("\n") == 1
    assert not Path("runs").exists()


def test_other_refusals_are_one_line(score, data):
    maps = write("maps")
    for arguments, message in (
        (("nowhere", "--label", "u"), "nowhere: no such folder of label maps"),
        ((data, "--label", "u"), "no label map of 3 of 3 images of the split test: 'a', 'b', 'c'; write one"),
        ((maps, "--label", "u", "--split", "val"), "no label map of 1 of 1 images of the split val: 'y'"),
        ((maps, "--label", "u", "--set", "train.epochs=3"), "only fields of data are set here"),
        ((maps, "--label", "u", "--set", "data.maks=x"), "did you mean 'data.masks'"),
        ((maps, "--label", " "), "--label ' ': name what predicted"),
        ((maps, "--label", "u\nv"), r"--label 'u\nv': name what predicted"),
    ):
        status, _, error = score(*arguments)
        assert (status, error.count("\n")) == (2, 1), error
        assert message in error
    assert not Path("runs").exists()
    assert score(maps, "--label", "u")[0] == 0
    assert "holds the label maps of 'u', seed 0 already" in score(maps, "--label", "u")[2]
    (data / "test.txt").write_text("a\n")
    assert "holds scores of the split test of version" in score(maps, "--label", "u", "--seed", 1)[2]
    (data / "test.txt").unlink()
    assert "no split test; choose one with --split: train, val" in score(maps, "--label", "u", "--seed", 1)[2]
    manifest = Path("runs/torch/run.json")
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "scored": False}))
    assert "holds other things than scored label maps" in score(maps, "--label", "u", "--seed", 1)[2]


@pytest.mark.slow
def test_the_label_maps_of_a_trial_give_its_own_test_scores(data, score, tmp_path):
    """Train, predict the test pictures with `bench.predict`, score them: the same integers."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}

    def run(*words):
        subprocess.run([sys.executable, *map(str, words)], cwd=tmp_path, env=environment, check=True, timeout=600)

    settings = {
        "model.backbone": "mobilenetv3_small", "data.root": data, "data.size": 64, "data.crop": 64,
        "train.epochs": 1, "train.steps_per_epoch": 2, "train.batch_size": 2,
    }  # fmt: skip
    run("-m", "bench.trial", "--out", "trial", *(f"--set={name}={value}" for name, value in settings.items()))
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for key in KEYS:
        (pictures / f"{key}.png").write_bytes((data / "images" / f"{key}.png").read_bytes())
    run("-m", "bench.predict", "trial", "--images", "pictures", "--out", "maps")
    assert score("maps", "--label", "ours")[0] == 0
    own = next(view for view in results.read(tmp_path / "trial").views if view.split == "test")
    (file,) = Path("runs/torch/trials").glob("*/record.json")
    (scored,) = results.read(file).views
    assert scored.confusion == own.confusion
    assert scored.miou == own.miou
    assert scored.boundary_iou == own.boundary_iou
    assert scored.mean_image_iou == own.mean_image_iou
