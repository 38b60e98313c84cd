"""The statistics of a dataset's fields as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from catalog.site.previews import plots
from catalog.site.previews.formatting import cut, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalog.samples.statistics import FieldStatistics

MAX_FIELDS: Final = 200
_TOP: Final = 5
_LONGEST: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsRow:
    """A field: facts as pairs of a word and a value, the most frequent values with their counts, a histogram.

    ``path`` is that of an SVG, from ``low`` to ``high``.
    """

    name: str
    type: str
    missing: int
    facts: tuple[tuple[str, str], ...]
    top: tuple[tuple[str, int], ...] = ()
    path: str = ""
    low: str = ""
    high: str = ""


def statistics_rows(found: Mapping[str, FieldStatistics]) -> tuple[StatisticsRow, ...]:
    """Return the rows of the table."""
    return tuple(_row(name, one) for name, one in list(found.items())[:MAX_FIELDS])


def _row(name: str, one: FieldStatistics) -> StatisticsRow:
    path = low = high = ""
    if one.histogram is not None and one.type in {"int", "float"} and one.min is not None and one.max is not None:
        path, low, high = plots.boxes(one.histogram[2]), number(one.min), number(one.max)
    top = tuple((cut(str(value), _LONGEST), count) for value, count in (one.top or ())[:_TOP])
    frequent = top if one.type in {"str", "bool"} or (one.distinct or _TOP + 1) <= _TOP else ()
    return StatisticsRow(
        name=name,
        type=one.type,
        missing=one.missing,
        facts=tuple(_facts(one)),
        top=frequent,
        path=path,
        low=low,
        high=high,
    )


def _facts(one: FieldStatistics) -> Iterator[tuple[str, str]]:
    about = "≈ " if "percentiles" in one.approximate else ""
    if one.min is not None and one.max is not None:
        yield "range", f"{number(one.min)} … {number(one.max)}"
    if one.mean is not None:
        yield "mean", number(one.mean) + (f" ± {number(one.std)}" if one.std is not None else "")
    median = one.quantile(0.5)
    if median is not None:
        yield "median", about + number(median)
    if one.distinct is not None and one.type not in {"array", "bytes"}:
        yield "distinct", ("≥ " if "distinct" in one.approximate else "") + number(one.distinct)
    if one.length is not None:
        shortest, longest, mean = one.length
        yield (
            "length",
            number(shortest) if shortest == longest else f"{number(shortest)} … {number(longest)}, ⌀ {number(mean)}",
        )
    if one.shapes:
        dtype, shape, _ = one.shapes[0]
        more = len(one.shapes) - 1
        yield "shape", f"{dtype} {' × '.join(map(str, shape)) or '()'}" + (f", +{more}" if more else "")
    if one.images:
        kind, width, height, _ = one.images[0]
        more = len(one.images) - 1
        yield "image", f"{kind.removeprefix('image/')} {width} × {height}" + (f", +{more}" if more else "")
    if one.nan:
        yield "NaN", number(one.nan)
