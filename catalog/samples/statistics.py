"""Statistics of the fields of samples: streamed, exact where that is possible, with bounded memory.

::

    statistics = Statistics()
    for key, raw in samples: statistics.add(values)     wire name → stored value
    statistics.result()                                 {"label": FieldStatistics(count=60, min=0, max=9, …)}

Values are buffered and evaluated a block at a time by NumPy. Of a field are kept: sums, the counts of 64 bins, the
counts of 10,000 values, and a sketch of its numbers. All results of :class:`FieldStatistics` are JSON values, and those
of several shards are merged by :func:`merged`.

- Counts, limits, mean and deviation are exact; bins are as wide as a power of two, so that those of shards add up.
- Quantiles are exact up to 10,000 numbers, as ``numpy.quantile`` gives them. Above, every compaction of the sketch
  keeps each second number of a sorted block (Manku, Rajagopalan and Lindsay, 1998): the rank of a quantile is off by
  less than 0.2 % at ten million.
- Distinct values are exact up to 10,000 of a field, then a lower bound, and the most frequent values are left out if
  each value came once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import chain
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from catalog.errors import DataError
from catalog.samples.arrays import MAGIC, decode_array, dtype_name
from catalog.samples.image_size import image_size
from catalog.samples.media import media_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FieldStatistics", "Statistics", "merged"]

BLOCK: Final = 1024
"""Values of a field that are evaluated together."""
_BLOCK_BYTES: Final = 1 << 19
MAX_EXACT: Final = 10_000
"""Numbers of which quantiles are exact, and distinct values that are counted."""
MAX_TOP: Final = 100
_MAX_TEXT: Final = 200
"""Characters of a text among the most frequent values; longer ones are counted by their hash."""
_MAX_KINDS: Final = 100
_BINS: Final = 64
_LARGEST: Final = 1 << 64
"""Whole numbers that are evaluated: those of msgpack."""
MAX_FIELDS: Final = 10_000

Number = int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldStatistics:
    """The statistics of one field; what doesn't apply to its values is ``None``.

    ``count`` are the samples with a value, ``missing`` those without or with null, ``nan`` those that are NaN. ``type``
    is ``int``, ``float``, ``bool``, ``str``, ``bytes``, ``array``, ``list``, ``map`` or ``mixed``.

    ``min`` … ``std`` are those of numbers, of an array field the limits of all elements. ``std`` is that of the
    population, as ``numpy.std`` has it. ``percentiles`` are 101 numbers; ``approximate`` names the statistics that are
    not exact. ``histogram`` is the begin of the first bin, the width of each, and their counts. ``distinct`` is the
    number of distinct values and ``top`` the most frequent ones with their counts. ``length`` is the shortest, longest
    and mean length: characters of texts, bytes of bytes, items of lists. ``shapes`` are dtype, shape and count of
    arrays; ``images`` are media type, width, height and count.
    """

    type: str
    count: int = 0
    missing: int = 0
    nan: int = 0
    min: Number | None = None
    max: Number | None = None
    mean: float | None = None
    std: float | None = None
    percentiles: tuple[float, ...] | None = None
    histogram: tuple[float, float, tuple[int, ...]] | None = None
    distinct: int | None = None
    top: tuple[tuple[Any, int], ...] | None = None
    length: tuple[int, int, float] | None = None
    shapes: tuple[tuple[str, tuple[int, ...], int], ...] | None = None
    images: tuple[tuple[str, int, int, int], ...] | None = None
    approximate: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the statistics that apply as JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None and value != ()}

    @classmethod
    def from_json(cls, value: object) -> FieldStatistics | None:
        """Return the statistics in JSON; ``None`` if they have another form."""
        if not isinstance(value, Mapping) or not isinstance(value.get("type"), str):
            return None
        found = {one.name: _tuples(value[one.name]) for one in fields(cls) if one.name in value}
        made = cls(**found)
        return made if _is_valid(made) else None

    def quantile(self, share: float) -> float | None:
        """Return the number below which this share of the numbers lies, interpolated between percentiles."""
        if self.percentiles is None:
            return None
        return float(np.interp(share * 100, range(101), self.percentiles))


def _tuples(value: object) -> Any:  # noqa: ANN401 - any JSON
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def is_finite(value: object) -> bool:
    """Return whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_valid(found: FieldStatistics) -> bool:
    numbers = [found.min, found.max, found.mean, found.std]
    counts = [found.count, found.missing, found.nan, *([] if found.distinct is None else [found.distinct])]
    try:
        rows = [(4, found.images or ()), (3, found.shapes or ()), (2, found.top or ())]
        lists = all(len(row) == size and type(row[-1]) is int for size, many in rows for row in many)
        bins = found.histogram is None or (
            len(found.histogram) == 3
            and all(map(is_finite, found.histogram[:2]))
            and found.histogram[1] > 0
            and 0 < len(found.histogram[2]) <= 2 * _BINS
            and all(type(one) is int and one >= 0 for one in found.histogram[2])
        )
        lengths = found.length is None or (len(found.length) == 3 and all(map(is_finite, found.length)))
        marks = found.percentiles
        points = marks is None or (len(marks) == 101 and all(map(is_finite, marks)))
    except TypeError:
        return False
    return (
        all(type(one) is int and one >= 0 for one in counts)
        and all(one is None or is_finite(one) for one in numbers)
        and lists and bins and lengths and points
    )  # fmt: skip


