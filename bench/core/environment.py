"""The environment of a trial: versions, machine, commit and caches, and the set-up of a process before TensorFlow."""

from __future__ import annotations

import gc
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from bench.core.errors import UsageError
from bench.core.keras_version import settle_keras

_HOME = Path(__file__).resolve().parents[2]
_CGROUP = Path("/sys/fs/cgroup")
_CPUINFO = Path("/proc/cpuinfo")
_VECTORS = {"avx512f": "avx512f", "avx2": "avx2", "avx": "avx", "asimd": "neon"}
"""Names of vector instructions by their flag in /proc/cpuinfo, the widest first."""
_DRIVER_SECONDS = 30.0
_THREADS = "TF_NUM_INTRAOP_THREADS"
"""Environment variable of TensorFlow: the number of threads that one operation may use."""
COMMIT_VARIABLE = "SEGMENTATION_BENCH_COMMIT"
"""Environment variable: the commit of a copy of the project that is no git checkout."""
CACHE_VARIABLE = "SEGMENTATION_BENCH_CACHE"
"""Environment variable: the folder of the caches of decoded images and of model costs."""
ROOMS = ("bench", "losses", "models", "results", "reports")
PACKAGES = (
    "tensorflow", "keras", "keras-cv", "keras-hub", "tensorflow-addons", "ray", "numpy", "pandas",
    "opencv-python-headless", "pillow",
)  # fmt: skip

AUGMENTATION_VERSION = 2
"""Of the arithmetic by which a policy and a seed become pixels.

1, also in records without it: integers, 1/16 pixel. 2: OpenCV, 1/32 pixel. Both draw the same numbers from a seed.
"""

MADE_BY = (
    "code", "python", "tensorflow", "keras", "keras_cv", "keras_hub", "tensorflow_addons", "augmentation",
    "opencv_python_headless", "pillow",
)  # fmt: skip
"""Entries of `describe` that the numbers of a trial depend on.

Pillow decodes and scales the pictures. Its versions round differently: 13.0 scales columns first if a picture is tall.
"""


def check_rooms() -> None:
    """Check that Python finds the packages of `ROOMS` in this project, and that `tf.keras` will be `keras`.

    Others may have packages of these generic names.

    Raises:
        UsageError: a package is found elsewhere, or not at all; or see `settle_keras`. The message names it.
    """
    settle_keras()
    for room in ROOMS:
        spec = importlib.util.find_spec(room)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin is None or origin.parent.parent != _HOME:
            found = origin or "no package of that name"
            raise UsageError(
                f"package {room!r} is shadowed: found {found}, expected {_HOME / room}; "
                "start in another folder or rename it"
            )


