"""Formats of numbers in reports, in terminal tables and in docs: each format is defined once.

NaN means not measured, and is written as a dash. Fractions (mIoU, shares) are in 0..1 and are written in percent.
"""

import json
import math

from reports import metrics
from results import TRIALS, ComparisonRow
from results.statistics import Interval

DASH = "–"


def number(value: float, digits: int) -> str:
    """Return a number with `digits` decimals.

    >>> number(3.14159, 2), number(float("nan"), 2)
    ('3.14', '–')
    """
    return DASH if math.isnan(value) else f"{value:.{digits}f}"


def significant(value: float, digits: int = 2) -> str:
    """Return a number with `digits` significant digits.

    >>> significant(0.02631), significant(float("nan"))
    ('0.026', '–')
    """
    return DASH if math.isnan(value) else f"{value:.{digits}g}"


def percent(fraction: float, digits: int = 1) -> str:
    """Return a fraction in percent, without the percent sign.

    >>> percent(0.5678), percent(0.5678, 2)
    ('56.8', '56.78')
    """
    return number(100 * fraction, digits)


def points(difference: float) -> str:
    """Return a difference of two fractions in percentage points, with its sign.

    >>> points(0.0123), points(-0.0123)
    ('+1.23', '-1.23')
    """
    return DASH if math.isnan(difference) else f"{100 * difference:+.2f}"


def percent_range(low: float, high: float, digits: int = 2) -> str:
    """Return the two ends of an interval of fractions, in percent.

    >>> percent_range(0.5, 0.625)
    '50.00 to 62.50'
    """
    return DASH if math.isnan(low) else f"{percent(low, digits)} to {percent(high, digits)}"


def points_range(low: float, high: float) -> str:
    """Return the two ends of an interval of a difference, in percentage points.

    >>> points_range(-0.005, 0.0125)
    '-0.50 to +1.25'
    """
    return DASH if math.isnan(low) else f"{points(low)} to {points(high)}"


def plus_minus(half_width: float, digits: int = 1) -> str:
    """Return the half width of an interval, a fraction, in percent; empty without an interval.

    >>> plus_minus(0.0123), plus_minus(float("nan"))
    ('± 1.2', '')
    """
    return "" if math.isnan(half_width) else f"± {percent(half_width, digits)}"


def estimate(interval: Interval, digits: int = 1) -> str:
    """Return a mean in percent, with the half width of its interval if it has one, such as `71.3 ± 0.8`."""
    return f"{percent(interval.mean, digits)} {plus_minus(interval.high - interval.mean, digits)}".strip()


def chance(probability: float) -> str:
    """Return a simulated probability; 0 and 1 are written as bounds, because they are no certainties.

    >>> chance(0.5), chance(1.0), chance(0.0)
    ('0.50', '> 0.99', '< 0.01')
    """
    if math.isnan(probability):
        return DASH
    return "> 0.99" if probability > 0.99 else "< 0.01" if probability < 0.01 else f"{probability:.2f}"


def p_value(p: float) -> str:
    """Return a p-value with three decimals.

    >>> p_value(0.0123), p_value(1e-5)
    ('0.012', '<0.001')
    """
    return DASH if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def plain(value: object) -> str:
    """Return text unchanged, and anything else as JSON.

    >>> plain("cpu"), plain({"b": 1, "a": [2]})
    ('cpu', '{"a": [2], "b": 1}')
    """
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def metric_value(metric: str, mean: float) -> str:
    """Return a mean of a metric in the metric's unit.

    >>> metric_value("miou", 0.5678), metric_value("images_per_second", 12.3456), metric_value("peak_rss_mb", 1234.5)
    ('56.78', '12.35', '1234')
    """
    if math.isnan(mean):
        return DASH
    if metric == TRIALS:
        return f"{mean:.0f} ok"
    if metrics.is_percentage(metric):
        return percent(mean, 2)
    return significant(mean, 4) if mean < 1000 else number(mean, 0)


def change(row: ComparisonRow, difference: float) -> str:
    """Return a change of a row with its sign, in percentage points, in the metric's own unit, or in percent."""
    return DASH if math.isnan(difference) else _in_unit_of(row, difference, "+")


def amount(row: ComparisonRow, difference: float) -> str:
    """Return the size of a change of a row, such as its margin."""
    return DASH if math.isnan(difference) else _in_unit_of(row, difference, "")


def change_interval(row: ComparisonRow) -> str:
    """Return the ends of the interval of a row's change, without the unit."""
    if math.isnan(row.low):
        return DASH
    return f"{_in_unit_of(row, row.low, '+', unit=False)} to {_in_unit_of(row, row.high, '+', unit=False)}"


def _in_unit_of(row: ComparisonRow, difference: float, sign: str, unit: bool = True) -> str:
    factor, name = metrics.unit_of_change(row)
    digits, name = 1 if row.scale == "ratio" else 2, name.replace("points", "pt")
    shown = round(factor * difference, digits) + 0.0  # no minus before a zero
    return f"{shown:{sign}.{digits}f}{f' {name}' if unit and name else ''}"
