"""Write samples as rows of Parquet: a field is a column.

::

    bool, int, float, str, bytes        the same                    list, dict     nested, if all rows have one form
    datetime, date                      timestamp[us], date32       None, NaN      null; NaN stays in columns of floats
    numpy array of numbers              nested lists                other arrays   .npy bytes

The types are those of the class of the samples; without one, those of the first row group. A value of another type is
refused, and so is one that would come back otherwise: a list of numbers is read as an array. The key of a row is its
number; samples with keys of their own have them in the column ``__key__``, which readers don't take for a field.

A row group has about 4 MB: readers fetch whole ones. Binary and nested columns have no statistics, which would repeat
their values in the footer.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from catalog.errors import InvalidArray, InvalidSample, require_extra
from catalog.samples.annotations import plan_of
from catalog.samples.arrays import encode_array
from catalog.samples.conversions import conversion
from catalog.samples.packing import wire_values
from catalog.samples.storable import is_missing
from catalog.schema import Array, List, Scalar
from catalog.shards import limits
from catalog.shards.formats.format import KEY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import BinaryIO

    from numpy.typing import NDArray

    from catalog.schema import FieldType

_GROUP_BYTES: Final = 4 << 20
_GROUP_ROWS: Final = 100_000
_NUMBERS: Final = frozenset("?bhilqBHILQefd")
"""The characters of dtypes whose arrays are nested lists."""

_KINDS: Final = (bool, int, float, str, bytes, dt.datetime, dt.date, np.ndarray, list, dict)
_NESTED: Final = (list, dict)


class _Column(NamedTuple):
    """The type of a column: of its Python values, and in Arrow.

    For arrays as nested lists it has dtype and number of axes; arrays in a binary column are ``.npy`` bytes.
    """

    kind: type
    arrow: Any
    dtype: np.dtype[Any] | None = None
    axes: int = 0


class ParquetRows:
    """Rows of samples and the types of their columns, the same in all shards.

    With ``lists`` a sample without a class may have lists of numbers, which readers of Parquet take for arrays.
    """

    def __init__(self, *, lists: bool = False, purpose: str = "writing Parquet") -> None:
        require_extra("arrow", "pyarrow", purpose=purpose)
        self.columns: dict[str, _Column | None] | None = None
        self.typed = False
        self.lists = lists

    def declared(self, cls: type | None) -> dict[str, Any]:
        """Return name and Arrow type of the columns of a class, as far as its fields declare them."""
        import pyarrow as pa

        entries = () if cls is None or not hasattr(cls, "__packable__") else plan_of(cls).entries
        columns = {entry.field.name: _declared(entry.field.type) for entry in entries}
        return {name: pa.null() if column is None else column.arrow for name, column in columns.items()}

    def row(self, sample: object, key: str, own: str | None = None) -> dict[str, Any]:
        """Return wire name → value of a sample, each of a kind that Parquet stores; with the key that it has itself."""
        if isinstance(sample, dict):
            values: Mapping[Any, Any] = sample
        else:
            values = self._typed_values(sample, key, has_key=own is not None)
        row: dict[str, Any] = {} if own is None else {KEY: own}
        for name, value in values.items():
            if not isinstance(name, str) or not name:
                raise InvalidSample(f"field {ascii(name)[:100]}: the name of a column is text", where=key)
            try:
                row[name] = _plain(value)
                _check_list(row[name], allowed=self.typed or self.lists)
            except InvalidArray as error:
                raise InvalidSample(f"field {name[:100]!a}: {error.what}", where=key, hint=error.hint) from error
        if _size(row) > limits.MAX_MEMBER:
            raise InvalidSample(f"a row of {_size(row):,} bytes; the most is {limits.MAX_MEMBER:,}", where=key)
        return row

    def _typed_values(self, sample: object, key: str, *, has_key: bool) -> dict[str, Any]:
        plan = plan_of(type(sample))
        if self.columns is None:
            self.typed = True
            self.columns = {KEY: _declared(Scalar(kind="str"))} if has_key else {}
            self.columns |= {entry.field.name: _declared(entry.field.type) for entry in plan.entries}
        stored = wire_values(sample, key)
        for entry in plan.entries:
            value = getattr(sample, entry.attribute)
            if isinstance(value, np.ndarray | dt.datetime) and _is_native(entry.field.type):
                stored[entry.field.name] = value
        return stored

    def table(self, keys: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Any:  # noqa: ANN401 - pyarrow.Table
        """Return rows as an Arrow table. Raises :class:`InvalidSample` with key and field."""
        import pyarrow as pa

        first = self.columns is None
        columns = self.columns = {} if self.columns is None else self.columns
        for key, row in zip(keys, rows, strict=True):
            for name in row.keys() - columns.keys():
                if not first and name == KEY:
                    raise InvalidSample(
                        "a key, but the rows before have none", where=key, hint="give all a key, or none"
                    )
                if not first:
                    what = f"field {name[:100]!a}: not in the rows before"
                    raise InvalidSample(what, where=key, hint="write samples of a class that has all fields")
            columns.update(dict.fromkeys(name for name in row if name not in columns))
        arrays = []
        for name in columns:
            values = [row.get(name) for row in rows]
            try:
                column = columns[name] = columns[name] or _column(values)
                arrays.append(_arrow(column, values))
            except _Misfit as fault:
                hint = fault.hint
                raise InvalidSample(f"field {name[:100]!a}: {fault}", where=keys[fault.row], hint=hint) from None
        return pa.table(arrays, names=list(columns))


class _Misfit(Exception):
    """A value that isn't of the type of its column: its row, and what to do."""

    def __init__(self, what: str, row: int, hint: str | None = None) -> None:
        super().__init__(what)
        self.row = row
        self.hint = hint


