"""Render a preview from the encoded samples of a shard; this module decodes untrusted data.

It runs in a separate process (:mod:`catalog.site.previews.worker`), because the decoders of arrays and pictures are
compiled code that may crash. A value is a picture if its axes permit, else a plot, text, number or summary.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from catalog.errors import CatalogError, InvalidArray, InvalidSample
from catalog.samples.arrays import decode_array
from catalog.samples.conformance import SampleTally
from catalog.samples.packing import DictSample, unpack
from catalog.schema import Array, List, Unknown
from catalog.shards.formats import FORMATS
from catalog.site.previews import pictures, plots
from catalog.site.previews.formatting import SHORT, cut, facts, is_word, number, shape
from catalog.site.previews.histograms import Fault, spread_of
from catalog.site.previews.model import Cell, CellKind, Column, Preview, Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from catalog.schema import FieldType, SampleType

MAX_COLUMNS: Final = 24
MAX_PICTURES: Final = 48
MAX_BYTES: Final = 500_000
"""Maximum bytes of all pictures of a preview. Eight photographs take 60 kB, eight pictures of noise 280 kB."""
MAX_POINTS: Final = 2400
"""Maximum points of all lines of a preview: about 15 kB of the page."""
_MOST_POINTS: Final = 240
_FEWEST_POINTS: Final = 16
_BARS: Final = 32
"""Maximum number of values for bars; more are a line."""
_PRINTED: Final = 4
"""Maximum number of values of an array or a list that are printed."""
_TEXTS: Final = 9000
"""Approximate maximum characters of all texts of a preview."""
_LONGEST_NAME: Final = 80
_UNLIKE: Final = 50
"""Minimum ratio between the typical values of elements for which each element gets its own scale."""
_OURS: Final = frozenset({"ndarrayBytes", "structuredBytes"})
"""Array formats with a decoder of ours; the libraries of the others are not made for untrusted files."""
_PLAIN_NAME: Final = re.compile(r"[a-z0-9_]{1,32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldHint:
    """A field of the schema: ``form`` is the format of an array (``ndarrayBytes``, …), empty for other types."""

    name: str
    form: str = ""
    dimensions: tuple[str, ...] = ()


@dataclass(slots=True)
class _Budget:
    """The remaining size of a preview."""

    points: int
    text: int
    pictures: int = MAX_PICTURES
    room: int = MAX_BYTES
    files: list[tuple[str, bytes]] = field(default_factory=list)


def paint(
    hints: Sequence[FieldHint],
    samples: Sequence[tuple[str, bytes]],
    *,
    shown: int,
    wanted: SampleType | None = None,
    compare: int | None = None,
) -> Preview:
    """Return the preview of samples, (key, msgpack bytes): the first ``shown`` are rows, all are counted.

    The first ``compare``, by default all, are compared with the schema ``wanted``. Raises :class:`InvalidSample` when
    the first isn't a sample.
    """
    read = _unpacked(samples)
    names = hints[:MAX_COLUMNS]
    columns, grid = [], []
    rows = read[:shown]
    budget = _Budget(
        points=max(_FEWEST_POINTS, min(_MOST_POINTS, MAX_POINTS // max(1, len(rows) * _lines(names, rows)))),
        text=max(SHORT, min(600, _TEXTS // max(1, len(rows) * len(names)))),
    )
    for column, hint in enumerate(names):
        values = [_value(hint, sample) for _, sample in read]
        cells, note = _cells(hint, column, values, len(rows), budget)
        kinds = Counter(cell.kind for cell in cells if cell.kind != "none")
        kind: CellKind = kinds.most_common(1)[0][0] if kinds else "none"
        columns.append(Column(name=hint.name[:_LONGEST_NAME], kind=kind, note=note, spread=spread_of(values)))
        grid.append(cells)
    return Preview(
        columns=tuple(columns),
        rows=tuple(Row(key=_shown(key), cells=tuple(cells[at] for cells in grid)) for at, (key, _) in enumerate(rows)),
        counted=len(read),
        more=max(0, len(hints) - MAX_COLUMNS),
        files=tuple(budget.files),
        misfit=_misfit(samples, wanted, compare),
    )


def _shown(key: str) -> str:
    """Return a key for a page: a name in a tar may have bytes that are not UTF-8."""
    return key[:_LONGEST_NAME].encode("utf-8", "replace").decode()


def _misfit(samples: Sequence[tuple[str, bytes]], wanted: SampleType | None, compare: int | None) -> str:
    """Return how the samples differ from their schema; arrays that aren't decoded here are not compared."""
    if wanted is None:
        return ""
    fields = tuple(replace(one, type=_decodable(one.type)) for one in wanted.fields)
    tally = SampleTally(replace(wanted, fields=fields), FORMATS["msgpack"], compare)
    for key, raw in samples:
        tally.add(key, raw)
    return tally.misfit() or ""