class _Sketch:
    """Numbers, all of them up to ``MAX_EXACT``; of more a weighted sample: see the module."""

    def __init__(self) -> None:
        self._levels: list[list[NDArray[np.float64]]] = [[]]
        self._held = [0]
        self._odd = 0
        self.exact = True

    def add(self, numbers: NDArray[np.float64], level: int = 0) -> None:
        while level >= len(self._levels):
            self._levels.append([])
            self._held.append(0)
        self._levels[level].append(numbers)
        self._held[level] += len(numbers)
        if self._held[level] <= MAX_EXACT:
            return
        self.exact = False
        block = np.sort(np.concatenate(self._levels[level]))
        rest = len(block) % 2
        self._odd ^= 1
        self._levels[level], self._held[level] = ([block[-1:]], 1) if rest else ([], 0)
        self.add(block[: len(block) - rest][self._odd :: 2], level + 1)

    def percentiles(self) -> tuple[float, ...] | None:
        if self.exact:
            values = np.concatenate(self._levels[0]) if self._levels[0] else np.empty(0)
            return tuple(np.percentile(values, range(101)).tolist()) if len(values) else None
        parts = [(one, 1 << level) for level, many in enumerate(self._levels) for one in many]
        weights = [np.full(len(one), weight) for one, weight in parts]
        return _weighted(np.concatenate([one for one, _ in parts]), np.concatenate(weights))


def _weighted(values: NDArray[np.float64], weights: NDArray[Any]) -> tuple[float, ...]:
    """Return the percentiles of weighted numbers."""
    order = np.argsort(values, kind="stable")
    values, reached = values[order], np.cumsum(weights[order])
    middle = reached - weights[order] / 2
    return tuple(np.interp(np.linspace(0, reached[-1], 101), middle, values).tolist())


class _Bins:
    """Counts of numbers in at most 64 bins, as wide as a power of two; the width grows with the range."""

    def __init__(self, *, whole: bool) -> None:
        self._exponent: int | None = 0 if whole else None
        self._counts: Counter[int] = Counter()

    def add(self, numbers: NDArray[np.float64], low: float, high: float) -> None:
        exponent = self._fitting(low, high)
        if exponent > 1000:
            return
        places = np.floor(np.ldexp(numbers, -exponent)).astype(np.int64)
        for place, count in zip(*np.unique(places, return_counts=True), strict=True):
            self._counts[int(place)] += int(count)

    def add_counts(self, start: float, width: float, counts: Sequence[int]) -> None:
        """Add the bins of another histogram, of which each goes into the bin of its begin."""
        if not math.isfinite(start + width * len(counts)):
            return
        mantissa, exponent = math.frexp(width)
        own = self._fitting(start, start + width * (len(counts) - 1))
        if mantissa == 0.5:  # of ours
            own = self._widened(max(own, exponent - 1))
        for number, count in enumerate(counts):
            if count:
                self._counts[math.floor(math.ldexp(start + number * width, -own))] += count

    def _fitting(self, low: float, high: float) -> int:
        """Return the exponent of the width at which the bins span both numbers and those before."""
        if self._counts and self._exponent is not None:
            low = min(low, math.ldexp(min(self._counts), self._exponent))
            high = max(high, math.ldexp(max(self._counts), self._exponent))
        largest = max(abs(low), abs(high))
        spread = math.frexp(high - low)[1] - 6 if high > low else -1000
        # Places stay below 2^52, so that they are exact.
        needed = max(spread, math.frexp(largest)[1] - 50 if largest else -50)
        needed = needed if self._exponent is None else max(needed, self._exponent)
        while math.floor(math.ldexp(high, -needed)) - math.floor(math.ldexp(low, -needed)) >= _BINS:
            needed += 1
        return self._widened(needed)

    def _widened(self, exponent: int) -> int:
        shift = 0 if self._exponent is None else exponent - self._exponent
        if shift > 0:
            counts: Counter[int] = Counter()
            for place, count in self._counts.items():
                counts[place >> shift] += count
            self._counts = counts
        self._exponent = exponent
        return exponent

    def result(self) -> tuple[float, float, tuple[int, ...]] | None:
        if not self._counts or self._exponent is None:
            return None
        first, last = min(self._counts), max(self._counts)
        width = math.ldexp(1.0, self._exponent)
        return first * width, width, tuple(self._counts.get(place, 0) for place in range(first, last + 1))