# --- one value -----------------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:  # noqa: ANN401 - samples hold anything
    """Return a value as one of a plain kind, ``None`` for a missing one."""
    if value is None or (not isinstance(value, float) and is_missing(value)):
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, dt.datetime) and hasattr(value, "to_pydatetime"):  # pandas
        if getattr(value, "nanosecond", 0):
            raise InvalidArray("a timestamp with nanoseconds can't be stored", hint="write value.floor('us')")
        return value.to_pydatetime()
    if isinstance(value, tuple):
        return list(value)
    for kind in (bool, int, float, str, bytes):
        if isinstance(value, kind):
            return value if type(value) is kind else kind(value)  # type: ignore[arg-type] # np.str_, an IntEnum
    if isinstance(value, _KINDS):
        return value
    raise InvalidArray(f"a value of type {type(value).__name__} can't be stored", hint=conversion(value))


def _is_nested(dtype: np.dtype[Any]) -> bool:
    """Return whether arrays of a dtype are nested lists; those of ml_dtypes have characters of NumPy's own, too."""
    return dtype.char in _NUMBERS and dtype.isbuiltin != 2


def _kind(value: object) -> type:
    return next(kind for kind in _KINDS if isinstance(value, kind))


def _check_list(value: object, *, allowed: bool) -> None:
    """Refuse a list of numbers without a type: Parquet doesn't tell it from an array."""
    if isinstance(value, list) and not allowed:
        flat: Any = value
        while isinstance(flat, list) and flat:
            flat = next((item for item in flat if item is not None), None)
        if isinstance(flat, bool | int | float):
            raise InvalidArray("a list of numbers is read from Parquet as an array", hint="write np.asarray(value)")


def _size(row: Mapping[str, Any]) -> int:
    return sum(_length(value) for value in row.values())


def _length(value: object) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, np.ndarray):
        return value.nbytes
    return 8 * len(value) if isinstance(value, list | dict) else 8


# --- one column ----------------------------------------------------------------------------------------------


def _is_native(type_: FieldType) -> bool:
    """Return whether a column has the values of a field as they are in Python, not as msgpack stores them."""
    if isinstance(type_, Array):
        return type_.format in ("ndarrayBytes", "structuredBytes")
    return isinstance(type_, Scalar)


def _declared(type_: FieldType) -> _Column | None:
    """Return the column of a field; ``None`` if the first values decide."""
    import pyarrow as pa

    match type_:
        case Scalar(kind=kind):
            arrow = {
                "bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "str": pa.string(), "bytes": pa.binary(),
                "datetime": pa.timestamp("us", "UTC"),
            }.get(kind)  # fmt: skip
            python = {"bool": bool, "int": int, "float": float, "str": str, "bytes": bytes, "datetime": dt.datetime}
            return None if arrow is None else _Column(python[kind], arrow)
        case List():
            item = _declared(type_.item)
            return None if item is None or isinstance(type_.item, Array) else _Column(list, pa.list_(item.arrow))
        case Array() if not _is_native(type_):
            return _Column(bytes, pa.binary())
        case Array(dtype=str() as dtype, shape=tuple() as shape) if shape and _is_number(dtype):
            return _nested_column(np.dtype(dtype), len(shape))
    return None


def _is_number(dtype: str) -> bool:
    try:
        return _is_nested(np.dtype(dtype))
    except TypeError:
        return False


