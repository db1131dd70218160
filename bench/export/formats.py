"""The formats: what each is written by, run by, and cannot hold."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.core import UsageError

INSTALL = "pip install -e '.[export]'"
Found = tuple[np.ndarray, np.ndarray]
"""Labels (B, H, W) and probabilities (B, H, W, C)."""


@dataclass(frozen=True)
class Views:
    """The views that an exported model averages: scales and mirror image, then refined by a dense CRF."""

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    crf: bool = False


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        name: for `--format`.
        title: in words.
        file: name of the file, or folder, in the folder of the export.
        library: how model hubs call what reads it.
        writer: packages that write it, besides TensorFlow.
        runtime: packages of which one runs it; empty: TensorFlow does.
        has_crf: whether it has the operations of the dense CRF.
        has_examples: whether it takes serialized tf.train.Examples, too.
        use: lines of Python that run it on `images`, uint8 (1, H, W, 3).
    """

    name: str
    title: str
    file: str
    library: str
    writer: tuple[str, ...]
    runtime: tuple[str, ...]
    has_crf: bool
    has_examples: bool
    use: str


def _use_of(folder: str) -> str:
    """Return the lines that run a SavedModel."""
    return (
        "import tensorflow as tf\n"
        f'serve = tf.saved_model.load("{folder}").signatures["serving_default"]\n'
        "found = serve(images=tf.constant(images))\n"
        'labels, probabilities = found["labels"].numpy(), found["probabilities"].numpy()'
    )


FORMATS = {
    one.name: one
    for one in (
        Format(
            "savedmodel", "TensorFlow SavedModel", "saved_model", "tf-keras", (), (), True, False,
            _use_of("saved_model"),
        ),
        Format(
            "onnx", "ONNX", "model.onnx", "onnx", ("tf2onnx",), ("onnxruntime",), False, False,
            "import onnxruntime\n"
            'session = onnxruntime.InferenceSession("model.onnx")\n'
            'labels, probabilities = session.run(["labels", "probabilities"], {"images": images})',
        ),
        Format(
            "litert", "LiteRT (TensorFlow Lite)", "model.tflite", "tflite", (), ("ai_edge_litert", "tensorflow"),
            False, False,
            "from ai_edge_litert.interpreter import Interpreter  # or tf.lite.Interpreter\n"
            'serve = Interpreter("model.tflite").get_signature_runner()\n'
            "found = serve(images=images)\n"
            'labels, probabilities = found["labels"], found["probabilities"]',
        ),
        Format(
            "tfx", "TensorFlow SavedModel for TensorFlow Extended", "Format-Serving", "tf-keras", (), (), True, True,
            _use_of("Format-Serving"),
        ),
    )
}  # fmt: skip


def check(kind: Format, views: Views) -> None:
    """Refuse a format that lacks a package here, or that cannot hold the views.

    Raises:
        UsageError: names the package, or what the format lacks.
    """
    lacking = [name for name in kind.writer if importlib.util.find_spec(name) is None]
    if lacking:
        raise UsageError(f"--format {kind.name} needs {', '.join(lacking)}, which the extra `export` has: {INSTALL}")
    if views.crf and not kind.has_crf:
        raise UsageError(f"--format {kind.name} has no form of the dense CRF (--crf); leave it out, or take savedmodel")


def write(kind: Format, model: Any, path: Path, views: Views, side: int | None, size: int | None = None) -> None:
    """Write a model in a format.

    Args:
        kind: the format.
        model: as for `models.inference.export.export`.
        path: file or folder to write.
        views: what the file computes.
        side: height and width of the images, for a model of one size; None: any.
        size: longest side to which pictures in Examples are resized; None: none is resized.

    Raises:
        UsageError: the format has no form of the model; one line says what it lacks.
    """
    from models import DenseCRF, export, export_litert, export_onnx

    try:
        with _silence():
            if kind.has_crf:
                crf = DenseCRF(from_logits=False) if views.crf else None
                export(
                    model, path, scales=views.scales, flip=views.flip, crf=crf,
                    examples=kind.has_examples, size=size, square=side is not None,
                )  # fmt: skip
            else:
                writer = export_onnx if kind.name == "onnx" else export_litert
                writer(model, path, scales=views.scales, flip=views.flip, side=side)
    except ValueError as error:
        raise UsageError(f"--format {kind.name}: {error}") from error


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep back what converters print from C++, dozens of lines for a file that is right: an error is raised, too."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def run_by_its_runtime(kind: Format, path: Path) -> Callable[[np.ndarray], Found] | None:
    """Return a function from images uint8 (B, H, W, 3) to what a written file gives; None without its runtime."""
    runtime = next((name for name in kind.runtime if importlib.util.find_spec(name)), None)
    if kind.runtime and runtime is None:
        return None
    if kind.name == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return lambda images: tuple(session.run(["labels", "probabilities"], {"images": images}))
    if kind.name == "litert":
        return _litert(path, runtime)
    import tensorflow as tf

    serve = tf.saved_model.load(str(path)).signatures["serving_default"]

    def run(images: np.ndarray) -> Found:
        found = serve(images=tf.constant(images))
        return found["labels"].numpy(), found["probabilities"].numpy()

    return run


def _litert(path: Path, runtime: str | None) -> Callable[[np.ndarray], Found]:
    if runtime == "ai_edge_litert":
        from ai_edge_litert.interpreter import Interpreter
    else:
        from tensorflow.lite.python.interpreter import Interpreter
    serve = Interpreter(str(path)).get_signature_runner()

    def run(images: np.ndarray) -> Found:
        found = serve(images=images)
        return found["labels"], found["probabilities"]

    return run