def _decodable(type_: FieldType) -> FieldType:
    if isinstance(type_, Array) and type_.format not in _OURS:
        return Unknown(schema="{}")
    return replace(type_, item=_decodable(type_.item)) if isinstance(type_, List) else type_


def _unpacked(samples: Sequence[tuple[str, bytes]]) -> list[tuple[str, DictSample]]:
    found: list[tuple[str, DictSample]] = []
    for key, raw in samples:
        try:
            found.append((key, unpack(DictSample, raw, key=key)))
        except InvalidSample:
            if not found:
                raise
            break
    return found


def _lines(hints: Sequence[FieldHint], rows: Sequence[tuple[str, DictSample]]) -> int:
    count = 0
    for hint in hints:
        value = _value(hint, rows[0][1])
        found = plots.series(value, hint.dimensions) if isinstance(value, np.ndarray) else None
        count += 0 if found is None else len(found)
    return count


def _value(hint: FieldHint, sample: DictSample) -> object:
    """Decode a field's value, also arrays of every format; a :class:`Fault` if that fails."""
    value = sample.get(hint.name)
    if hint.form and isinstance(value, bytes):
        if hint.form not in _OURS:
            return Fault(f"{hint.form}, {len(value):,} bytes")
        try:
            return decode_array(value)
        except CatalogError as error:
            return Fault(f"can’t be read: {error.what}"[:120])
    if isinstance(value, list) and len(value) > _PRINTED and all(type(item) in (int, float) for item in value):
        try:
            return np.asarray(value, dtype=np.float64)
        except (OverflowError, ValueError):
            return value
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """The display of a field, the same for all samples so that they are comparable.

    ``scale`` is for pictures; ``limits`` are for plots, one per channel, ``places`` for bars with their own scales.
    """

    hint: FieldHint
    stem: str
    scale: pictures.Scale | None
    limits: tuple[tuple[float, float], ...]
    places: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None


def _cells(hint: FieldHint, column: int, values: list[object], shown: int, budget: _Budget) -> tuple[list[Cell], str]:
    """Return the cells of a field for the displayed samples, and a note for the reader."""
    arrays = [value for value in values if isinstance(value, np.ndarray)]
    visible = [value for value in values[:shown] if isinstance(value, np.ndarray)]
    flat = [array for array in visible if _is_picture(array, hint)]
    # A field that changes its dtype has a scale for each picture.
    same = len({array.dtype.kind for array in flat}) == 1
    rows = [found for array in visible if (found := plots.series(array, hint.dimensions)) is not None]
    look = _Look(
        hint=hint,
        stem=hint.name if _PLAIN_NAME.fullmatch(hint.name) else f"field_{column}",
        scale=pictures.scale_of(flat) if same else None,
        limits=_limits(rows),
        places=_places(arrays),
    )
    cells = [_cell(value, look, at, budget) for at, value in enumerate(values[:shown])]
    kinds = {cell.kind for cell in cells}
    if "picture" in kinds and look.scale is not None:
        return cells, look.scale.note
    if "bars" in kinds and look.places is not None:
        return cells, "each bar has a scale of its own"
    if kinds & {"line", "bars"} and len(look.limits) > 1:
        return cells, "each line has a scale of its own"
    return _aligned(cells, values), ""


def _limits(series: list[NDArray[np.float64]]) -> tuple[tuple[float, float], ...]:
    """Return minimum and maximum of each channel over all samples."""
    channels = max((len(one) for one in series), default=0)
    return tuple(plots.span([one[at] for one in series if at < len(one)]) for at in range(channels))