def _column(values: Sequence[Any]) -> _Column:
    """Return the type of a column by its values. Raises :class:`_Misfit` if they have several."""
    import pyarrow as pa

    rows = [row for row, value in enumerate(values) if value is not None and not _is_nan(value)]
    kinds: dict[type, int] = {}
    for row in rows:
        kinds.setdefault(_kind(values[row]), row)
    if not rows:
        return _Column(float, pa.float64()) if any(map(_is_nan, values)) else _Column(type(None), pa.null())
    if kinds.keys() == {int, float}:
        return _Column(float, pa.float64())
    if len(kinds) > 1:
        one, other = list(kinds)[:2]
        raise _Misfit(f"{one.__name__} in one row, {other.__name__} in another", kinds[other], "give it one type")
    (kind,) = kinds
    present = [values[row] for row in rows]
    if kind is np.ndarray:
        return _array_column(present)
    if kind is dt.datetime:
        return _Column(kind, pa.timestamp("us", "UTC" if present[0].utcoffset() is not None else None))
    if kind in _NESTED:
        try:
            return _Column(kind, pa.infer_type(present))
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            raise _Misfit(f"no one type: {str(error)[:150]}", rows[0], "use the format msgpack") from error
    scalars = {
        bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string(), bytes: pa.binary(),
        dt.date: pa.date32(),
    }  # fmt: skip
    return _Column(kind, scalars[kind])


def _array_column(values: Sequence[NDArray[Any]]) -> _Column:
    """Return the column of arrays: nested lists if all have one dtype of numbers and as many axes."""
    import pyarrow as pa

    forms = {(value.dtype, value.ndim) for value in values}
    (dtype, axes) = next(iter(forms))
    if len(forms) > 1 or not all(map(_is_nestable, values)):
        return _Column(np.ndarray, pa.binary())
    return _nested_column(dtype, axes)


def _nested_column(dtype: np.dtype[Any], axes: int) -> _Column:
    import pyarrow as pa

    arrow = pa.from_numpy_dtype(dtype)
    for _ in range(axes):
        arrow = pa.list_(arrow)
    return _Column(np.ndarray, arrow, dtype, axes)


def _is_nestable(value: NDArray[Any]) -> bool:
    """Return whether nested lists give an array back: native numbers, and no axis that only an empty one has."""
    plain = _is_nested(value.dtype) and value.dtype.isnative and type(value) is np.ndarray
    return plain and value.ndim > 0 and (value.size > 0 or value.ndim == 1)


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and value != value  # noqa: PLR0124 - only NaN is


def _arrow(column: _Column, values: Sequence[Any]) -> Any:  # noqa: ANN401 - an Arrow array
    """Return values as an Arrow array. Raises :class:`_Misfit`."""
    import pyarrow as pa

    fitting = [_fitting(column, value, row) for row, value in enumerate(values)]
    if column.dtype is not None:
        return _nested(column, fitting)
    try:
        array = pa.array(fitting, column.arrow, from_pandas=False)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise _Misfit(f"it can't be stored: {str(error)[:150]}", _first_bad(column, fitting)) from error
    if column.kind in _NESTED:
        for row, (read, value) in enumerate(zip(array.to_pylist(), fitting, strict=True)):
            if not _is_same(read, value):
                raise _Misfit("a value of another form than in other rows", row, "use the format msgpack")
    return array


def _fitting(column: _Column, value: Any, row: int) -> Any:  # noqa: ANN401
    """Return a value for a column. Raises :class:`_Misfit` if it is of another type."""
    kind = column.kind
    if value is None or (kind is not float and _is_nan(value)):
        return None
    found = _kind(value)
    if found is int and kind is float:
        if _is_exact(value):
            return float(value)
        raise _Misfit("an integer that no float is equal to", row, "write str(value)")
    if found is not kind:
        hint = "write samples of a class that says its type" if kind is type(None) else None
        before = "no value" if kind is type(None) else kind.__name__
        raise _Misfit(f"{before} in the rows before, {found.__name__} here", row, hint)
    if kind is int and not -(2**63) <= value < 2**63:
        raise _Misfit("an integer of more than 64 bits", row, "write str(value)")
    if kind is dt.datetime and (value.utcoffset() is None) != (column.arrow.tz is None):
        raise _Misfit("datetimes with and without a time zone", row, "write value.replace(tzinfo=datetime.UTC)")
    if kind is np.ndarray:
        return _fitting_array(column, value, row)
    return value


def _fitting_array(column: _Column, value: NDArray[Any], row: int) -> Any:  # noqa: ANN401
    if column.dtype is None:
        try:
            return encode_array(value)
        except InvalidArray as error:
            raise _Misfit(error.what, row, error.hint) from error
    if (value.dtype, value.ndim) != (column.dtype, column.axes) or not _is_nestable(value):
        wanted, found = (f"{dtype} with {axes} axes" for dtype, axes in (column[2:], (value.dtype, value.ndim)))
        what = "an empty array" if wanted == found else f"an array of {found}"
        raise _Misfit(f"arrays of {wanted} in the rows before, {what} here", row, "use the format msgpack")
    return value


