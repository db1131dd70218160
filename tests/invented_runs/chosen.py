"""Small runs whose numbers a test chooses: {label: {seed: (mIoU, images/s)}}, or views and their mIoU by seed."""

import hashlib
from pathlib import Path

import results
from tests.invented_runs.folder import DATASET, write_folder

MACHINE = {
    "python": "3.12.1", "tensorflow": "2.21.0", "processor": "AMD EPYC", "instructions": "avx512f", "onednn": "1",
    "cores": 2, "gpus": [], "gpu_names": [], "device": "cpu", "replicas": 1, "precision": "float32",
}  # fmt: skip
HOW = {"deterministic": False, "jit_compile": False, "steps_per_execution": 1, "eager": False}


def made_run(folder: Path, cells, machine=MACHINE, version="v1", planned=None, grid="losses", epochs=3, **more) -> Path:
    """A value of None instead of the pair makes a trial that diverged; `more` are further fields of every record."""
    records = [
        record(label, seed, pair, machine, version, epochs, **more)
        for label, seeds in cells.items()
        for seed, pair in seeds.items()
    ]
    every = [
        {"cell": key(label, epochs), "label": label, "seeds": list((planned or {}).get(label, seeds))}
        for label, seeds in {**cells, **(planned or {})}.items()
    ]
    return write_folder(folder, records, every, grid=grid, command=f"python -m bench.run --grid {grid}")


def run_of_views(folder: Path, cells, views=()) -> Path:
    """{label: [mIoU of each seed]}, and of further views {name: the same}; two classes, of 90 and 10 pixels."""
    records = [
        results.Record(
            trial=f"{label}-s{seed}", cell=label, label=label, axes={"loss": label}, seed=seed, status="ok",
            dataset={**DATASET, "class_names": ["much", "little"]},
            views=[_view(view, of[label][seed]) for view, of in {"default": cells, **dict(views)}.items()],
        )
        for label, scores in cells.items()
        for seed in range(len(scores))
    ]  # fmt: skip
    planned = [{"cell": label, "label": label, "seeds": [*range(len(scores))]} for label, scores in cells.items()]
    return write_folder(folder, records, planned)


def _view(name, miou):
    iou = [min(1, max(0, 2 * miou - 0.3)), 0.3]
    return {"view": name, "images": 3, "miou": miou, "iou": iou, "confusion": [[90, 0], [4, 6]]}


def key(label, epochs=3):
    return hashlib.sha256(f"{label} {epochs}".encode()).hexdigest()[:12]


def record(label, seed, pair, machine=MACHINE, version="v1", epochs=3, hand_over_ns=None, **more):
    """`hand_over_ns`: of the throughput, or {seed: its value}."""
    base = {
        "trial": f"{label}-s{seed}",
        "cell": key(label, epochs),
        "label": label,
        "axes": {"loss": label},
        "seed": seed,
    }
    base["dataset"] = {**DATASET, "version": version}
    base["environment"] = machine
    base["spec"] = {"loss": {"name": label}, "train": {"epochs": epochs, "steps_per_epoch": 5, "batch_size": 8, **HOW}}
    base["spec"]["placement"] = {"cpus": 2}
    if pair is None:
        error = {"kind": "Diverged", "message": "NaN at step 3"}
        return results.Record(**base, status="diverged", error=error, **more)
    miou, rate = pair
    if isinstance(hand_over_ns, dict):
        hand_over_ns = hand_over_ns.get(seed)
    base["views"] = [{"images": 3, "miou": miou, "iou": [miou, miou]}]
    base["throughput"] = {"images_per_second": rate, "windows": [rate] * 3, "comparable": rate is not None}
    base["throughput"]["hand_over_ns"] = hand_over_ns
    base["throughput"]["reason"] = None if rate is not None else "the rate had not settled"
    base["memory"], base["clocks"] = {"peak_rss_mb": 1000.0 + seed}, {"compile_s": 10.0 + 0.1 * seed, "train_s": 9.0}
    return results.Record(**{**base, "status": "ok", **more})
