"""Infer the fields of a sample type from samples.

Types are merged: an integer and a float give ``float``; arrays of different dtypes or lengths give an array with that
dtype or length open; arrays and other bytes give ``bytes``; a field that is absent or ``None`` in a sample is optional,
and so is one that is NaN where other samples have no number: tables of pandas mark missing texts in this way.
Bytes that all begin like files of one media type have it: ``bytes[image/jpeg]``. Fields without a type (several types
at once, values that JSON doesn't have in a map) are left out, with the reason.

The samples are untrusted: nothing is unpickled, and of a value only its type is kept. The form of an array is detected
by its bytes alone. A field that isn't in the first sample gets the position that it has in later samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from catalog.errors import InvalidArray, InvalidSample, MissingExtra
from catalog.samples.array_formats import decode
from catalog.samples.arrays import Buffer, decode_array
from catalog.samples.media import media_of
from catalog.samples.packing import DictSample, unpacker
from catalog.samples.scalars import json_faults
from catalog.samples.storable import RESERVED
from catalog.schema import MAX_FIELDS, Array, ArrayFormat, Field, FieldType, List, Scalar, is_dtype, type_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from catalog.shards.formats import Stated

_MAX_NESTING: Final = 8
"""Lists in lists; deeper ones are left out."""
_MAX_LENGTH: Final = 10**15
_MAX_TEXT: Final = 900
"""A longer dimension, or a longer text of a type, can't be in a schema; then it is open."""
_MAX_NAME: Final = 1000

_SCALARS: Final = {
    bool: Scalar(kind="bool"), int: Scalar(kind="int"), float: Scalar(kind="float"), str: Scalar(kind="str"),
}  # fmt: skip
_BYTES: Final = Scalar(kind="bytes")
_MAP: Final = Scalar(kind="map")
_INT, _FLOAT = _SCALARS[int], _SCALARS[float]


@dataclass(frozen=True, slots=True)
class _Nothing:
    """The item of an empty list: any type."""


@dataclass(frozen=True, slots=True)
class _Untyped:
    """A value without a type, and the reason."""

    why: str


@dataclass(frozen=True, slots=True)
class _Items:
    """A list."""

    item: _Seen


_Seen: TypeAlias = Scalar | Array | _Items | _Nothing | _Untyped
_NOTHING: Final[_Seen] = _Nothing()
_NUMBERS: Final[tuple[_Seen, ...]] = (_NOTHING, _INT, _FLOAT)
"""Types of columns whose NaN is a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A field that no type describes, and the reason."""

    name: str
    why: str


@dataclass(slots=True, kw_only=True)
class _Column:
    """The type of one field so far; ``present`` counts the samples that have it, ``nan`` those where it is NaN."""

    seen: _Seen = _NOTHING
    present: int = 0
    nan: int = 0
    description: str | None = None

    @property
    def type(self) -> FieldType | _Untyped:
        if not self.present and not self.nan:
            return _Untyped("it never has a value")
        return _typed(_merged(self.seen, _FLOAT) if self.nan and self.seen in _NUMBERS else self.seen)

    @property
    def values(self) -> int:
        """The number of samples that have a value: NaN is one only among numbers."""
        return self.present + self.nan if self.seen in _NUMBERS else self.present


