r"""The format ``csv``: text tables, a row a sample, a column a field.

::

    day,rain,code                   {"day": "2026-01-01", "rain": "0.5", "code": "01234"}
    2026-01-01,0.5,01234     ─▶     with the type (day: str, rain: float, code: str) rain is 0.5

Cells are text; the fields of a sample type say what they become. Without a type they stay text. The separator is a
comma, semicolon or tab, by the first rows. Without a header the columns are ``column_1``, ``column_2``, …. The
first row is a header if

- it has no number, date or truth value in it; or
- it has text where every other row has a number: ``station,2019,2020`` above ``north,0.5,0.7``; or
- it counts its columns from 0, as pandas names them, above rows with fractions, or at least 8 of them.

================  ==================================================================================
field             cell
================  ==================================================================================
str               the text; of an optional field, an empty cell is missing
int, float        decimal digits, ``1e-3``, ``nan``, ``inf``
bool              ``true`` or ``false`` in any case, ``1``, ``0``
datetime          ISO 8601
bytes             base64
map, list, array  JSON
================  ==================================================================================

In optional fields other than text, ``NA``, ``N/A``, ``null``, ``None`` and ``?`` are missing, too.

- A row with another number of cells than the header is an error: pandas would shift its columns.
- The limit on a cell is one for the whole process, in the module :mod:`csv`; it is raised, never lowered.
"""

from __future__ import annotations

import base64
import binascii
import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from catalog.errors import InvalidSample, InvalidShard
from catalog.schema import MAX_FIELDS, Array, Field, List, Scalar, type_text
from catalog.shards.formats.format import KEY, RESERVED, Stated
from catalog.shards.formats.json_values import array_of, parse_json
from catalog.shards.formats.text import KEY_DIGITS, Lines, head_lines, is_text
from catalog.shards.limits import MAX_MEMBER

if TYPE_CHECKING:
    from catalog.schema import FieldType, SampleType
    from catalog.shards.formats.format import Decoder
    from catalog.shards.source import Source

MAX_CELL: Final = 1 << 24
"""Characters of one cell."""

_SEPARATORS: Final = ("\t", ";", ",")
"""A table with semicolons may have decimal commas; one with commas rarely has a semicolon in every row."""
_SNIFFED: Final = 20
_MISSING: Final = frozenset({"", "NA", "N/A", "null", "NULL", "None", "?"})
_INT: Final = re.compile(r"[+-]?[0-9]{1,20}")
_FLOAT: Final = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?|nan|[+-]?inf(?:inity)?", re.IGNORECASE
)
_BOOL: Final = re.compile(r"true|false", re.IGNORECASE)
_DATETIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
_LEADING_ZERO: Final = re.compile(r"[+-]?0[0-9]+(?:\.[0-9]*)?")
_BOOLS: Final = {"true": True, "1": True, "false": False, "0": False}
_LEAST, _MOST = -(2**63), 2**63 - 1
_COUNTED, _SURELY_COUNTED = 3, 8
"""Columns from which 0, 1, 2, … may be, and surely are, their numbers."""
_MARKUP: Final = ("<", "{", "[", "version https://git-lfs")


class _Dialect(NamedTuple):
    """Dialect of a CSV file: separator, columns, and if its first row names them."""

    separator: str
    columns: tuple[str, ...]
    header: bool


def _rows(lines: Iterable[str], separator: str) -> Iterator[list[str]]:
    if csv.field_size_limit() < MAX_CELL:
        csv.field_size_limit(MAX_CELL)
    return csv.reader(lines, delimiter=separator, strict=True)


def _first_rows(head: bytes, separator: str) -> list[list[str]]:
    found: list[list[str]] = []
    try:
        for row in _rows(head_lines(head), separator):
            found.append(row)
            if len(found) == _SNIFFED:
                break
    except csv.Error:  # a quoted cell may be cut at the end of the head; reading the rows reports other faults
        pass
    return found


def _separator(head: bytes) -> tuple[str, list[list[str]], int]:
    """Return the separator, the first rows by it, and the number of those with as many cells as the first one."""
    best: tuple[str, list[list[str]], int] | None = None
    for separator in _SEPARATORS:
        rows = _first_rows(head, separator)
        width = len(rows[0]) if rows else 0
        agreeing = sum(len(row) == width for row in rows) if width > 1 else 0
        if agreeing and (best is None or agreeing > best[2]):
            best = separator, rows, agreeing
    return best or (",", _first_rows(head, ","), 0)


def _dialect(head: bytes, where: str) -> _Dialect | None:
    """Return the dialect by the first bytes of a file; ``None`` if it is empty."""
    separator, rows, _ = _separator(head)
    if not rows:
        return None
    first = [cell.strip() for cell in rows[0]]
    header = any(first) and (not any(_is_value(cell) for cell in first) or _names_values(first, rows[1:]))
    named = first if header else [""] * len(first)
    columns = tuple(name or _unnamed(number) for number, name in enumerate(named, start=1))
    if len(columns) > MAX_FIELDS:
        raise InvalidShard(f"{len(columns):,} columns; the most is {MAX_FIELDS:,}", where=where)
    if len(set(columns)) < len(columns):
        twice = next(name for number, name in enumerate(columns) if name in columns[:number])
        raise InvalidShard(f"two columns are called {twice!a:.80}", where=f"{where}, line 1", hint="rename one of them")
    return _Dialect(separator, columns, header)


