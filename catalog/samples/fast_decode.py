"""The fast way to read samples: a reader for maps with certain names in a certain order, compiled once.

If a value isn't of exactly the expected type, the careful way (:mod:`~catalog.samples.packing`) decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from operator import itemgetter
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from catalog.errors import InvalidArray, InvalidSample
from catalog.samples.array_formats import decode
from catalog.samples.arrays import MAGIC, Buffer, decode_aligned
from catalog.samples.scalars import scalar_step
from catalog.samples.validation import fits_array
from catalog.schema import ML_DTYPES, Array, FieldType, List, Scalar, Unknown
from catalog.shards.limits import MAX_ARRAY_DEPTH

if TYPE_CHECKING:
    from catalog.samples.annotations import Entry, Plan

_NPY: Final = ("ndarrayBytes", "structuredBytes")


class Layout(NamedTuple):
    """The compiled reader of maps with certain names in a certain order.

    ``kinds`` are the exact types of the values that ``picked`` takes from the map; ``readers`` convert stored values;
    ``renamed`` is attribute ← wire name, None if the map is the sample's ``__dict__`` unchanged; ``absent`` adds
    defaults. ``arrays`` are the names of arrays whose bytes may be a view.
    """

    picked: Callable[[dict[str, Any]], Iterable[Any]]
    kinds: tuple[type, ...]
    readers: tuple[tuple[str, Callable[[Any], Any]], ...]
    renamed: tuple[tuple[str, str], ...] | None
    absent: Callable[[dict[str, Any]], None] | None
    arrays: frozenset[str]


class Unusual(Exception):
    """The fast way isn't possible. Never leaves this module."""


def layout(
    plan: Plan, names: tuple[Any, ...], nil: tuple[str, ...] = (), *, validate: bool, decoded: bool = False
) -> Layout:
    """Return the layout for these names, of which ``nil`` are; with ``decoded`` arrays may be NumPy arrays, too.

    Raises :class:`Unusual` if a required field is absent or nil, or the names aren't all text.
    """
    if not all(isinstance(name, str) for name in names):
        raise Unusual
    known = plan.by_name
    present = set(names)
    absent = [entry for name, entry in known.items() if name not in present]
    if any(not entry.has_default and not entry.field.optional for entry in absent):
        raise Unusual
    if any(name in known and not known[name].field.optional for name in nil):
        raise Unusual
    steps = {
        name: (NoneType, None)
        if name in nil
        else _step(known[name].field.type, known[name], validate=validate, decoded=decoded)
        for name in names
        if name in known
    }
    typed = tuple(name for name, (kind, _) in steps.items() if kind is not None)
    as_it_is = all(name in known and known[name].attribute == name for name in names)
    return Layout(
        picked=_picker(typed, everything=len(typed) == len(names)),
        kinds=tuple(kind for kind, _ in steps.values() if kind is not None),
        readers=tuple((name, reader) for name, (_, reader) in steps.items() if reader is not None),
        renamed=None if as_it_is else tuple((known[name].attribute, name) for name in steps),
        absent=_filler(absent) if absent else None,
        arrays=frozenset(name for name in steps if name not in nil and _is_array(known[name])),
    )


def _filler(entries: list[Entry]) -> Callable[[dict[str, Any]], None]:
    given = {entry.attribute: entry.default for entry in entries}
    made = [(entry.attribute, entry.factory) for entry in entries if entry.factory is not None]

    def fill(state: dict[str, Any]) -> None:
        state.update(given)
        for attribute, factory in made:
            state[attribute] = factory()

    return fill


def _is_array(entry: Entry) -> bool:
    return isinstance(entry.field.type, Array) and not entry.as_bytes


def _picker(names: tuple[str, ...], *, everything: bool) -> Callable[[dict[str, Any]], Iterable[Any]]:
    if everything:
        return dict.values
    if len(names) < 2:  # itemgetter of one gives no tuple
        return lambda values: [values[name] for name in names]
    return itemgetter(*names)


def _step(
    type_: FieldType, entry: Entry, *, validate: bool, decoded: bool
) -> tuple[type | None, Callable[[Any], Any] | None]:
    """Return the type that a stored value must have, ``None`` for any, and its reader, ``None`` for no conversion."""
    match type_:
        case Scalar():
            return scalar_step(type_, entry, validate=validate)
        case Unknown():
            return None, read_any
        case List():
            kind, reader = _step(type_.item, entry, validate=validate, decoded=decoded)
            return list, _list_reader(kind, reader)
        case Array() if decoded and not entry.as_bytes:
            return None, partial(_read_decoded, type_, _array_reader(type_, validate=validate), validate)
        case Array():
            return bytes, None if entry.as_bytes else _array_reader(type_, validate=validate)


def _array_reader(type_: Array, *, validate: bool) -> Callable[[Any], Any]:
    if validate:
        return partial(_decode_fitting, type_)
    return decode_aligned if type_.format in _NPY and type_.dtype not in ML_DTYPES else partial(decode, type_)


def _read_decoded(type_: Array, decode: Callable[[Any], Any], validate: bool, value: Any) -> Any:  # noqa: ANN401, FBT001
    if type(value) is bytes:
        return decode(value)
    if not isinstance(value, np.ndarray) or (validate and not fits_array(type_, value)):
        raise InvalidSample("no array, or another dtype or shape")  # as below
    return value


def _list_reader(kind: type | None, reader: Callable[[Any], Any] | None) -> Callable[[list[Any]], list[Any]]:
    wanted = {kind}

    def read(items: list[Any]) -> list[Any]:
        if kind is not None and not set(map(type, items)) <= wanted:
            raise InvalidSample("an item of another type")  # the careful way finds which
        return items if reader is None else list(map(reader, items))

    return read


def _decode_fitting(type_: Array, raw: Buffer) -> Any:  # noqa: ANN401
    found = decode(type_, raw)
    if not fits_array(type_, found):
        raise InvalidSample("another dtype or shape")  # as above
    return found


def read_any(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - samples hold anything
    """Return a stored value without a type: bytes in ``.npy`` form as an array, in lists and maps too."""
    if type(value) is list and depth < MAX_ARRAY_DEPTH:
        return [read_any(item, depth + 1) for item in value]
    if type(value) is dict and depth < MAX_ARRAY_DEPTH:
        return {name: read_any(item, depth + 1) for name, item in value.items()}
    if type(value) is not bytes or value[:6] != MAGIC:
        return value
    try:
        return decode_aligned(value)
    except InvalidArray:
        return value  # bytes that only look like an array
