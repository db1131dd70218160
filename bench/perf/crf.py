"""The dense CRF beside pydensecrf2, and where its time goes.

    python -m bench.perf.crf [--size 512] [--classes 3,21] [--batches 1,4] [--image FILE] [--threads N] [--parts]

The numbers are milliseconds per image from logits to marginals, including the lattices: medians of rounds in which the
sides take turns. The ratio is that of the medians; the bar is at most 0.7 on two cores or more, and 1.5 on one.
pydensecrf2 (the extra `oracle`) starts from prepared unaries, which favours it, and has one thread. TensorFlow has all
cores, unless `--threads` says otherwise. Agreement is the share of equal labels, and the largest difference of a
marginal.
`--parts` measures one call of each part of ours, and a training step.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf

import models
from bench.perf.ratios import Ratio, report, stack
from bench.perf.rounds import milliseconds, quartiles, times
from models.crf import lattice
from models.crf.simplices import simplices
from models.crf.sparse import product

try:
    from pydensecrf import densecrf
except ImportError:
    densecrf = None


BAR, BAR_OF_ONE_CORE = 0.7, 1.5


def scene(size: int, path: str | None) -> np.ndarray:
    """Return the image of a file, or blobs of colour with a little noise: uint8 (size, size, 3)."""
    if path:
        image = tf.io.decode_image(tf.io.read_file(path), 3, expand_animations=False)
        return tf.cast(tf.round(tf.image.resize(image, (size, size))), tf.uint8).numpy()
    rng = np.random.default_rng(0)
    coarse = tf.image.resize(rng.uniform(0, 255, (size // 32 + 1,) * 2 + (3,)), (size, size), "bicubic")
    return np.clip(coarse + rng.normal(0, 4, (size, size, 3)), 0, 255).astype("uint8")


def scores(size: int, classes: int) -> np.ndarray:
    """Return logits (size, size, classes), float32, of regions with noise."""
    rng = np.random.default_rng(1)
    coarse = tf.image.resize(rng.normal(0, 2, (size // 32 + 1,) * 2 + (classes,)), (size, size))
    return (coarse + rng.normal(size=(size, size, classes))).numpy().astype("float32")


def reference(image: np.ndarray, unaries: np.ndarray) -> np.ndarray:
    """Return the marginals (C, N) of pydensecrf2 for unaries (C, N)."""
    crf = densecrf.DenseCRF2D(image.shape[1], image.shape[0], len(unaries))
    crf.setUnaryEnergy(unaries)
    crf.addPairwiseGaussian(sxy=3, compat=3)
    crf.addPairwiseBilateral(sxy=80, srgb=13, rgbim=image, compat=10)
    return np.array(crf.inference(5))


def bar() -> float | None:
    """Return the largest ratio that is accepted; None beside a GPU."""
    if tf.config.list_physical_devices("GPU"):
        return None
    cores = tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count()
    return BAR if (cores or 1) > 1 else BAR_OF_ONE_CORE


def side_by_side(image: np.ndarray, logits: np.ndarray, batches: list[int], rounds: int) -> list[Ratio]:
    """Measure ours at each batch size against pydensecrf2; without pydensecrf2 only print the times."""
    classes = logits.shape[-1]
    layer = models.DenseCRF()
    traced = tf.function(lambda image, logits: layer([image, logits]))

    def run(image: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        found = traced(image, logits)
        found[0, 0, 0, 0].numpy()  # waits for the device without copying the marginals
        return found

    inputs = {batch: (tf.constant([image] * batch), tf.constant([logits] * batch)) for batch in batches}
    calls: dict[str, Callable] = {f"batch {batch}": partial(run, *pair) for batch, pair in inputs.items()}
    if densecrf:
        energies = -np.log(np.clip(tf.nn.softmax(logits), 1e-5, 1))
        unaries = np.ascontiguousarray(energies.reshape(-1, classes).T)
        calls["pydensecrf2"] = partial(reference, image, unaries)
    found = times(calls, rounds, warm_up=2)
    for batch in batches:  # per image
        found[f"batch {batch}"] = [seconds / batch for seconds in found[f"batch {batch}"]]
    ms = {name: 1e3 * statistics.median(values) for name, values in found.items()}
    what = f"dense CRF, {image.shape[0]} x {image.shape[1]} x {classes}"
    if not densecrf:
        print(f"{what}: " + ", ".join(f"{name} {value:.1f} ms" for name, value in ms.items()), flush=True)
        return []
    expected = calls["pydensecrf2"]().T
    marginals = run(*inputs[batches[0]])[0].numpy().reshape(-1, classes)
    same = 100 * np.mean(marginals.argmax(1) == expected.argmax(1))
    apart = np.abs(marginals - expected).max()
    print(f"{what}: {same:.3f} % of the labels agree, marginals to {apart:.1e}", flush=True)
    return [
        Ratio(f"{what}, {name}", "ms", ms[name], "pydensecrf2", ms["pydensecrf2"], at_most=bar(),
              spread=quartiles(found[name], found["pydensecrf2"]))
        for name in found if name != "pydensecrf2"
    ]  # fmt: skip


def parts(image: np.ndarray, logits: np.ndarray, rounds: int) -> None:
    """Measure the parts of the CRF and print a line per part."""
    layer = models.DenseCRF()
    pixels, classes = image.shape[0] * image.shape[1], logits.shape[-1]
    features = [tf.constant(values) for values in layer.features(tf.cast(image, tf.float32))]
    marginals = tf.nn.softmax(tf.reshape(logits, [pixels, classes]))
    built = [lattice.build(values) for values in features]
    kernel = lattice.filter_of(built)
    splatted = product(kernel.shares, marginals, transpose=True)
    sizes = " and ".join(str(one.neighbours.shape[2] - 1) for one in built)
    print(f"  {sizes} vertices for {pixels} pixels")
    traced: dict[str, Callable] = {
        "gaussian lattice": partial(lattice.build, features[0]),
        "bilateral lattice": partial(lattice.build, features[1]),
        "  its simplices": partial(simplices, features[1]),
        "softmax": partial(tf.nn.softmax, marginals),
        "training step": partial(training_step(layer), tf.constant(image[None]), tf.constant(logits[None])),
    }
    # A graph takes no compressed matrix from outside.
    eager: dict[str, Callable] = {
        "matrices, normalised": partial(lattice.filter_of, built),
        "splat": partial(product, kernel.shares, marginals, transpose=True),
        "bilateral blur": partial(lattice.blur, kernel.neighbours[1], splatted[-kernel.neighbours[1].shape[2] :]),
        "slice": partial(product, kernel.shares, splatted),
    }
    calls = {name: tf.function(call) for name, call in traced.items()} | eager
    for name, value in milliseconds(calls, rounds, warm_up=2).items():
        print(f"  {name:30s} {value:7.1f}", flush=True)


def training_step(layer: models.DenseCRF) -> Callable:
    """Return a function of image and logits: the gradients of a loss behind the layer."""

    def step(image: tf.Tensor, logits: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = tf.reduce_mean(tf.square(layer([image, logits])))
        return tape.gradient(loss, [logits, *layer.trainable_variables])

    return step


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.perf.crf", description="dense CRF, side by side")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--classes", default="3,21")
    parser.add_argument("--batches", default="1,4")
    parser.add_argument("--image", metavar="FILE", help="default: blobs of colour")
    parser.add_argument("--threads", type=int, default=0, help="of TensorFlow; default: one for each core")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the ratios and the machine here")
    parser.add_argument("--parts", action="store_true", help="where the time of ours goes")
    chosen = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(chosen.threads)
    tf.config.threading.set_inter_op_parallelism_threads(chosen.threads)
    threads = chosen.threads or "all"
    print(f"{stack()}, {threads} threads")
    if not densecrf and not chosen.parts:
        raise SystemExit("error: no ratio without pydensecrf2, which a C++ compiler builds: pip install -e '.[oracle]'")
    image = scene(chosen.size, chosen.image)
    found: list[Ratio] = []
    for classes in map(int, chosen.classes.split(",")):
        logits = scores(chosen.size, classes)
        found += side_by_side(image, logits, [int(batch) for batch in chosen.batches.split(",")], chosen.rounds)
        if chosen.parts:
            parts(image, logits, chosen.rounds)
    return report(found, chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
