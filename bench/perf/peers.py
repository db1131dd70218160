"""A training step of ours beside that of segmentation_models.pytorch's DeepLabV3+ (SMP), in turns.

    python -m bench.perf.peers [--case efficientnetlite_b0:160:8 ...] [--precision float32] [--rounds 7] [--json FILE]
    python -m bench.perf.peers --keras

Both train DeepLabV3+ on the same kind of backbone, with random weights, at one size, batch and output stride: forward
pass, cross-entropy, backward pass, AdamW. Decoder and head are each library's own. SMP runs in four ways: eagerly and
by torch.compile, each with both layouts of memory. Ours has to be faster than the fastest of them.

Each side is a process of its own, and they take turns, because the thread pools of TensorFlow and PyTorch disturb each
other in one process. The first step is timed from the call that builds the model to the end of the step, without
imports; ours is compared with that of the way of SMP that is fastest later.

It needs the extra `peers`; torch.compile needs a C++ compiler, too.

With `--keras` the other sides are other models of ours and, as far as installed, KerasCV's and KerasHub's at output
stride 32, each without a bar.
"""

from __future__ import annotations

import multiprocessing
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
import typer

from bench.core import UsageError, command, prepare_process, start
from bench.perf.ratios import Ratio, keep, report, stack
from bench.perf.rounds import quartiles, times

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Step = Callable[[], object]
"""Does one training step, and returns when it is done."""

ENCODERS = {
    "efficientnetlite_b0": "tu-tf_efficientnet_lite0",
    "efficientnetlite_b1": "tu-tf_efficientnet_lite1",
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
}
"""SMP's name of each of our backbones that it has, too."""
PRECISIONS = ("float32", "mixed_bfloat16")
SPEED_BAR, FIRST_BAR = 1.3, 2.0
RATE = 1e-4


class Case(NamedTuple):
    """What is measured: a backbone at `batch` images of `size` x `size` pixels."""

    backbone: str
    size: int
    batch: int
    output_stride: int
    classes: int
    precision: str

    def __str__(self) -> str:
        return f"{self.backbone}, {self.batch} x {self.size} px, stride {self.output_stride}, {self.precision}"

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Return images float32 (B, H, W, 3) and labels int32 (B, H, W) without structure."""
        rng, shape = np.random.default_rng(0), (self.batch, self.size, self.size)
        images = rng.uniform(-1, 1, (*shape, 3)).astype("float32")
        return images, rng.integers(0, self.classes, shape, dtype="int32")


def ours(case: Case, **changed: Any) -> Callable[[], Step]:
    """Import what a trial needs, and return the function that builds the training step of a model that it can train.

    Args:
        case: what is measured.
        changed: fields of the model that differ from ours.
    """
    prepare_process()
    import keras
    import tensorflow as tf

    import losses
    import models
    from bench.trial import AdamW, make_variables

    keras.mixed_precision.set_global_policy(case.precision)

    def build() -> Step:
        fields = {"backbone": case.backbone, "output_stride": case.output_stride, **changed}
        spec = models.ModelSpec.model_validate(fields)
        model, loss, optimizer = models.build(spec, case.classes, seed=0), losses.get("cross_entropy"), AdamW(RATE)
        variables = model.trainable_variables
        make_variables(optimizer, variables)
        images, labels = map(tf.constant, case.data())

        @tf.function(autograph=False)
        def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                value = tf.reduce_mean(loss.call(labels, tf.cast(model(images, training=True), tf.float32)))
            optimizer.apply_gradients(zip(tape.gradient(value, variables), variables, strict=True))
            return value

        return lambda: step(images, labels).numpy()

    return build


def theirs(case: Case, compiled: bool, channels_last: bool) -> Callable[[], Step]:
    """Import PyTorch, and return the function that builds SMP's training step.

    Raises:
        UsageError: the extra is not installed.
    """
    from bench.perf.smp import peers

    torch, smp = peers()

    def build() -> Step:
        layout = torch.channels_last if channels_last else torch.contiguous_format
        model = smp.DeepLabV3Plus(
            ENCODERS[case.backbone], encoder_weights=None, encoder_output_stride=case.output_stride,
            classes=case.classes,
        ).to(memory_format=layout).train()  # fmt: skip
        optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
        called = torch.compile(model) if compiled else model
        images, labels = case.data()
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=layout)
        truth, half = torch.from_numpy(labels.astype("int64")), case.precision != "float32"

        def step() -> float:
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                logits = called(batch)
            loss = torch.nn.functional.cross_entropy(logits.float(), truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return float(loss.detach())

        return step

    return build


SMP: dict[str, tuple[Callable[..., Callable[[], Step]], dict[str, Any]]] = {
    "SMP": (theirs, {"compiled": False, "channels_last": False}),
    "SMP, channels last": (theirs, {"compiled": False, "channels_last": True}),
    "SMP, compiled": (theirs, {"compiled": True, "channels_last": False}),
    "SMP, compiled, channels last": (theirs, {"compiled": True, "channels_last": True}),
}
KERAS: dict[str, tuple[Callable[..., Callable[[], Step]], dict[str, Any]]] = {
    "ours, stride 32": (ours, {"output_stride": 32}),
    "ours, skips": (ours, {"skip_strides": (8, 16), "low_level_channels": 256}),
    "ours, stride 32, skips": (ours, {"output_stride": 32, "skip_strides": (8, 16), "low_level_channels": 256}),
    "KerasCV": (ours, {"architecture": "keras_cv", "output_stride": 32}),
    "KerasHub": (ours, {"architecture": "keras_hub", "output_stride": 32}),
    "KerasHub's SegFormer": (ours, {"architecture": "keras_hub_segformer", "output_stride": 32}),
}
SIDES = {"ours": (ours, {}), **SMP, **KERAS}


def _serve(pipe: Connection, name: str, case: Case) -> None:
    """Build a side in this process, report the seconds of its first step, and do a step whenever asked."""
    make, options = SIDES[name]
    try:
        build = make(case, **options)
        began = perf_counter()
        step = build()
        step()
        pipe.send(perf_counter() - began)
    except Exception as error:  # of any library: the other sides are measured
        pipe.send(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
        return
    while pipe.recv():
        step()
        pipe.send(None)


@contextmanager
def side(name: str, case: Case) -> Iterator[tuple[float | str, Step]]:
    """Yield the seconds of the first step of a side, or why there was none, and a call that does one more step."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, name, case), daemon=True)
    process.start()
    there.close()

    def step() -> None:
        here.send(True)
        here.recv()

    try:
        try:
            first: float | str = here.recv()
        except EOFError:
            process.join()
            first = f"its process ended with status {process.exitcode}"
        yield first, step
        if not isinstance(first, str):
            here.send(False)
    finally:
        process.join(10)
        process.kill()