class _Values:
    """Counts of distinct values."""

    def __init__(self) -> None:
        self.counts: Counter[Any] = Counter()
        self.exact, self.counting = True, True

    def add(self, values: Iterable[Any]) -> None:
        if not self.counting:
            return
        if self.exact:
            self.counts.update(values)
            self.exact = len(self.counts) <= MAX_EXACT
            if not self.exact and self.counts.most_common(1)[0][1] == 1:
                self.counting = False  # keys, measured numbers: counting them costs time and shows nothing
        else:
            known = self.counts
            known.update([value for value in values if value in known])


class _Numbers:
    """Sums, limits, bins, quantiles and distinct values of numbers."""

    def __init__(self, *, whole: bool) -> None:
        self.whole = whole
        self.count = self.nan = 0
        self.low: Number = math.inf
        self.high: Number = -math.inf
        self.mean = self.squares = 0.0
        self.sketch, self.bins, self.values = _Sketch(), _Bins(whole=whole), _Values()

    def add(self, values: Sequence[Number]) -> None:
        numbers = np.array(values, np.float64)
        self.values.add(values)
        if not self.whole:
            real = numbers[~np.isnan(numbers)]
            self.nan += len(numbers) - len(real)
            numbers = real
        if not len(numbers):
            return
        low, high = (min(values), max(values)) if self.whole else (float(numbers.min()), float(numbers.max()))
        self.low, self.high = min(self.low, low), max(self.high, high)
        with np.errstate(invalid="ignore", over="ignore"):
            mean = float(numbers.mean())
            self.join(len(numbers), mean, float(np.square(numbers - mean).sum()))
        if not (math.isfinite(low) and math.isfinite(high)):
            numbers = numbers[np.isfinite(numbers)]
        if len(numbers):
            self.sketch.add(numbers)
            self.bins.add(numbers, float(numbers.min()), float(numbers.max()))

    def join(self, count: int, mean: float, squares: float) -> None:
        """Add count, mean and squared deviations of other numbers (Chan, Golub and LeVeque, 1983)."""
        total = self.count + count
        delta = mean - self.mean
        self.squares += squares + delta * delta * self.count * count / total
        self.mean += delta * count / total
        self.count = total

    def result(self) -> dict[str, Any]:
        if not self.count:
            return {"nan": self.nan}
        deviation = math.sqrt(self.squares / self.count) if math.isfinite(self.squares) else None
        return {
            "nan": self.nan,
            "min": _finite(self.low),
            "max": _finite(self.high),
            "mean": _finite(self.mean),
            "std": deviation,
            "percentiles": self.sketch.percentiles(),
            "histogram": self.bins.result(),
        }


def _finite(value: Number) -> Number | None:
    return value if math.isfinite(value) else None


class _Lengths:
    def __init__(self) -> None:
        self.count = self.sum = self.high = 0
        self.low = 1 << 62

    def add(self, lengths: Sequence[int]) -> None:
        self.count += len(lengths)
        self.sum += sum(lengths)
        low, high = min(lengths), max(lengths)
        self.low, self.high = min(self.low, low), max(self.high, high)

    def result(self) -> tuple[int, int, float] | None:
        return (self.low, self.high, self.sum / self.count) if self.count else None


