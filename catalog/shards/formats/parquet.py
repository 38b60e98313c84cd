"""The format ``parquet``: a row a sample, a column a field.

::

    row group ─▶ batches of rows ─▶ columns as Python values ─▶ (row number, {column: value})

================================  ===============================================================================
column                            value, and field of a draft
================================  ===============================================================================
integers, floats, booleans, text  the same
binary                            bytes
struct of ``bytes`` and ``path``  bytes of a file, as Hugging Face stores images and audio
timestamp                         datetime, in UTC if the column has a time zone
date, time                        text, ISO 8601
decimal                           text, exact
duration                          int, in the unit of the column
list of numbers                   array, of any number of dimensions, where the lists of a row have equal lengths
other lists                       list
struct, map                       map; times in it are text
dictionary, extension             by the type of their values
``__key__``                       no field: the key of the row
================================  ===============================================================================

- The footer is at the end: of a remote file it is requested by a range; if the server has none, the file is downloaded.
- Rows are read in batches of about ``_BATCH`` bytes, by the sizes that the footer states. A dictionary can make a few
  bytes of it many: batches are small enough for each row to hold the largest value.
- pyarrow limits the depth of a schema to 100 and checks that the footer is within the file.
- Names of classes (``ClassLabel``) are in the footer, in the key ``huggingface``; they become the field's description.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from catalog.errors import CatalogError, InvalidSample, InvalidShard, require_extra
from catalog.schema import MAX_FIELDS, Array, Field, List, Scalar
from catalog.shards.formats.arrow_columns import Column, column_of, description, features_of
from catalog.shards.formats.format import KEY, RESERVED, Stated
from catalog.shards.formats.json_values import array_of, parse_json
from catalog.shards.formats.text import KEY_DIGITS
from catalog.shards.limits import MAX_MEMBER
from catalog.shards.source import random_access

if TYPE_CHECKING:
    from catalog.schema import FieldType, SampleType
    from catalog.shards.formats.format import Decoder
    from catalog.shards.source import Source

_MAGIC: Final = b"PAR1"
_BATCH: Final = 1 << 24
_MAX_ROWS: Final = 4096
_MAX_EXPANDED: Final = 1 << 30
"""Bytes of a batch whose every row holds the largest possible value of a dictionary."""
_MAX_FOOTER: Final = 1 << 26
_MAX_ITEMS: Final = 1_000_000
"""Entries of a list in the footer, such as its columns."""
_BUFFER: Final = 1 << 18
_DATETIME: Final = Scalar(kind="datetime")


def _columns(file: Any, where: str) -> dict[str, Column]:  # noqa: ANN401
    schema = file.schema_arrow
    if len(schema.names) > MAX_FIELDS:
        raise InvalidShard(f"{len(schema.names):,} columns; the most is {MAX_FIELDS:,}", where=where)
    if len(set(schema.names)) < len(schema.names):
        twice = next(name for name in schema.names if schema.names.count(name) > 1)
        raise InvalidShard(f"two columns are called {twice!a:.80}", where=where, hint="rename one of them")
    features = features_of(schema)
    return {one.name: column_of(one.type, features.get(one.name)) for one in schema}


def _is_of_the_file(error: Exception) -> bool:
    """Return whether an exception is about the file: of pyarrow, or of the values that it makes."""
    from pyarrow import ArrowException

    return isinstance(error, (ArrowException, ArithmeticError, MemoryError, OSError, RecursionError, ValueError))


@contextmanager
def _readable(where: str) -> Iterator[None]:
    """Turn the exceptions of pyarrow into :class:`InvalidShard`."""
    try:
        yield
    except CatalogError as error:
        if error.where is None:
            error.where = where
        raise
    except Exception as error:
        if not _is_of_the_file(error):
            raise
        reason = " ".join(str(error).split())[:200]
        hint = "it is incomplete or damaged, or of a newer Parquet; download it again, or try a newer pyarrow"
        raise InvalidShard(f"the Parquet file can't be read: {reason}", where=where, hint=hint) from error


@contextmanager
def _opened(source: Source, where: str) -> Iterator[Any]:
    require_extra("arrow", "pyarrow", purpose="reading Parquet")
    from pyarrow import parquet

    with random_access(source) as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 8))
        end = bytes(file.read(8))
        if size < 12 or end[4:] != _MAGIC:
            raise InvalidShard("the Parquet file is cut short", where=where, hint="it has no footer: download it again")
        length = int.from_bytes(end[:4], "little")
        if length > min(size - 12, _MAX_FOOTER):
            raise InvalidShard(f"the footer would have {length:,} bytes", where=where, hint="the file is damaged")
        remote = bool(getattr(file, "remote", False))
        yield parquet.ParquetFile(
            file,
            pre_buffer=remote,
            buffer_size=0 if remote else _BUFFER,
            thrift_string_size_limit=_MAX_FOOTER,
            thrift_container_size_limit=_MAX_ITEMS,
        )


def _rows_in_batch(group: Any, most: int) -> int:  # noqa: ANN401
    """Return how many rows of a row group are read at once."""
    size, rows = max(1, group.total_byte_size), max(1, group.num_rows)
    found: int = max(1, min(_MAX_ROWS, rows, min(_BATCH, most) * rows // size))
    for number in range(group.num_columns):
        chunk = group.column(number)
        if chunk.physical_type == "BYTE_ARRAY" and any("DICTIONARY" in one for one in chunk.encodings):
            found = min(found, max(1, _MAX_EXPANDED // max(1, chunk.total_uncompressed_size)))
    return found


def _batches(file: Any, where: str, most: int) -> Iterator[Any]:  # noqa: ANN401
    """Yield the batches of rows, row group by row group."""
    for number in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(number)
        rows = 0
        for batch in file.iter_batches(batch_size=_rows_in_batch(group, most), row_groups=[number]):
            if batch.nbytes > most * max(1, batch.num_rows):
                raise InvalidShard(f"a row of more than {most:,} bytes", where=where)
            rows += batch.num_rows
            yield batch
        if rows != group.num_rows:
            raise InvalidShard(f"a row group of {rows:,} rows states {group.num_rows:,}", where=where)


class _Tail:
    """The end of a stream as a file: only its last bytes can be read."""

    def __init__(self, source: Source) -> None:
        kept: deque[bytes] = deque()
        buffer = bytearray(1 << 20)
        self._at = self.size = held = 0
        self.closed = False
        while count := source.readinto(memoryview(buffer)):
            kept.append(bytes(buffer[:count]))
            self.size += count
            held += count
            while held - len(kept[0]) > _MAX_FOOTER // 4:
                held -= len(kept.popleft())
        self._end = b"".join(kept)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to an offset."""
        self._at = offset + (0, self._at, self.size)[whence]
        return self._at

    def tell(self) -> int:
        """Return the offset."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes. Raises :class:`InvalidShard` for those that aren't kept."""
        start = self._at - (self.size - len(self._end))
        if start < 0:
            raise InvalidShard("the footer is too large to count the rows")
        found = self._end[start:] if size is None or size < 0 else self._end[start : start + size]
        self._at += len(found)
        return found

    def close(self) -> None:
        """Do nothing: the bytes are in memory."""

    def flush(self) -> None:
        """Do nothing: it is read only."""


