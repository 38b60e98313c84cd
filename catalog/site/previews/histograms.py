"""The distribution of a field's values: a histogram of numbers, counts of categorical values."""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

import numpy as np

from catalog.site.previews import plots
from catalog.site.previews.formatting import is_word, number
from catalog.site.previews.model import Spread

_FEWEST: Final = 12
"""Minimum number of values for a distribution."""
_WORDS: Final = 4
"""Maximum number of values that are listed with their counts."""


class Fault(str):
    """A message in place of a value that can't be displayed."""

    __slots__ = ()


def spread_of(values: list[object]) -> Spread | None:
    """Return the distribution of a field of numbers, short texts or booleans; ``None`` for all other fields."""
    scalars = [_scalar(value) for value in values]
    known = [value for value in scalars if value is not None]
    if len(known) < _FEWEST or any(
        scalar is None and value is not None for scalar, value in zip(scalars, values, strict=True)
    ):
        return None
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return _numbers([float(value) for value in known if _is_finite(value)])
    if not all(isinstance(value, str | bool) for value in known):
        return None
    counts = Counter(value if isinstance(value, str) else "true" if value else "false" for value in known)
    if len(counts) > len(known) // 2 and len(counts) > _WORDS:
        return None  # nearly all differ: names rather than categories
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    listed = ranked[:_WORDS]
    rest = sum(number for _, number in ranked[_WORDS:])
    words = tuple(listed) + ((("…", rest),) if rest else ())
    return Spread(text=f"{len(counts)} different" if len(counts) > 1 else "all the same", counts=words)


def _scalar(value: object) -> str | float | None:
    if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "buif":
        value = value.item()
    if isinstance(value, str) and not isinstance(value, Fault):
        return value if is_word(value) else None
    return value if isinstance(value, bool | int | float) else None


def _is_finite(value: object) -> bool:
    try:
        return math.isfinite(float(value))  # type: ignore[arg-type] # it is a number
    except OverflowError:
        return False


def _numbers(values: list[float]) -> Spread | None:
    if not values:
        return None
    path, low, high = plots.histogram(values)
    mean = math.fsum(value / len(values) for value in values)
    text = f"from {number(low)} to {number(high)}, mean {number(mean)}"
    return Spread(text=text, path=path, low=number(low), high=number(high))