class _Arrays:
    """Dtypes and shapes of arrays, and the range of their elements."""

    def __init__(self) -> None:
        self.shapes: Counter[tuple[str, tuple[int, ...]]] = Counter()
        self.low: Number = math.inf
        self.high: Number = -math.inf
        self.other = False

    def add_stored(self, raws: Sequence[bytes]) -> list[bytes]:
        """Add arrays in ``.npy`` form, those with equal headers together; return the bytes that are no arrays."""
        groups: dict[tuple[int, bytes], list[bytes]] = {}
        for raw in raws:
            groups.setdefault((len(raw), raw[: 10 + int.from_bytes(raw[8:10], "little")]), []).append(raw)
        others: list[bytes] = []
        for group in groups.values():
            try:
                first = decode_array(group[0])
            except DataError:
                others += group
                continue
            if first.dtype.kind not in "biuf" or not first.size:
                self._shape(first, len(group))
            elif len(group) == 1:
                self.add(first)
            else:
                stacked = np.frombuffer(b"".join(group), np.uint8).reshape(len(group), -1)
                data = stacked[:, len(group[0]) - first.nbytes :]
                self._shape(first, len(group))
                self._elements(np.ascontiguousarray(data).view(first.dtype))
        return others

    def add(self, array: NDArray[Any]) -> None:
        self._shape(array, 1)
        if array.size:
            self._elements(array)

    def _shape(self, array: NDArray[Any], count: int) -> None:
        kind = (dtype_name(array.dtype), array.shape)
        if kind in self.shapes or len(self.shapes) < _MAX_KINDS:
            self.shapes[kind] += count
        else:
            self.other = True

    def _elements(self, array: NDArray[Any]) -> None:
        if array.dtype.kind not in "biuf":
            return
        if array.dtype.kind == "f":
            array = array[np.isfinite(array)]
        if not array.size:
            return
        self.low, self.high = min(self.low, array.min().item()), max(self.high, array.max().item())

    def result(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "shapes": tuple((name, shape, count) for (name, shape), count in self.shapes.most_common()),
        }
        if self.low <= self.high:
            found |= {"min": _plain(self.low), "max": _plain(self.high)}
        return found


def _plain(value: Number) -> Number:
    return int(value) if isinstance(value, bool) else value