def package_versions() -> dict[str, str]:
    """Return the versions of the installed packages of `PACKAGES`, with `_` for `-` in their names."""
    found = {}
    for name in PACKAGES:
        try:
            found[name.replace("-", "_")] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def describe() -> dict[str, Any]:
    """Return versions, machine and commit as plain data, without importing TensorFlow or Ray."""
    return {
        "python": platform.python_version(),
        **package_versions(),
        "augmentation": AUGMENTATION_VERSION,
        "platform": platform.platform(terse=True),
        "processor": _processor(),
        "instructions": _instructions(),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", ""),
        "cores": machine_cores(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": list(gpu_names()),
        "git_commit": _commit(),
        "code": code_version(),
    }


def machine_cores() -> int:
    """Return the number of cores that this process may use, by its affinity and the CPU quota of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):  # cgroups version 2 and version 1
        try:
            quota, period = " ".join((_CGROUP / name).read_text() for name in files).split()
            share = int(quota) / int(period)
        except (OSError, ValueError):  # no such file, or no limit
            continue
        cores = min(cores, max(1, int(share))) if share > 0 else cores
    return cores


def usable_cores() -> int:
    """Return the number of cores that this process may use: those of the machine, or the share that its plan set."""
    share = os.environ.get(_THREADS, "")
    return min(machine_cores(), int(share)) if share.isdecimal() and int(share) else machine_cores()


def _processor() -> str:
    """Return the name of the processor, or of its architecture where the system gives no name."""
    return (_cpuinfo("model name") or platform.machine()) if _CPUINFO.exists() else platform.processor()


def _instructions() -> str:
    """Return the widest vector instructions, in which processors of one name may differ; empty if unknown."""
    flags = f"{_cpuinfo('flags')} {_cpuinfo('Features')}".split()  # as x86 and ARM call them
    return next((name for flag, name in _VECTORS.items() if flag in flags), "")


def _cpuinfo(field: str) -> str:
    """Return a field of the first processor in /proc/cpuinfo; empty if there is none."""
    try:
        lines = [line.partition(":") for line in _CPUINFO.read_text().splitlines()]
    except OSError:
        return ""
    return next((value.strip() for name, _, value in lines if name.strip() == field), "")


@cache
def gpu_names() -> tuple[str, ...]:
    """Return the names of the visible GPUs as `nvidia-smi` gives them; empty without that tool or without GPUs."""
    tool = shutil.which("nvidia-smi")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if tool is None or visible in ("", "-1", "NoDevFiles"):
        return ()
    query = [tool, "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=_DRIVER_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError):
        print("nvidia-smi does not answer: no GPUs are counted", file=sys.stderr)
        return ()
    names = answer.stdout.split("\n")[:-1] if answer.returncode == 0 else []
    return tuple(names if visible is None else names[: len(visible.split(","))])


@cache
def code_version() -> str:
    """Return twelve hexadecimal digits, a hash of all sources that can change the result of a trial.

    These are the .py and .yaml files of bench, losses and models, without the folders perf and grids. The hash is that
    of the first call, because code that was imported stays as it was.
    """
    return present_code_version()


def present_code_version() -> str:
    """Return the `code_version` of the sources as they are now, for a process that outlives a change of them."""
    sources = (path for room in ("bench", "losses", "models") for path in (_HOME / room).rglob("*"))
    return hash_of(
        path
        for path in sources
        if path.suffix in (".py", ".yaml") and not {"perf", "grids"} & set(path.relative_to(_HOME).parts)
    )


def hash_of(sources: Iterable[Path]) -> str:
    """Return twelve hexadecimal digits, a hash of the paths and contents of project files, in any order."""
    digest = hashlib.sha256()
    for path in sorted(source.resolve() for source in sources):
        digest.update(f"{path.relative_to(_HOME)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _commit() -> str | None:
    """Return the commit of this project, or None if it is unknown, as for an installed copy.

    It is read from `COMMIT_VARIABLE` if that is set, else from git, with a final `+` when tracked files have changes.
    """
    if told := os.environ.get(COMMIT_VARIABLE):
        return told
    if not (_HOME / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(_HOME), *arguments], capture_output=True, text=True, timeout=30, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def cache_folder() -> Path:
    """Return the folder of cached files: $SEGMENTATION_BENCH_CACHE, else segmentation-bench/ in the user's cache.

    The user's cache is $XDG_CACHE_HOME, else ~/.cache.

    Raises:
        OSError: neither variable is set, and the user has no home folder.
    """
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segmentation-bench"
    except RuntimeError as error:
        raise OSError(str(error)) from None


def peak_rss_mb() -> float:
    """Return the largest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def prepare_process(threads: int | None = None) -> None:
    """Set what takes effect only before TensorFlow is imported: Keras's backend, log level, kernels, thread pools.

    It also makes collections of cyclic garbage rarer.

    Args:
        threads: size of TensorFlow's and OpenMP's thread pools; None leaves them as they are.

    Raises:
        UsageError: see `settle_keras`.
    """
    settle_keras()
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    # On processors without AVX-512 (AMD before Zen 4) TensorFlow turns oneDNN off. Dilated convolutions then have no
    # gradient of their own, and rearrange the map instead (models/layers/atrous.py).
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # Tracing makes very many objects and hardly any garbage. At Python's default threshold (700) the search for
    # garbage takes a tenth to a fifth of the start of a trial.
    gc.set_threshold(10_000, 10, 10)
    if threads is not None:
        # Ray sets OMP_NUM_THREADS to the CPUs that a worker asked for. TensorFlow has to use those of the trial.
        for name in ("OMP_NUM_THREADS", _THREADS, "TF_NUM_INTEROP_THREADS"):
            os.environ[name] = str(threads)


def made_by() -> dict[str, Any]:
    """Return the entries of `describe` in `MADE_BY`, on which the numbers of a trial depend besides its data."""
    return {name: describe().get(name) for name in MADE_BY}


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the names of `MADE_BY` in which two environments differ.

    KerasHub counts where both have it: a trial without it did not use it, and few use it where it is installed.
    """
    pairs = {name: (one.get(name), other.get(name)) for name in MADE_BY}
    return [name for name, (a, b) in pairs.items() if a != b and not (name == "keras_hub" and None in (a, b))]