def _is_exact(value: int) -> bool:
    try:
        return float(value) == value
    except OverflowError:
        return False


def _first_bad(column: _Column, values: Sequence[Any]) -> int:
    import pyarrow as pa

    for row, value in enumerate(values):
        try:
            pa.array([value], column.arrow, from_pandas=False)
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            return row
    return 0


def _is_same(read: object, value: object) -> bool:
    """Return whether a nested value is read back unchanged: the same types, names and items."""
    if isinstance(value, dict):
        if not isinstance(read, dict) or read.keys() != value.keys():
            return False
        return all(_is_same(read[name], item) for name, item in value.items())
    if isinstance(value, list | tuple):
        return isinstance(read, list) and len(read) == len(value) and all(map(_is_same, read, value))
    return type(read) is type(value) and (read == value or (_is_nan(read) and _is_nan(value)))


def _nested(column: _Column, values: Sequence[NDArray[Any] | None]) -> Any:  # noqa: ANN401 - an Arrow array
    """Return arrays of one dtype and number of axes as nested lists."""
    import pyarrow as pa

    present = [value for value in values if value is not None]
    flat = [np.ascontiguousarray(value).reshape(-1) for value in present]
    found = pa.array(np.concatenate([np.empty(0, column.dtype), *flat]), column.arrow if not column.axes else None)
    for axis in range(column.axes - 1, 0, -1):
        lengths = [np.full(int(np.prod(value.shape[:axis])), value.shape[axis]) for value in present]
        found = pa.ListArray.from_arrays(_offsets(np.concatenate([np.empty(0, np.int64), *lengths])), found)
    lengths_of_rows = np.array([0 if value is None else len(value) for value in values], np.int64)
    mask = pa.array([value is None for value in values])
    return pa.ListArray.from_arrays(_offsets(lengths_of_rows), found, mask=mask)


def _offsets(lengths: NDArray[np.int64]) -> Any:  # noqa: ANN401 - an Arrow array
    import pyarrow as pa

    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))


# --- the file ------------------------------------------------------------------------------------------------


class ParquetWriter:
    """Writes rows into one open file. The same rows give the same bytes.

    ``bytes`` is the number of bytes written.
    """

    def __init__(self, file: BinaryIO, rows: ParquetRows) -> None:
        self._sink = _Hashing(file)
        self._rows = rows
        self._pending: list[dict[str, Any]] = []
        self._keys: list[str] = []
        self._held = 0
        self._writer: Any = None

    @property
    def bytes(self) -> int:
        """The number of bytes written."""
        return self._sink.bytes

    def length(self, row: dict[str, Any]) -> int:
        """Return the bytes of a row, before compression."""
        return _size(row)

    def size_with(self, row: dict[str, Any]) -> int:
        """Return the length of the file with one more row, before compression."""
        return self.bytes + self._held + _size(row)

    def add(self, key: str, row: dict[str, Any]) -> None:
        """Add a row; a full row group is written."""
        size = _size(row)
        if self._pending and (self._held + size > _GROUP_BYTES or len(self._pending) >= _GROUP_ROWS):
            self._flush()
        self._pending.append(row)
        self._keys.append(key)
        self._held += size

    def stored(self, row: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        """Return a row as a reader gets it; it has no place of its own in the file."""
        return row, []

    def _flush(self) -> None:
        from pyarrow import parquet, types

        table = self._rows.table(self._keys, self._pending)
        if self._writer is None:
            plain = [one.name for one in table.schema if not (types.is_binary(one.type) or types.is_nested(one.type))]
            texts = [one.name for one in table.schema if types.is_string(one.type)]
            self._writer = parquet.ParquetWriter(
                self._sink, table.schema, compression="snappy", use_dictionary=texts, write_statistics=plain or False
            )
        self._writer.write_table(table, row_group_size=max(1, len(self._pending)))
        self._pending, self._keys, self._held = [], [], 0

    def close(self) -> str:
        """Write the footer and return the file's SHA-256 in hex. The file stays open."""
        if self._pending:
            self._flush()
        self.abandon()
        return self._sink.digest.hexdigest()

    def abandon(self) -> None:
        """Close a file that an error left incomplete; pyarrow would close it later."""
        if self._writer is not None:
            self._writer.close()


class _Hashing(io.RawIOBase):
    """Passes bytes on to a file, and hashes them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - a buffer
        self._file.write(data)
        self.digest.update(data)
        self.bytes += memoryview(data).nbytes
        return memoryview(data).nbytes

    def tell(self) -> int:
        return self.bytes