def _step(type_: FieldType) -> Callable[[Any], Any] | None:
    """Return the function that adapts a value to a field; ``None`` if there is nothing to adapt."""
    match type_:
        case Array():
            return lambda value: _to_array(type_, value)
        case List():
            item = _step(type_.item)
            return lambda value: _to_list(value, item)
        case Scalar():
            return _SCALAR_STEPS.get(type_.kind)
    return None


def _to_array(type_: Array, value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, list):
        value = array_of(type_, value)
    if isinstance(value, np.ndarray) and type_.shape is not None and value.ndim == 1 and len(type_.shape) != 1:
        shape = [-1 if one is None else one for one in type_.shape]
        with suppress(ValueError):
            return value.reshape(shape)
    return value


def _to_list(value: Any, item: Callable[[Any], Any] | None) -> Any:  # noqa: ANN401
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [item(one) for one in value] if item is not None and isinstance(value, list) else value


def _to_text(value: Any) -> Any:  # noqa: ANN401
    if type(value) is str:
        return value
    return value.isoformat() if hasattr(value, "isoformat") else value


def _to_map(value: Any) -> Any:  # noqa: ANN401
    return parse_json(value) if isinstance(value, str) else value


def _to_datetime(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, str) and len(value.partition(".")[2].partition("+")[0]) > 6:
        raise ValueError("a timestamp with nanoseconds, which a datetime can't hold; declare the field as str")
    return value


_SCALAR_STEPS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "str": _to_text, "map": _to_map, "datetime": _to_datetime,
}  # fmt: skip