@dataclass(slots=True)
class Inference:
    """Collects samples with :meth:`add`; then ``fields`` are the common fields, ``left_out`` the others.

    ``missing`` are hints to libraries that aren't installed: without them, arrays of their forms are ``bytes``.
    """

    samples: int = 0
    missing: set[str] = field(default_factory=set)
    _columns: dict[str, _Column] = field(default_factory=dict)
    _order: list[str] = field(default_factory=list)

    def add(self, raw: Buffer, key: str) -> None:
        """Add one sample. Raises :class:`InvalidSample` if it isn't a map of field names, or has too many."""
        self.add_values(_read(raw, key), key)

    def add_values(self, values: Mapping[str, Any], key: str) -> None:
        """Add the values of one sample, as they are without a type. Raises :class:`InvalidSample` for too many."""
        if not values.keys() <= self._columns.keys():
            self._place(values, key)
        self.samples += 1
        for name, value in values.items():
            if value is not None:
                column = self._columns[name]
                if type(value) is float and value != value:  # noqa: PLR0124 - only NaN is
                    column.nan += 1
                    continue
                column.present += 1
                if type(value) is not bytes or column.seen != _BYTES:  # bytes stay bytes, whatever comes
                    column.seen = _merged(column.seen, self._seen(value, 0))

    def add_stated(self, stated: Stated, *, text: bool) -> None:
        """Add the fields that a table states itself. In a ``text`` table, columns of several types are text."""
        types = {one.name: _stored(one.type) for one in stated.fields}
        types |= {name: _Untyped(why) for name, why in stated.left_out}
        self._place(types, "")
        self.samples += stated.rows
        for one in stated.fields:
            self._columns[one.name].description = one.description
        for name, seen in types.items():
            column, present = self._columns[name], stated.rows - stated.missing.get(name, 0)
            column.present += present
            known = column.seen
            if present and text and known not in (_NOTHING, seen) and {known, seen} != {_INT, _FLOAT}:
                column.seen = _SCALARS[str]
            elif present:
                column.seen = _merged(known, seen)

    def present(self, name: str) -> int:
        """Return the number of samples that have a value for this field."""
        return self._columns[name].values

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields of a sample type."""
        return tuple(found for found in self._found() if isinstance(found, Field))

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The fields that no type describes."""
        return tuple(found for found in self._found() if isinstance(found, LeftOut))

    def _found(self) -> Iterator[Field | LeftOut]:
        for name in self._order:
            column = self._columns[name]
            type_ = column.type
            if not name.strip() or len(name) > _MAX_NAME:
                yield LeftOut(name=name, why="its name is blank" if not name.strip() else "its name is too long")
            elif RESERVED.fullmatch(name):
                yield LeftOut(name=name, why="webdataset gives such names to what it adds to samples")
            elif isinstance(type_, _Untyped):
                yield LeftOut(name=name, why=type_.why)
            else:
                optional = column.values < self.samples
                yield Field(name=name, type=type_, optional=optional, description=column.description)

    def _place(self, names: Iterable[str], key: str) -> None:
        """Give each new name a column, after the name that precedes it."""
        before: str | None = None
        for name in names:
            if name not in self._columns:
                self._columns[name] = _Column()
                self._order.insert(0 if before is None else self._order.index(before) + 1, name)
            before = name
            if len(self._columns) > MAX_FIELDS:
                hint = "is this a map with a key for each item? A sample has the same few names as all others"
                raise InvalidSample(f"more than {MAX_FIELDS:,} field names", where=key or None, hint=hint)

    def _seen(self, value: object, depth: int) -> _Seen:  # noqa: PLR0911 - a kind of value a line
        scalar = _SCALARS.get(type(value))
        if scalar is not None:
            return scalar
        if isinstance(value, bytes):
            return self._of_bytes(value)
        if isinstance(value, np.ndarray):
            return _array(value, "ndarrayBytes" if value.dtype.names is None else "structuredBytes")
        if isinstance(value, list):
            return self._of_list(value, depth)
        if value is None:
            return _Untyped("a list with empty items")
        if isinstance(value, dict):
            if b"nd" in value:
                return _Untyped("an array packed by msgpack_numpy: write the samples with catalog.write_samples")
            fault = next(json_faults(value), None)
            return _MAP if fault is None else _Untyped(f"a map of more than JSON values: {fault}")
        return _Untyped("it is of a kind that only some programs know")

    def _of_list(self, items: list[object], depth: int) -> _Seen:
        if depth >= _MAX_NESTING:
            return _Untyped(f"lists in lists, more than {_MAX_NESTING} deep")
        kinds = set(map(type, items))
        if kinds <= _SCALARS.keys():  # of a million numbers only the types matter
            found: Iterable[_Seen] = (_SCALARS[kind] for kind in _SCALARS if kind in kinds)
        else:
            found = (self._seen(item, depth + 1) for item in items)
        return _Items(reduce(_merged, found, _NOTHING))

    def _of_bytes(self, raw: bytes) -> Scalar | Array:
        form = _form(raw)
        try:
            if form is None:
                return _array(decode_array(raw), "ndarrayBytes")
            value = decode(Array(format=form), raw)
        except InvalidArray:
            return Scalar(kind="bytes", media=media_of(raw))
        except MissingExtra as error:
            self.missing.add(str(error))
            return _BYTES
        return Array(format=form) if form == "safetensors" else _array(value, form)