def _places(arrays: list[NDArray[Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return minimum and maximum of each element of short vectors whose elements have different units."""
    if len(arrays) < 3 or any(array.ndim != 1 or array.dtype.kind not in "iuf" for array in arrays):
        return None
    count = arrays[0].size
    if not _PRINTED < count <= _BARS or any(array.size != count for array in arrays):
        return None
    with np.errstate(all="ignore"):
        whole = np.stack([array.astype(np.float64) for array in arrays])
    if not np.isfinite(whole).all():
        return None
    sizes = np.abs(whole).max(axis=0)
    if sizes.max() <= _UNLIKE * np.median(sizes):
        return None
    return whole.min(axis=0), whole.max(axis=0)


def _aligned(cells: list[Cell], values: list[object]) -> list[Cell]:
    """Align fractions to the same number of digits, if that distinguishes them."""
    found = [value for value in values[: len(cells)] if value is not None]
    sizes = [abs(value) for value in found if isinstance(value, float) and math.isfinite(value) and value != 0]
    if not sizes or not all(isinstance(value, float) for value in found) or max(sizes) >= 1e5:
        return cells
    needed = max(_decimals(cell.text) for cell in cells)
    digits = min(needed, max(2, _decimals(number(max(sizes)))))
    if min(sizes) < 10.0 ** (1 - digits) or any("e" in cell.text for cell in cells):
        return cells
    return [
        replace(cell, text=f"{value:.{digits}f}".replace("-", "−")) if isinstance(value, float) else cell
        for cell, value in zip(cells, values, strict=False)
    ]


def _decimals(text: str) -> int:
    return len(text.partition(".")[2])


def _is_picture(array: NDArray[Any], hint: FieldHint) -> bool:
    found = pictures.arrangement(array, hint.dimensions)
    # A few long rows are channels over time; no picture is three pixels high.
    return found is not None and (found != "HW" or plots.series(array, hint.dimensions) is None)


def _cell(value: object, look: _Look, row: int, budget: _Budget) -> Cell:
    file = f"preview-{row}-{look.stem}"
    if isinstance(value, np.ndarray):
        if value.dtype == np.uint8 and value.ndim == 1 and pictures.is_file(value[:16].tobytes()):
            return _bytes_cell(value.tobytes(), file, budget)
        how = pictures.arrangement(value, look.hint.dimensions)
        if how is not None and _is_picture(value, look.hint) and budget.pictures > 0:
            picture = pictures.from_array(value, how, look.scale or pictures.scale_of([value]))
            return _picture_cell(picture, file, budget, f"{value.dtype.name}, {shape(value)}")
        return _plot_cell(value, look, budget)
    return _bytes_cell(value, file, budget) if isinstance(value, bytes) else _plain_cell(value, budget)


def _plot_cell(array: NDArray[Any], look: _Look, budget: _Budget) -> Cell:
    rows = plots.series(array, look.hint.dimensions)
    if rows is None:
        return Cell(kind="facts", text=facts(array))
    if rows.size <= _PRINTED:
        return Cell(kind="number", text=" · ".join(number(item) for item in array.reshape(-1).tolist()))
    if rows.shape[1] > _BARS:
        pairs = zip(rows, look.limits, strict=False)
        paths = tuple(plots.line(row, limits, points=budget.points) for row, limits in pairs)
        return Cell(kind="line", text=facts(array), paths=paths)
    limits = look.limits
    if look.places is not None:
        low, high = look.places
        with np.errstate(all="ignore"):
            rows = np.where(high > low, (rows - low) / (high - low), 0.5)
        limits = ((0.0, 1.0),)
    paths = tuple(plots.bars(row, span) for row, span in zip(rows, limits, strict=False))
    return Cell(kind="bars", text=facts(array), paths=paths)


def _bytes_cell(value: bytes, file: str, budget: _Budget) -> Cell:
    kind = pictures.is_file(value)
    if kind is None or budget.pictures <= 0:
        return Cell(kind="facts", text=f"{len(value):,} bytes" if kind is None else f"{kind}, {len(value):,} bytes")
    try:
        return _picture_cell(pictures.from_file(value), file, budget, f"a {kind} file of {len(value):,} bytes")
    except InvalidArray as error:
        return Cell(kind="fault", text=error.what)


def _picture_cell(picture: pictures.Picture, file: str, budget: _Budget, text: str) -> Cell:
    if len(picture.data) > budget.room:
        return Cell(kind="facts", text=f"{text}; one picture too many")
    budget.pictures -= 1
    budget.room -= len(picture.data)
    name = f"{file}.{picture.suffix}"
    budget.files.append((name, picture.data))
    return Cell(
        kind="picture",
        text=text,
        file=name,
        width=picture.width,
        height=picture.height,
        pixels=picture.pixels,
    )


def _plain_cell(value: object, budget: _Budget) -> Cell:  # noqa: PLR0911 - one for each kind of value
    match value:
        case None:
            return Cell(kind="none")
        case Fault():
            return Cell(kind="fault", text=str(value))
        case bool():
            return Cell(kind="word", text="true" if value else "false")
        case int() | float():
            return Cell(kind="number", text=number(value))
        case str():
            return Cell(kind="word" if is_word(value) else "text", text=cut(value, budget.text))
        case list() if value and len(value) <= _PRINTED and all(type(item) in (int, float) for item in value):
            return Cell(kind="number", text=" · ".join(number(item) for item in value))
        case list() if value and all(isinstance(item, str) for item in value[:100]):
            return Cell(kind="text", text=cut(", ".join(value[:100]), budget.text))
        case list() | dict():
            return Cell(kind="text", text=cut(json.dumps(_outlined(value), ensure_ascii=False), budget.text))
    return Cell(kind="facts", text=type(value).__name__)


def _outlined(value: object, depth: int = 0) -> object:  # noqa: PLR0911 - one for each kind of value
    """Return a nested value as JSON: a few items of each level, with summaries of arrays and bytes."""
    match value:
        case np.ndarray():
            return facts(value)
        case bytes():
            return f"{len(value):,} bytes"
        case list() if depth < 3:
            return [_outlined(item, depth + 1) for item in value[:8]] + (["…"] if len(value) > 8 else [])
        case dict() if depth < 3:
            return {str(name)[:SHORT]: _outlined(item, depth + 1) for name, item in list(value.items())[:8]}
        case str():
            return cut(value, 200)
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
    return "…"
