"""What a trial ran on, and the checks that an environment is what it seems."""

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

_HOME = Path(__file__).resolve().parents[2]
_CGROUP = Path("/sys/fs/cgroup")
_CPUINFO = Path("/proc/cpuinfo")
_VECTORS = {"avx512f": "avx512f", "avx2": "avx2", "avx": "avx", "asimd": "neon"}
"""Vector instructions by their flag in /proc/cpuinfo, the widest first."""
_DRIVER_SECONDS = 30.0
_THREADS = "TF_NUM_INTRAOP_THREADS"
"""TensorFlow's own variable: how many threads an operation may use."""
COMMIT_VARIABLE = "SEGMENTATION_BENCH_COMMIT"
"""Tells a copy of the project that is no checkout of which commit it is."""
CACHE_VARIABLE = "SEGMENTATION_BENCH_CACHE"
"""Names the folder of decoded images and of model costs."""
ROOMS = ("bench", "losses", "models", "results", "reports")
PACKAGES = ("tensorflow", "keras", "keras-cv", "tensorflow-addons", "ray", "numpy", "pandas")

MADE_BY = ("code", "python", "tensorflow", "keras", "keras_cv", "tensorflow_addons")
"""What of `describe` the numbers of a trial depend on."""


def check_rooms() -> None:
    """The five packages have generic names; one found elsewhere than beside the others is somebody else's.

    Raises:
        UsageError: naming the intruder.
    """
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
    found = {}
    for name in PACKAGES:
        try:
            found[name.replace("-", "_")] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def describe() -> dict[str, Any]:
    """Versions, machine and commit, without importing TensorFlow or Ray."""
    return {
        "python": platform.python_version(),
        **package_versions(),
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
    """The cores that this process may use: its affinity, and the quota of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):  # of both generations of cgroups
        try:
            quota, period = " ".join((_CGROUP / name).read_text() for name in files).split()
            share = int(quota) / int(period)
        except (OSError, ValueError):  # no such file, or no limit
            continue
        cores = min(cores, max(1, int(share))) if share > 0 else cores
    return cores


def usable_cores() -> int:
    """Return the cores that this process may keep busy: those of the machine, or the share that the plan gave it."""
    share = os.environ.get(_THREADS, "")
    return min(machine_cores(), int(share)) if share.isdecimal() and int(share) else machine_cores()


def _processor() -> str:
    return (_cpuinfo("model name") or platform.machine()) if _CPUINFO.exists() else platform.processor()


def _instructions() -> str:
    """The widest vector instructions there are: processors of one name may differ in them, and so in speed."""
    flags = f"{_cpuinfo('flags')} {_cpuinfo('Features')}".split()  # as x86 and ARM call them
    return next((name for flag, name in _VECTORS.items() if flag in flags), "")


def _cpuinfo(field: str) -> str:
    """What the system says of its first processor; empty where it does not."""
    try:
        lines = [line.partition(":") for line in _CPUINFO.read_text().splitlines()]
    except OSError:
        return ""
    return next((value.strip() for name, _, value in lines if name.strip() == field), "")


@cache
def gpu_names() -> tuple[str, ...]:
    """Names of the machine's GPUs by the driver's own tool; empty without one."""
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
    """Twelve hexadecimal digits: equal where the sources that decide the result of a trial are equal."""
    sources = (path for room in ("bench", "losses", "models") for path in (_HOME / room).rglob("*"))
    return hash_of(
        path
        for path in sources
        if path.suffix in (".py", ".yaml") and not {"perf", "grids"} & set(path.relative_to(_HOME).parts)
    )


def hash_of(sources: Iterable[Path]) -> str:
    """Twelve hexadecimal digits of files of the project, with their names, whatever their order."""
    digest = hashlib.sha256()
    for path in sorted(source.resolve() for source in sources):
        digest.update(f"{path.relative_to(_HOME)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _commit() -> str | None:
    """The commit of this project, with `+` when the tree has changes: as a copy was told, or as it is checked out; None
    for an installed copy."""
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

    Raises:
        OSError: there is neither, nor a home.
    """
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segmentation-bench"
    except RuntimeError as error:
        raise OSError(str(error)) from None


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def prepare_process(threads: int | None = None) -> None:
    """Settings that count only before TensorFlow is imported: Keras's backend, log level, kernels and thread pools; and
    fewer collections of cyclic garbage."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    # On processors without AVX-512 (AMD before Zen 4) TensorFlow leaves oneDNN out, and with it the gradient of dilated
    # convolutions: no ResNet would train at output stride 16.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # Tracing makes very many objects and hardly any garbage: by Python's default (700) a tenth to a fifth of the
    # start of a trial goes into looking for it.
    gc.set_threshold(10_000, 10, 10)
    if threads is not None:
        # Ray sets OMP_NUM_THREADS to the CPUs a worker asked for; TensorFlow has to have what the trial was given.
        for name in ("OMP_NUM_THREADS", _THREADS, "TF_NUM_INTEROP_THREADS"):
            os.environ[name] = str(threads)


def made_by() -> dict[str, Any]:
    """What the numbers of a trial made in this environment depend on, but for its data."""
    return {name: describe().get(name) for name in MADE_BY}


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return [name for name in MADE_BY if one.get(name) != other.get(name)]
