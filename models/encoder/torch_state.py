"""Read the tensors of a PyTorch state dict without PyTorch, and without running code that a pickle names.

The file has PyTorch's format from before 1.6: five pickles (magic number, protocol, system, state dict, storage keys),
then the raw storages in the order of the keys, each after its element count.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _View:
    """A tensor whose storage is not read yet."""

    def __init__(self, storage: tuple[str, np.dtype], offset: int, shape: tuple, strides: tuple, *_: Any) -> None:
        (self.key, self.dtype), self.offset, self.shape, self.strides = storage, offset, shape, strides

    def of(self, storages: dict[str, np.ndarray]) -> np.ndarray:
        values = storages[self.key][self.offset :]
        # as_strided checks no bounds, and the numbers come from the file.
        reach = sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        if min((self.offset, *self.strides, *self.shape)) < 0 or reach >= values.size:
            raise ValueError("a tensor lies outside its storage")
        strides = [stride * values.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(values, self.shape, strides).copy()


class _TensorsOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _View
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(f"refused {module}.{name}: only tensors are read")

    def persistent_load(self, pid: Any) -> tuple[str, np.dtype]:
        kind, dtype, key, *_ = pid
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError(f"refused a persistent object of kind {kind!r}: only tensors are read")
        return str(key), dtype


def read(path: Path) -> dict[str, np.ndarray]:
    """Return {name: array}, copied.

    Raises:
        ValueError: the file has another format, or holds anything but tensors.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except (pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"{path} is no PyTorch state dict that can be read safely: {error}") from None


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
    if _TensorsOnly(file).load() != _MAGIC:
        raise ValueError("wrong magic number")
    _protocol, _system = _TensorsOnly(file).load(), _TensorsOnly(file).load()
    views = _TensorsOnly(file).load()
    keys = _TensorsOnly(file).load()
    dtypes = {view.key: view.dtype for view in views.values()}
    storages = {}
    for key in keys:
        count = int.from_bytes(file.read(8), "little", signed=True)
        data = file.read(count * dtypes[key].itemsize)
        storages[key] = np.frombuffer(data, dtypes[key], count)
    return {name: view.of(storages) for name, view in views.items()}