def measure(case: Case, rounds: int, others: list[str]) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return the seconds of each step by side, in rounds, and those of the first step.

    Raises:
        UsageError: ours, or every other side, could not be measured; with the reason.
    """
    first: dict[str, float] = {}
    failed: dict[str, str] = {}
    steps: dict[str, Step] = {}
    with ExitStack() as stack:
        for name in ["ours", *others]:
            found, step = stack.enter_context(side(name, case))
            if isinstance(found, str):
                failed[name] = found
                print(f"{case}: {name} was not measured: {found}", flush=True)
            else:
                first[name], steps[name] = found, step
        if "ours" not in steps or len(steps) < 2:
            raise UsageError(f"{case}: {'; '.join(f'{name}: {why}' for name, why in failed.items())}")
        seconds = times(steps, rounds, warm_up=2)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in middle.items():
        print(f"{case}: {name}: {value:.3f} s a step, first {first[name]:.1f} s", flush=True)
    return seconds, first


def each(case: Case, seconds: dict[str, list[float]]) -> list[Ratio]:
    """Return the ratio of images/s, ours to each other side, from the seconds of each round."""
    rates = {name: case.batch / statistics.median(values) for name, values in seconds.items()}
    return [
        Ratio(
            f"training, {case}", "images/s", rates["ours"], name, rates[name], spread=quartiles(values, seconds["ours"])
        )
        for name, values in seconds.items()
        if name != "ours"
    ]


def ratios(case: Case, seconds: dict[str, list[float]], first: dict[str, float]) -> list[Ratio]:
    """Return the ratios of images/s and of the first step, ours to the fastest way of SMP, from seconds by side."""
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    best = min(middle.keys() - {"ours"}, key=lambda name: middle[name])
    rates = [case.batch / middle[name] for name in ("ours", best)]
    spread = quartiles(seconds[best], seconds["ours"])
    return [
        Ratio(f"training, {case}", "images/s", rates[0], best, rates[1], at_least=SPEED_BAR, spread=spread),
        Ratio(f"first step, {case}", "s", first["ours"], best, first[best], at_most=FIRST_BAR),
    ]


def case_of(text: str, output_stride: int, classes: int, precision: str) -> Case:
    """Return the case of an argument BACKBONE:PIXELS:BATCH.

    Raises:
        UsageError: it is written otherwise.
    """
    name, *numbers = text.split(":")
    if len(numbers) != 2 or not all(number.isdecimal() and int(number) for number in numbers):
        raise UsageError(f"--case {text}: expected BACKBONE:PIXELS:BATCH, such as resnet50:512:2")
    return Case(name, int(numbers[0]), int(numbers[1]), output_stride, classes, precision)


@command
def main(
    case: Annotated[list[str] | None, typer.Option(help="BACKBONE:PIXELS:BATCH; may be given again.")] = None,
    precision: Annotated[str, typer.Option(help=" or ".join(PRECISIONS))] = "float32",
    output_stride: Annotated[int, typer.Option(help="8, 16 or 32.")] = 16,
    classes: Annotated[int, typer.Option(min=2)] = 21,
    rounds: Annotated[int, typer.Option(min=3)] = 7,
    eager: Annotated[
        bool, typer.Option("--eager", help="Leave torch.compile out, which compiles for up to a minute.")
    ] = False,
    keras: Annotated[bool, typer.Option("--keras", help="Compare with other models in Keras, not with SMP.")] = False,
    out: Annotated[Path | None, typer.Option("--json", help="Write figures and machine here.")] = None,
) -> int:
    """Print how much faster than others we train. Exit status: 0 all bars met, 1 one is missed, 2 usage."""
    if precision not in PRECISIONS:
        raise UsageError(f"--precision {precision}: expected {' or '.join(PRECISIONS)}")
    texts = case or ["efficientnetlite_b0:160:8", "efficientnetlite_b0:512:2", "resnet18:160:8", "resnet50:160:8"]
    cases = [case_of(text, output_stride, classes, precision) for text in texts]
    for one in [] if keras else cases:
        if one.backbone not in ENCODERS:
            raise UsageError(f"--case {one.backbone}: SMP is compared with {', '.join(ENCODERS)} only")
    print(stack())
    found: list[Ratio] = []
    others = [*KERAS] if keras else [name for name in SMP if not (eager and "compiled" in name)]
    for one in cases:
        seconds, first = measure(one, rounds, others)
        found += each(one, seconds) if keras else ratios(one, seconds, first)
        keep(found, out)
    return report(found, out)


if __name__ == "__main__":
    start(main)