def _names_values(first: list[str], rows: list[list[str]]) -> bool:
    """Return whether a first row with numbers in it names the columns of the other rows nevertheless."""
    rows = [row for row in rows if len(row) == len(first)]
    for name, *cells in zip(first, *rows, strict=True):
        values = [cell for cell in cells if cell not in _MISSING]
        if values and name not in _MISSING and not _is_value(name) and all(map(_FLOAT.fullmatch, values)):
            return True
    counted = first[1:] if first[0] == "" else first  # a column of row numbers has no name
    if len(counted) < _COUNTED or counted != [str(number) for number in range(len(counted))]:
        return False
    return len(counted) >= _SURELY_COUNTED or any("." in cell for row in rows for cell in row)


def _unnamed(number: int) -> str:
    return f"column_{number}"


_NO_HEADER: Final = _unnamed(1)


def _is_value(cell: str) -> bool:
    """Return whether a cell is a value and no name: a number, a date, a truth value."""
    return bool(_FLOAT.fullmatch(cell) or _BOOL.fullmatch(cell) or re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", cell))


def _table(
    source: Source, where: str, most: int = MAX_MEMBER, places: list[int] | None = None
) -> tuple[tuple[str, ...], Iterator[list[str]]]:
    """Return the columns and the rows. Raises :class:`InvalidShard` with the line."""
    lines = Lines(source, where, most)
    dialect = _dialect(lines.head, where)
    if dialect is None:
        return (), iter(())
    return dialect.columns, _checked(lines, dialect, places)


def _checked(lines: Lines, dialect: _Dialect, places: list[int] | None) -> Iterator[list[str]]:
    rows = _rows(lines, dialect.separator)
    width = len(dialect.columns)
    skip = dialect.header
    end = 0
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise _bad_row(lines, error) from None
        if row is None:
            return
        lines.release()
        begin, end = end, lines.end
        if not row:  # a blank line
            continue
        if skip:
            skip = False
            continue
        if len(row) != width:
            found = "1 cell" if len(row) == 1 else f"{len(row):,} cells"
            hint = "is a separator in a cell that isn't quoted?" if len(row) > width else "is a cell missing?"
            raise InvalidShard(f"a row of {found} in a table of {width:,} columns", where=lines.place(), hint=hint)
        if places is not None:
            places += (begin, end)
        yield row


def _bad_row(lines: Lines, error: csv.Error) -> InvalidShard:
    text = str(error)
    if "field larger" in text:
        hint = "is a quote missing? Long texts and files belong into JSON Lines or Parquet"
        return InvalidShard(f"a cell of more than {MAX_CELL:,} characters", where=lines.place(), hint=hint)
    hint = "quotes inside a quoted cell are doubled, and line breaks are \\n or \\r\\n"
    return InvalidShard(f"the row can't be read: {text[:120]}", where=lines.place(), hint=hint)


class _BadCell(Exception):
    """The cell isn't of the type."""


def _to_int(cell: str) -> int:
    if not _INT.fullmatch(cell.strip()):
        raise _BadCell
    return int(cell)


def _to_float(cell: str) -> float:
    if not _FLOAT.fullmatch(cell.strip()):
        raise _BadCell
    return float(cell)


def _to_bool(cell: str) -> bool:
    found = _BOOLS.get(cell.strip().lower())
    if found is None:
        raise _BadCell
    return found


def _to_bytes(cell: str) -> bytes:
    try:
        return base64.b64decode(cell.strip(), validate=True)
    except binascii.Error:
        raise _BadCell from None


def _to_json(cell: str) -> Any:  # noqa: ANN401 - any JSON
    try:
        return parse_json(cell)
    except ValueError:
        raise _BadCell from None


_SCALARS: Final[Mapping[str, Callable[[str], Any]]] = {
    "int": _to_int, "float": _to_float, "bool": _to_bool, "bytes": _to_bytes, "map": _to_json,
}  # fmt: skip


def _converter(type_: FieldType) -> Callable[[str], Any] | None:
    match type_:
        case Array():
            return lambda cell: array_of(type_, _to_json(cell))
        case List():
            return _to_json
        case Scalar():
            return _SCALARS.get(type_.kind)
    return None


def _column_decoder(found: Field) -> Callable[[str, str], Any]:
    """Return the function of cell and key for a field; it returns ``None`` for a missing value."""
    convert = _converter(found.type)
    missing = _MISSING if convert is not None or found.type != Scalar(kind="str") else frozenset({""})
    if not found.optional:
        missing = frozenset()

    def decode(cell: str, key: str) -> Any:  # noqa: ANN401 - of the field's type
        if cell in missing:
            return None
        if convert is None:
            return cell
        try:
            return convert(cell)
        except _BadCell:
            what = f"field {found.name!a:.200}: expected {type_text(found.type, optional=found.optional)}"
            hint = None if cell else "make the field optional if values are missing"
            raise InvalidSample(f"{what}, found the text {cell[:60]!a}", where=key, hint=hint) from None

    return decode


_KINDS: Final = {
    "bool": _BOOL.fullmatch, "int": _INT.fullmatch, "float": _FLOAT.fullmatch, "datetime": _DATETIME.fullmatch,
}  # fmt: skip
"""In the order of preference."""


@dataclass(slots=True)
class _Column:
    """The types that all cells so far can have, and which kinds of missing values were seen."""

    kinds: list[str] = field(default_factory=lambda: list(_KINDS))
    empty: int = 0
    missing: int = 0
    present: int = 0

    def add(self, cell: str) -> None:
        if not cell:
            self.empty += 1
        elif cell in _MISSING:
            self.missing += 1
        else:
            self.present += 1
            if self.kinds:
                bare = cell.strip()
                self.kinds = [kind for kind in self.kinds if _KINDS[kind](bare) and _is_kind(kind, bare)]

    def found(self, name: str) -> Field | None:
        """Return the field; ``None`` if no cell has a value."""
        if not self.present:
            return None
        kind: Any = self.kinds[0] if self.kinds else "str"
        missing = self.empty + (0 if kind == "str" else self.missing)
        return Field(name=name, type=Scalar(kind=kind), optional=missing > 0)

    def values(self, found: Field | None) -> int:
        """Return how many cells have a value of the field."""
        return self.present + (self.missing if found is not None and found.type == Scalar(kind="str") else 0)


def _is_kind(kind: str, cell: str) -> bool:
    """Return whether nothing of a number's text is lost: the zeros before it, and its size."""
    if kind in ("int", "float") and _LEADING_ZERO.fullmatch(cell):
        return False
    return kind != "int" or _LEAST <= int(cell) <= _MOST


class _Csv:
    """The format ``csv``; see :class:`~catalog.shards.formats.format.Format`."""

    name = "csv"
    media_type = "text/csv"

    def recognises(self, head: bytes) -> bool:
        """Return whether the file is text whose first rows, two at least, have the same number of cells."""
        if not is_text(head):
            return False
        lines = head_lines(head[:16384])
        if not lines or lines[0].lstrip().lower().startswith(_MARKUP):
            return False
        _, rows, agreeing = _separator(head)
        return agreeing >= 2 and 2 * agreeing > len(rows)

    def samples(
        self,
        source: Source,
        where: str,
        *,
        max_bytes: int = MAX_MEMBER,
        on_other: Callable[[str], object] | None = None,  # noqa: ARG002
        whole: bool = False,  # noqa: ARG002
        places: list[int] | None = None,
    ) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield (key, column → cell); the key is the column ``__key__``, or else the row number.

        Raises :class:`InvalidShard` with the line.
        """
        columns, rows = _table(source, where, max_bytes, places)
        reserved = [name for name in RESERVED if name in columns]
        for number, row in enumerate(rows):
            cells = dict(zip(columns, row, strict=True))
            key = cells.get(KEY) if reserved else None
            for name in reserved:
                del cells[name]
            yield key or f"{number:0{KEY_DIGITS}d}", cells

    def count(self, source: Source, where: str) -> int | None:
        """Return the number of rows, ``None`` if it isn't a valid table."""
        try:
            return sum(1 for _ in _table(source, where)[1])
        except InvalidShard:
            return None

    def decoder(self, wanted: SampleType | None) -> Decoder:
        """Return the function that converts the cells of a row; without a type they stay text."""
        if wanted is None:
            return lambda raw, _: dict(raw)
        steps = [(one.name, _column_decoder(one), one.optional) for one in wanted.fields]

        def decode(raw: Mapping[str, str], key: str) -> dict[str, Any]:
            values = {}
            for name, step, optional in steps:
                cell = raw.get(name)
                if cell is not None and ((value := step(cell, key)) is not None or not optional):
                    values[name] = value
                elif cell is None and not optional and _NO_HEADER in raw:
                    what = f"field {name!a:.200}: no such column; the table has no header, or one with a number in it"
                    hint = f"its columns are {_NO_HEADER}, …: name the fields so, or give it a header"
                    raise InvalidSample(what, where=key, hint=hint)
            return values

        return decode

    def infer(self, source: Source, where: str, limit: int | None) -> Stated:
        """Return the fields by the first ``limit`` rows: the narrowest type that all cells of a column have."""
        columns, rows = _table(source, where)
        seen = [_Column() for _ in columns]
        looked = total = 0
        for total, row in enumerate(rows, start=1):
            if limit is None or total <= limit:
                looked = total
                for column, cell in zip(seen, row, strict=True):
                    column.add(cell)
        found = {name: column.found(name) for name, column in zip(columns, seen, strict=True) if name not in RESERVED}
        return Stated(
            fields=tuple(one for one in found.values() if one is not None),
            left_out=tuple((name, "it never has a value") for name, one in found.items() if one is None),
            rows=looked,
            total=total,
            missing={
                name: looked - column.values(found[name])
                for name, column in zip(columns, seen, strict=True)
                if name in found
            },
        )


CSV: Final = _Csv()