class _Column:
    """One field, by the types of its values."""

    def __init__(self) -> None:
        self.count = 0
        self.types: Counter[str] = Counter()
        self.numbers: _Numbers | None = None
        self.values = _Values()
        self.lengths = _Lengths()
        self.arrays = _Arrays()
        self.images: Counter[tuple[str, int, int]] = Counter()

    def add(self, values: list[Any]) -> None:
        kinds = set(map(type, values))
        if NoneType in kinds:
            values = [value for value in values if value is not None]
            kinds.remove(NoneType)
        for kind in kinds:
            some = values if len(kinds) == 1 else [value for value in values if type(value) is kind]
            self._add(kind, some)
        self.count += len(values)

    def _add(self, kind: type, values: list[Any]) -> None:
        if kind is int and not -_LARGEST <= min(values) <= max(values) <= _LARGEST:
            self.types["other"] += len(values)
        elif kind is int or kind is float:
            self.types[kind.__name__] += len(values)
            self._add_numbers(values, whole=kind is int)
        elif kind is bool:
            self.types["bool"] += len(values)
            self.values.add(values)
        elif kind is str:
            self.types["str"] += len(values)
            self.lengths.add(list(map(len, values)))
            self.values.add(values if max(map(len, values)) <= _MAX_TEXT else map(_counted, values))
        elif issubclass(kind, bytes):
            self._add_bytes(values)
        elif issubclass(kind, np.ndarray):
            self.types["array"] += len(values)
            for value in values:
                self.arrays.add(value)
        elif kind is list:
            self.types["list"] += len(values)
            self.lengths.add(list(map(len, values)))
            self._add_items(values)
        else:
            self.types["map" if kind is dict else "other"] += len(values)

    def _add_numbers(self, values: list[Number], *, whole: bool) -> None:
        if self.numbers is None:
            self.numbers = _Numbers(whole=whole)
        elif self.numbers.whole and not whole:
            self.numbers.whole = False
        self.numbers.add(values)

    def _add_bytes(self, values: list[bytes]) -> None:
        stored = [value for value in values if value[:6] == MAGIC]
        others = self.arrays.add_stored(stored) if stored else []
        self.types["array"] += len(stored) - len(others)
        if len(stored) < len(values):
            others += [value for value in values if value[:6] != MAGIC]
        if not others:
            return
        self.types["bytes"] += len(others)
        self.lengths.add(list(map(len, others)))
        for value in others:
            media = media_of(value)
            if media is not None and media.startswith("image/"):
                kind = (media, *(image_size(value) or (0, 0)))
                if kind in self.images or len(self.images) < _MAX_KINDS:
                    self.images[kind] += 1

    def _add_items(self, values: list[list[Any]]) -> None:
        """Add the items of lists of numbers or texts."""
        items = [item for value in values for item in value]
        kinds = set(map(type, items))
        if kinds and kinds <= {int, float}:
            self._add_numbers(items, whole=kinds == {int})
        elif kinds == {str}:
            self.values.add(map(_counted, items))

    def result(self, samples: int) -> FieldStatistics:
        types = [name for name, count in self.types.items() if count]
        kind = "float" if set(types) == {"int", "float"} else types[0] if len(types) == 1 else "mixed"
        found: dict[str, Any] = {"length": self.lengths.result()}
        if "array" in types:
            found |= self.arrays.result()
        values, approximate = self.values, []
        if self.numbers is not None:
            found |= self.numbers.result()
            values = self.numbers.values if len(types) == 1 or kind == "float" else values
            approximate += [] if self.numbers.sketch.exact else ["percentiles"]
        if values.counts and kind != "mixed":
            distinct = len(values.counts) - (1 if found.get("nan") and any(v != v for v in values.counts) else 0)  # noqa: PLR0124
            found["distinct"] = max(0, distinct)
            approximate += [] if values.exact else ["distinct", "top"]
            if values.counting:
                shown = [(v, c) for v, c in values.counts.most_common(MAX_TOP + 1) if _is_shown(v)]
                found["top"] = tuple(shown[:MAX_TOP])
        if self.images:
            found["images"] = tuple((*one, count) for one, count in self.images.most_common())
        return FieldStatistics(
            type=kind, count=self.count, missing=samples - self.count, approximate=tuple(approximate), **found
        )


def _counted(text: str) -> object:
    return text if len(text) <= _MAX_TEXT else (len(text), hash(text))


def _is_shown(value: object) -> bool:
    return not isinstance(value, tuple) and not (isinstance(value, float) and not math.isfinite(value))


