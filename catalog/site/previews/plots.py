"""Plots as SVG paths: lines, bars, histograms, in integers, so that they are short and reproducible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PLOT_WIDTH: Final = 240
PLOT_HEIGHT: Final = 60
"""The box of every plot; the page stretches it."""

MAX_CHANNELS: Final = 8
"""Maximum rows of a 2-D array that is plotted; more make a picture, or a summary."""
_LONGER: Final = 4
"""Minimum ratio of columns to rows of a 2-D array that is plotted."""
_TIME_NAMES: Final = frozenset({"t", "time", "times", "timestep", "step", "steps", "sample", "samples"})

_LONG: Final = 16
"""Values per point of a line from which on it is drawn as an area."""

_BINS: Final = 12
_MOST_WHOLE: Final = 20
"""Maximum range of integers that have a bar each."""


def series(array: NDArray[Any], names: Sequence[str] = ()) -> NDArray[np.float64] | None:
    """Return the array as series, one per row, with infinite values as NaN; ``None`` for other arrays."""
    if array.dtype.kind not in "buif" or array.size == 0 or array.ndim not in (1, 2):
        return None
    rows = array[None, :] if array.ndim == 1 else array
    if array.ndim == 2:
        if len(names) == 2 and names[0].lower() in _TIME_NAMES and names[1].lower() not in _TIME_NAMES:
            rows = rows.T
        if rows.shape[0] > MAX_CHANNELS or rows.shape[1] < _LONGER * rows.shape[0]:
            return None
    with np.errstate(all="ignore"):
        values = rows.astype(np.float64)
        values[~np.isfinite(values)] = np.nan
    return values


def span(values: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """Return minimum and maximum of the finite values; 0 and 0 if there are none."""
    known = [one[~np.isnan(one)] for one in values]
    lows = [float(one.min()) for one in known if one.size]
    highs = [float(one.max()) for one in known if one.size]
    return min(lows, default=0.0), max(highs, default=0.0)


def line(values: NDArray[np.float64], limits: tuple[float, float], *, points: int) -> str:
    """Return a path through a series; of more than ``points`` values minimum and maximum of each interval are drawn.

    Long intervals are drawn as an area, as in a waveform: such a path ends in ``z``.
    """
    if values.size > _LONG * points:
        return _area(values, limits, stretches=max(1, points // 2))
    if values.size > points:
        starts = _stretches(values.size, max(1, points // 2))
        pairs = np.stack((np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)), axis=1)
        pairs[1::2] = pairs[1::2, ::-1]  # up and down in turn, so that the line doesn't jump between two stretches
        values = pairs.reshape(-1)
    parts: list[str] = []
    run = 0
    for x, y in zip([*_across(values.size), 0], [*_heights(values, limits), None], strict=True):
        if y is not None:
            parts.append(f"{' ' if run else 'M'}{x} {y}")  # what follows an M is a line, too
            run += 1
            continue
        if run == 1:
            parts.append("h0")  # a dot
        run = 0
    return "".join(parts)


def _area(values: NDArray[np.float64], limits: tuple[float, float], *, stretches: int) -> str:
    starts = _stretches(values.size, stretches)
    tops = _heights(np.fmax.reduceat(values, starts), limits)
    bottoms = _heights(np.fmin.reduceat(values, starts), limits)
    parts: list[str] = []
    there: list[str] = []
    back: list[str] = []
    for x, top, bottom in zip([*_across(stretches), 0], [*tops, None], [*bottoms, None], strict=True):
        if top is not None and bottom is not None:
            there.append(f"{x} {top}")
            back.append(f"{x} {bottom}")
        elif there:
            parts.append("M" + " ".join((*there, *reversed(back))) + "z")
            there, back = [], []
    return "".join(parts)


def _stretches(size: int, count: int) -> NDArray[np.int64]:
    return np.linspace(0, size, count, endpoint=False).astype(np.int64)


def _across(count: int) -> list[int]:
    places: list[int] = np.rint(np.linspace(0, PLOT_WIDTH, count)).astype(int).tolist()
    return places if count > 1 else [PLOT_WIDTH // 2]


def _heights(values: NDArray[np.float64], limits: tuple[float, float]) -> list[int | None]:
    """Return the y coordinates of the values; ``None`` for NaN."""
    low, high = limits
    with np.errstate(all="ignore"):
        # Halves, because the difference of two finite numbers may not be finite.
        half = high / 2 - low / 2
        share = (values / 2 - low / 2) / half if half else np.where(np.isnan(values), np.nan, 0.5)
    return [None if y != y else round(float((1 - y) * PLOT_HEIGHT)) for y in np.clip(share, 0, 1)]  # noqa: PLR0124 - NaN


def bars(values: NDArray[np.float64], limits: tuple[float, float]) -> str:
    """Return a path with a bar for each value, from zero up or down."""
    low, high = min(limits[0], 0.0), max(limits[1], 0.0)
    zero = _heights(np.array([0.0]), (low, high))[0] if low < high else PLOT_HEIGHT
    tops = _heights(values, (low, high)) if low < high else [PLOT_HEIGHT] * values.size
    return _boxes([None if top is None else (min(top, zero or 0), max(top, zero or 0)) for top in tops])


def _boxes(spans: Sequence[tuple[int, int] | None]) -> str:
    """Return a path of adjacent boxes from top to bottom; one without height is a thin line."""
    step = PLOT_WIDTH / len(spans)
    gap = 1 if step >= 4 else 0
    parts = []
    for number, place in enumerate(spans):
        if place is None:
            continue
        left, right = round(number * step) + gap, round((number + 1) * step) - gap
        top, bottom = place
        top = min(top, bottom - 1) if top > 0 else top
        parts.append(f"M{left} {top}H{max(right, left + 1)}V{max(bottom, top + 1)}H{left}z")
    return "".join(parts)


def histogram(values: Sequence[float]) -> tuple[str, float, float]:
    """Return the path of a histogram with minimum and maximum. There is at least one value."""
    low, high = min(values), max(values)
    if all(value == int(value) for value in values) and high - low < _MOST_WHOLE:
        bins = int(high - low) + 1
        places = [int(value - low) for value in values]
    else:
        bins = _BINS
        half = high / 2 - low / 2
        places = [min(bins - 1, int((value / 2 - low / 2) / half * bins)) if half else 0 for value in values]
    counts = [0] * bins
    for place in places:
        counts[place] += 1
    return boxes(counts), low, high


def boxes(counts: Sequence[int]) -> str:
    """Return the path of a bar for each count. There is at least one count."""
    most = max(*counts, 1)
    tops = [round((1 - count / most) * PLOT_HEIGHT) for count in counts]
    shown = [
        None if count == 0 else (min(top, PLOT_HEIGHT - 2), PLOT_HEIGHT)
        for count, top in zip(counts, tops, strict=True)
    ]
    return _boxes(shown)
