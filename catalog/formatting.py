"""Numbers, times and JSON as text."""

from __future__ import annotations

import json
from datetime import datetime

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_STEP = 1000


def compact_json(value: object) -> str:
    """Return JSON without optional blanks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def count(number: int) -> str:
    """Format a count: ``1797`` → ``1,797``."""
    return f"{number:,}" if abs(number) < 10**18 else f"{number:.3e}"


def counted(number: int, singular: str) -> str:
    """Format a count with its noun: ``1 dataset``, ``2 datasets``, ``3 lenses``, ``4 repositories``."""
    plural = f"{singular[:-1]}ies" if singular.endswith("ry") else singular + ("es" if singular.endswith("s") else "s")
    return f"{count(number)} {singular if number == 1 else plural}"


def byte_size(size: int) -> str:
    """Format a size in decimal units: ``1,530,000`` → ``1.53 MB``; exact below a thousand."""
    if abs(size) < _STEP:
        return f"{size} B"
    value, unit = float(min(size, 10**24)), 0
    while value >= _STEP - 0.5 and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    value += value * 1e-12  # a half goes up, as in the browser
    return f"{value:.3g} {_UNITS[unit]}" if value < _STEP else f"{value:,.0f} {_UNITS[unit]}"


def day(when: datetime) -> str:
    """Format a date: ``2026-11-23``."""
    return when.date().isoformat()


def moment(when: datetime) -> str:
    """Format a time for HTML's ``datetime`` attribute, to the second."""
    return when.replace(microsecond=0).isoformat()