class Statistics:
    """Collects the values of samples with :meth:`add`; see the module."""

    def __init__(self, on_block: Callable[[Mapping[str, list[Any]], int], object] | None = None) -> None:
        self.samples = 0
        self._columns: dict[str, _Column] = {}
        self._block: list[Mapping[str, Any]] = []
        self._held, self._on_block = 0, on_block

    def add(self, values: Mapping[str, Any], size: int = 0) -> None:
        """Add the stored values of one sample of ``size`` bytes: None is missing, arrays may be ``.npy`` bytes."""
        self._block.append(values)
        self._held += size
        if len(self._block) >= BLOCK or self._held > _BLOCK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Evaluate the samples of the block; ``on_block`` gets the values of each field, and their number."""
        block, self._block, self._held = self._block, [], 0
        names = dict.fromkeys(chain.from_iterable(block))
        read = {name: [values.get(name) for values in block] for name in names if isinstance(name, str)}
        for name, values in read.items():
            column = self._columns.get(name)
            if column is None:
                if len(self._columns) >= MAX_FIELDS:
                    continue
                column = self._columns[name] = _Column()
            column.add(values)
        self.samples += len(block)
        if self._on_block is not None:
            self._on_block(read, len(block))

    def result(self) -> dict[str, FieldStatistics]:
        """Return the statistics of each field, in the order in which they came."""
        self.flush()
        return {name: column.result(self.samples) for name, column in self._columns.items() if column.count}


# --- merging -------------------------------------------------------------------------------------------------


def merged(parts: Sequence[tuple[int, Mapping[str, FieldStatistics]]]) -> dict[str, FieldStatistics]:
    """Return the statistics of several shards together: of each its number of samples and the statistics of its fields.

    Percentiles are approximate then. ``distinct`` is exact if ``top`` lists all values of each shard, else the largest
    number of one shard, as a lower bound.
    """
    total = sum(samples for samples, _ in parts)
    names = dict.fromkeys(name for _, found in parts for name in found)
    if len(parts) == 1:
        return dict(parts[0][1])
    return {name: _merged([found[name] for _, found in parts if name in found], total) for name in names}


def _merged(parts: Sequence[FieldStatistics], total: int) -> FieldStatistics:
    counted = [one for one in parts if one.count]
    kinds = {one.type for one in counted}
    kind = "float" if kinds == {"int", "float"} else kinds.pop() if len(kinds) == 1 else "mixed"
    count = sum(one.count for one in parts)
    found = FieldStatistics(
        type=kind,
        count=count,
        missing=total - count,
        nan=sum(one.nan for one in parts),
        min=min((one.min for one in parts if one.min is not None), default=None),
        max=max((one.max for one in parts if one.max is not None), default=None),
        length=_merged_lengths(counted),
        shapes=_merged_kinds([one.shapes for one in parts]),
        images=_merged_kinds([one.images for one in parts]),
    )
    return _with_numbers(_with_values(found, counted), counted)


def _merged_lengths(parts: Sequence[FieldStatistics]) -> tuple[int, int, float] | None:
    known = [(one.length, one.count) for one in parts if one.length is not None]
    if not known:
        return None
    mean = sum(length[2] * count for length, count in known) / sum(count for _, count in known)
    return min(length[0] for length, _ in known), max(length[1] for length, _ in known), mean


def _merged_kinds(parts: Sequence[tuple[tuple[Any, ...], ...] | None]) -> Any:  # noqa: ANN401 - rows of either kind
    counts: Counter[tuple[Any, ...]] = Counter()
    for rows in parts:
        for *kind, count in rows or ():
            counts[tuple(kind)] += count
    return tuple((*kind, count) for kind, count in counts.most_common(_MAX_KINDS)) or None


def _with_values(found: FieldStatistics, parts: Sequence[FieldStatistics]) -> FieldStatistics:
    known = [one for one in parts if one.distinct is not None]
    if not known:
        return found
    whole = all(one.top is not None and len(one.top) == one.distinct for one in known)
    counts: Counter[Any] = Counter()
    for one in known:
        counts.update({value: count for value, count in one.top or () if isinstance(value, str | int | float)})
    distinct = len(counts) if whole else max(one.distinct or 0 for one in known)
    top = tuple(counts.most_common(MAX_TOP)) if all(one.top is not None for one in known) else None
    return replace(found, distinct=distinct, top=top, approximate=() if whole else ("distinct", "top"))


def _numbers_in(found: FieldStatistics) -> int:
    """Return how many numbers mean and deviation are of: values, or items of lists."""
    if found.type == "list" and found.length is not None:
        return max(1, round(found.length[2] * found.count))
    return found.count - found.nan


def _with_numbers(found: FieldStatistics, parts: Sequence[FieldStatistics]) -> FieldStatistics:
    known = [one for one in parts if one.mean is not None and one.count > one.nan]
    if not known:
        return found
    numbers = _Numbers(whole=found.type == "int")
    points, weights = [], []
    for one in known:
        count = _numbers_in(one)
        numbers.join(count, one.mean or 0.0, (one.std or 0.0) ** 2 * count)
        if one.histogram is not None:
            numbers.bins.add_counts(*one.histogram)
        if one.percentiles is not None:
            points.append(np.array(one.percentiles))
            weights.append(np.full(101, count / 101))
    percentiles = _weighted(np.concatenate(points), np.concatenate(weights)) if points else None
    if percentiles is not None and found.min is not None and found.max is not None:
        percentiles = (float(found.min), *percentiles[1:-1], float(found.max))
    deviation = all(one.std is not None for one in known)
    return replace(
        found,
        mean=numbers.mean,
        std=math.sqrt(numbers.squares / numbers.count) if deviation else None,
        percentiles=percentiles,
        histogram=numbers.bins.result(),
        approximate=(*found.approximate, *(() if percentiles is None else ("percentiles",))),
    )
