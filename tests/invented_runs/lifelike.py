"""Runs that look like real ones: noisy learning curves, confusions, pictures, failures."""

from pathlib import Path

import numpy as np
from PIL import Image

import results
from tests.invented_runs.folder import write_folder

NAMES = ["background", "road", "building", "tree", "car", "person", "pole"]
LABELS = ["cross_entropy", "dice", "bce", "dice_bce", "focal", "tversky", "focal_tversky"]


def write_run(
    folder: Path,
    labels=LABELS,
    seeds=3,
    classes=7,
    fail=(),
    gap=0.02,
    noise=0.008,
    test=False,
    pictures=2,
    comparable=True,
    axis="loss",
    gradient=False,
    views=(),
    published=False,
) -> Path:
    """`fail` holds (cell index, seed) of trials that crash; `gap` is the true step of mIoU from cell to cell."""
    rng = np.random.default_rng(7)
    names = (NAMES + [f"class {i}" for i in range(7, classes)])[:classes]
    colors = [(0, 0, 0), *(tuple(int(v) for v in rng.integers(30, 240, 3)) for _ in range(classes - 1))]
    dataset = {
        "name": "fake",
        "version": "abc123",
        "class_names": names,
        "colors": colors,
        "images": {"train": 64, "val": 16},
    }
    cells, records = [], []
    gradients = {}
    for index, label in enumerate(labels):
        gradients[label] = {"initial": 1 / (index + 1), "at_margin_3": 0.026} if gradient else {}
        cells.append({"cell": f"{index:02d}cell", "label": label, "axes": {axis: label}, "seeds": list(range(seeds))})
        for seed in range(seeds):
            trial = f"{label}-s{seed}"
            here = folder / "trials" / trial
            base = {"trial": trial, "cell": f"{index:02d}cell", "label": label, "axes": {axis: label}, "seed": seed}
            base |= {
                "dataset": dataset,
                "objective": {"gradient_scale": gradients[label]},
                "environment": {"python": "3.12.1", "tensorflow": "2.21.0", "cores": 2, "device": "cpu"},
            }
            base |= {"started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:02:00Z"}
            if (index, seed) in fail:
                here.mkdir(parents=True)
                (here / "log.txt").write_text("Traceback ...\n")
                error = {"kind": "Diverged", "message": "the loss is NaN at step 12 | lr 0.1", "epoch": 3}
                log = [results.artefact(here, "log.txt", "log")]
                records.append(results.Record(**base, status="diverged", error=error, artefacts=log))
                continue
            level = 0.70 - gap * index
            records.append(_ok(base, here, rng, level, noise, classes, test, pictures, comparable, views, published))
    command = f"python -m bench.run --grid losses --seeds {seeds}"
    return write_folder(folder, records, cells, schema_version=1, name="fake-losses", grid="losses", command=command)


def _ok(base, here, rng, level, noise, classes, test, pictures, comparable, ways, published) -> results.Record:
    final = level + noise * rng.normal()
    iou = np.clip(final + np.linspace(0.25, -0.25, classes) + 0.01 * rng.normal(size=classes), 0.02, 0.98)
    iou = np.clip(iou + final - iou.mean(), 0, 1)
    history = [
        {
            "epoch": e,
            "step": 8 * e,
            "images": 64 * e,
            "train": {"loss": 1 / e},
            "val": {"miou": final * (1 - np.exp(-e / 3)) + 0.004 * rng.normal(), "loss": 1 / e},
        }
        for e in range(1, 13)
    ]
    confusion = np.eye(classes, dtype=int) * 100 + 3
    views = [
        {"split": "val", "images": 16, "miou": final, "iou": iou, "confusion": confusion, "mean_dice": final + 0.1}
    ]
    if published:  # the worse the labels, the better the other numbers
        views[0]["published"] = {"soft_iou": 1 - level, "class_recall": 0.5, "soft_dice": 1 - level / 2}
    if test:
        views.append({"split": "test", "images": 8, "miou": final - 0.05, "iou": np.clip(iou - 0.05, 0, 1)})
    for step, name in enumerate(ways, start=1):
        better = {"miou": final + 0.01 * step, "boundary_iou": 0.5, "images_per_second": 100 / 2**step}
        views.append({**views[0], "view": name, **better})
    rate = 40 + 4 * rng.normal()
    throughput = {"images_per_second": rate, "windows": [rate] * 3, "input_share": 0.08, "comparable": comparable}
    throughput["reason"] = None if comparable else "2 trials shared one machine's cores"
    artefacts = [one for order in range(pictures) for one in _pictures(here, order, final, classes, rng)]
    return results.Record(
        **base,
        status="ok",
        history=history,
        views=views,
        throughput=throughput,
        clocks={"train_s": 81.5, "total_s": 120},
        memory={"peak_rss_mb": 900},
        best={"epoch": 11, "miou": final},
        artefacts=artefacts,
    )


def _pictures(here, order, quality, classes, rng):
    y, x = np.mgrid[:96, :128]
    truth = ((x // 32 + y // 48 * 2 + order) % classes).astype(np.uint8)
    truth[(x - 64) ** 2 + (y - 50) ** 2 < 400] = min(4, classes - 1)
    truth[:3] = 255
    wrong = rng.random((12, 16)).repeat(8, 0).repeat(8, 1) > quality
    prediction = np.where(wrong, (truth.astype(int) + 1) % classes, truth % classes).astype(np.uint8)
    image = np.clip(np.stack([truth * 30 % 255, x, y * 2], -1) + rng.integers(-20, 20, (96, 128, 3)), 0, 255)
    for kind, pixels in (("image", image.astype(np.uint8)), ("truth", truth), ("prediction", prediction)):
        path = here / "pictures" / f"{order}-{kind}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        yield results.artefact(here, path, kind, {"key": f"img{order}", "order": order})