def _read(raw: Buffer, key: str) -> DictSample:
    return unpacker(DictSample)(raw, key)


def _form(raw: bytes) -> ArrayFormat | None:
    """Return the optional form that the beginning of the bytes looks like."""
    if raw[:4] == b"PK\x03\x04":
        return "sparseBytes"
    if raw[:4] == b"\xff\xff\xff\xff":  # Arrow's continuation marker
        return "arrowTensor"
    return "safetensors" if raw[8:9] == b"{" and int.from_bytes(raw[:8], "little") <= len(raw) - 8 else None


def _array(value: NDArray[Any], form: ArrayFormat) -> Array:
    """Return the type of an array; scipy's sparse ones have a dtype and a shape too."""
    dtype = value.dtype
    name = {"U": "str", "S": "bytes"}.get(dtype.kind, dtype.name)
    shape = tuple(length if length < _MAX_LENGTH else None for length in value.shape)
    return Array(dtype=name if is_dtype(name) else None, shape=shape, format=form)


def _merged(one: _Seen, other: _Seen) -> _Seen:  # noqa: PLR0911 - a rule a line
    if one == other or isinstance(other, _Nothing) or isinstance(one, _Untyped):
        return one
    if isinstance(one, _Nothing) or isinstance(other, _Untyped):
        return other
    if isinstance(one, Array) and isinstance(other, Array):
        return _merged_arrays(one, other)
    if isinstance(one, _Items) and isinstance(other, _Items):
        return _Items(_merged(one.item, other.item))
    both = {one, other}
    if both == {_INT, _FLOAT}:
        return _FLOAT
    if all(isinstance(seen, Array) or (isinstance(seen, Scalar) and seen.kind == "bytes") for seen in both):
        return Scalar(kind="bytes", media=_merged_media(one, other))
    return _Untyped(f"{_words(one)} here, {_words(other)} there")


def _merged_media(one: _Seen, other: _Seen) -> str | None:
    """Return the media type of both: the same, or ``image/*`` for two kinds of images."""
    media = [seen.media if isinstance(seen, Scalar) else None for seen in (one, other)]
    groups = {None if found is None else found.partition("/")[0] for found in media}
    if media[0] == media[1]:
        return media[0]
    return f"{groups.pop()}/*" if len(groups) == 1 else None


def _merged_arrays(one: Array, other: Array) -> Array | Scalar:
    npy = {"ndarrayBytes", "structuredBytes"}
    if one.format != other.format and not {one.format, other.format} <= npy:
        return _BYTES
    shape: tuple[int | None, ...] | None = None
    if one.shape is not None and other.shape is not None and len(one.shape) == len(other.shape):
        shape = tuple(a if a == b else None for a, b in zip(one.shape, other.shape, strict=True))
    dtype = one.dtype if one.dtype == other.dtype else None
    return Array(dtype=dtype, shape=shape, format=one.format if one.format == other.format else "ndarrayBytes")


def _words(seen: _Seen) -> str:
    match seen:
        case Scalar() | Array():
            return type_text(seen)
        case _Items():
            return "a list"
    return "something else"


def _stored(type_: FieldType) -> _Seen:
    match type_:
        case List():
            return _Items(_stored(type_.item))
        case Scalar() | Array():
            return type_
    return _Untyped("its type is not known")


def _typed(seen: _Seen) -> FieldType | _Untyped:
    match seen:
        case _Nothing():
            return _Untyped("its lists are always empty")
        case _Items(item=item):
            inner = _typed(item)
            return inner if isinstance(inner, _Untyped) else List(item=inner)
        case Array(shape=shape) if shape is not None and (not shape or len(type_text(seen)) > _MAX_TEXT):
            return Array(dtype=seen.dtype, format=seen.format)
    return seen