class _Parquet:
    """The format ``parquet``; see :class:`~catalog.shards.formats.format.Format`."""

    name = "parquet"
    media_type = "application/x-parquet"

    def recognises(self, head: bytes) -> bool:
        """Return whether the file begins as Parquet does."""
        return head.startswith(_MAGIC)

    def samples(
        self,
        source: Source,
        where: str,
        *,
        max_bytes: int = MAX_MEMBER,
        on_other: Callable[[str], object] | None = None,  # noqa: ARG002
        whole: bool = False,  # noqa: ARG002
        places: list[int] | None = None,  # noqa: ARG002
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (key, column → value); the key is the column ``__key__``, or else the row number.

        Raises :class:`InvalidShard`.
        """
        with _readable(where), _opened(source, where) as file:
            columns = _columns(file, where)
            names = [name for name in columns if name not in RESERVED]
            number = 0
            for batch in _batches(file, where, max_bytes):
                read = {
                    name: column.read(values)
                    for (name, column), values in zip(columns.items(), batch.columns, strict=True)
                    if name == KEY or name not in RESERVED
                }
                keys = [f"{one:0{KEY_DIGITS}d}" for one in range(number, number + batch.num_rows)]
                if KEY in read:
                    own = zip(keys, read.pop(KEY), strict=True)
                    keys = [key if given is None else str(given) for key, given in own]
                number += len(keys)
                rows = zip(*read.values(), strict=True) if names else repeat((), len(keys))
                for key, row in zip(keys, rows, strict=True):
                    yield key, dict(zip(names, row, strict=True))

    def count(self, source: Source, where: str) -> int | None:
        """Return the number of rows in the footer, ``None`` if it can't be read."""
        require_extra("arrow", "pyarrow", purpose="reading Parquet")
        from pyarrow import parquet

        tail = _Tail(source)
        try:
            with _readable(where):
                rows: int = parquet.read_metadata(tail).num_rows
        except InvalidShard:
            return None
        return rows

    def decoder(self, wanted: SampleType | None) -> Decoder:
        """Return the function that adapts the values of a row to a sample type."""
        if wanted is None:
            return lambda raw, _: dict(raw)
        fields = [(one.name, _step(one.type), one.optional) for one in wanted.fields]

        def decode(raw: Mapping[str, Any], key: str) -> dict[str, Any]:
            values = {}
            for name, step, optional in fields:
                if name not in raw:
                    continue
                value = raw[name]
                if value is not None and step is not None:
                    try:
                        value = step(value)
                    except ValueError as error:
                        raise InvalidSample(f"field {name!a:.200}: {error}", where=key) from None
                if value is not None or not optional:
                    values[name] = value
            return values

        return decode

    def infer(self, source: Source, where: str, limit: int | None) -> Stated:
        """Return the fields by the file's schema; lengths of arrays and missing values by the first rows."""
        with _readable(where), _opened(source, where) as file:
            columns, schema = _columns(file, where), file.schema_arrow
            features = features_of(schema)
            total = file.metadata.num_rows
            rows, seen = _seen(file, where, columns, limit)
        fields, left_out = [], []
        for name, one in zip(columns, seen, strict=True):
            if name in RESERVED:
                continue
            if isinstance(one.type, str):
                left_out.append((name, one.type))
            else:
                described = description(features.get(name))
                fields.append(Field(name=name, type=one.type, optional=one.missing > 0, description=described))
        missing = {name: one.missing for name, one in zip(columns, seen, strict=True) if name not in RESERVED}
        return Stated(fields=tuple(fields), left_out=tuple(left_out), rows=rows, total=total, missing=missing)


@dataclass(slots=True)
class _Seen:
    """The type of a column by the rows so far; ``shaped``: an array was among them."""

    type: FieldType | str
    missing: int = 0
    shaped: bool = False

    def add(self, column: Column, values: Any) -> None:  # noqa: ANN401 - an Arrow array
        """Add the values of a batch."""
        self.missing += values.null_count
        if self.type == _DATETIME and any(isinstance(value, str) for value in column.read(values)):
            self.type = Scalar(kind="str")  # nanoseconds
        if isinstance(self.type, Array):
            for value in column.read(values):
                if value is not None:
                    self.type = _merged(self.type, value, first=not self.shaped)
                    self.shaped = True


def _seen(file: Any, where: str, columns: dict[str, Column], limit: int | None) -> tuple[int, list[_Seen]]:  # noqa: ANN401
    """Return the number of rows looked at, and the types of the columns with the lengths of arrays."""
    found, rows = [_Seen(column.type) for column in columns.values()], 0
    for batch in _batches(file, where, MAX_MEMBER):
        kept = batch if limit is None else batch.slice(0, limit - rows)
        rows += kept.num_rows
        for one, column, values in zip(found, columns.values(), kept.columns, strict=True):
            one.add(column, values)
        if rows == limit:
            break
    return rows, found


def _merged(type_: FieldType | str, value: Any, *, first: bool) -> FieldType | str:  # noqa: ANN401
    """Return the type of an array with the lengths that all values share; of lists if one has no shape."""
    if not isinstance(type_, Array) or type_.shape is None:
        return type_
    if not isinstance(value, np.ndarray):
        return _nested_lists(type_, value)
    shape = tuple(
        length if first and known is None else known if known == length else None
        for known, length in zip(type_.shape, value.shape, strict=True)
    )
    return Array(dtype=type_.dtype, shape=shape)


def _nested_lists(type_: Array, value: Any) -> FieldType | str:  # noqa: ANN401
    flat = [value]
    for _ in type_.shape or ():
        flat = [one for inner in flat if inner is not None for one in inner]
    if None in flat:
        return "a list with empty items"
    kinds: Any = {"b": "bool", "i": "int", "u": "int", "f": "float"}
    found: FieldType = Scalar(kind=kinds[np.dtype(type_.dtype or "f8").kind])
    for _ in type_.shape or ():
        found = List(item=found)
    return found


PARQUET: Final = _Parquet()
