"""Numbers as a reader wants them; downloads carry the full values instead."""

from __future__ import annotations

import math

NONE = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"
_HUGE = 1e12


def as_float(value: float) -> float:
    """`value` as a float: a record may hold a whole number that none can hold."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def fixed(value: float, decimals: int) -> str:
    """``1234.56`` with one decimal is ``1,234.6``; a value that rounds to zero has no sign."""
    value = as_float(value)
    if abs(value) >= _HUGE:
        return f"{value:.2e}".replace("-", _MINUS)
    text = f"{value:,.{decimals}f}"
    if text.strip("-0.,") == "":
        text = text.lstrip("-")
    return text.replace("-", _MINUS)


def significant(value: float, digits: int = 3) -> str:
    """At least `digits` significant digits, in exponents only outside 1e-4 to 1e12; whole parts are kept whole."""
    value = as_float(value)
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < _HUGE:
        return f"{value:.{digits - 1}e}".replace("-", _MINUS)
    magnitude = math.floor(math.log10(abs(value)))
    return fixed(value, max(0, digits - 1 - magnitude))


def score(value: float, unit: str) -> str:
    """A quality score: points with one decimal as in papers, other units with three significant digits."""
    return fixed(value, 1) if unit == "points" else significant(value)


def milliseconds(seconds: float) -> str:
    return significant(as_float(seconds) * 1000)


def mebibytes(count: float) -> str:
    return fixed(as_float(count) / 2**20, 0)


def count(value: float) -> str:
    """Parameters and the like: ``3.21 M``."""
    value = as_float(value)
    for limit, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= max(limit, 10_000):
            return significant(value / limit) + suffix
    return fixed(value, 0)


def duration(seconds: float) -> str:
    """``42.0 s``, ``4m 12s``, ``3h 05m``."""
    seconds = as_float(seconds)
    if abs(seconds) >= _HUGE:
        return f"{fixed(seconds, 0)} s"
    if seconds < 60:
        return f"{significant(seconds)} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{fixed(whole // 3600, 0)}h {whole % 3600 // 60:02d}m"
