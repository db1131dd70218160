"""Numbers as words: with their noun, or as a range of time, for every sentence that is made."""

import math
from collections.abc import Callable


def counted(count: int, noun: str, several: str = "") -> str:
    """Return a number with its noun.

    Args:
        count: the number.
        noun: its singular.
        several: its plural; empty for the noun with an s.

    >>> counted(1, "cell"), counted(2, "cell"), counted(0, "process", "processes")
    ('1 cell', '2 cells', '0 processes')
    """
    return f"{count} {noun if count == 1 else several or f'{noun}s'}"


def counted_devices(cpus: int, gpus: int) -> str:
    """Return CPUs and GPUs in words; no GPU is not mentioned.

    >>> counted_devices(1, 0), counted_devices(8, 1)
    ('1 CPU', '8 CPUs and 1 GPU')
    """
    return counted(cpus, "CPU") + (f" and {counted(gpus, 'GPU')}" if gpus else "")


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it, to two digits.

    >>> duration(3.2), duration(400), duration(600), duration(7500), duration(0)
    ('3.2 s', '6.7 min', '10 min', '2.1 h', '0 s')
    """
    unit, size = _unit(seconds)
    return f"{_rounded(seconds / size, round):g} {unit}"


def time_range(least: float, most: float) -> str:
    """Return a range of seconds in the unit that suits its end, to two digits.

    >>> time_range(41, 78), time_range(370, 705), time_range(5000, 10300), time_range(60, 60), time_range(0, 0.4)
    ('41 to 78 s', '6.1 to 12 min', '1.3 to 2.9 h', '60 s', '0 to 0.4 s')
    """
    unit, size = _unit(most)
    low, high = _rounded(least / size, math.floor), _rounded(most / size, math.ceil)
    return f"{low:g} {unit}" if low == high else f"{low:g} to {high:g} {unit}"


def _unit(seconds: float) -> tuple[str, float]:
    """Return the unit for a time, and its seconds."""
    return ("s", 1.0) if seconds < 90 else ("min", 60.0) if seconds < 5400 else ("h", 3600.0)


def _rounded(value: float, to_whole: Callable[[float], int]) -> float:
    """Return a number with two significant digits; 0 stays 0."""
    digits = 1 - math.floor(math.log10(value)) if value > 0 else 0
    return to_whole(round(value * 10**digits, 6)) / 10**digits
