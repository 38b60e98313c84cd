"""Samples ⇄ their bytes: a flat msgpack map of wire name → value.

There are two ways to read. The *fast* one is for a map whose names were seen before and whose values have exactly the
wanted types: it checks all at once and fills the sample. Everything else (integers in float fields, ``None``, faults)
goes the *careful* way, field by field, which decides and explains.

- msgpack allocates what a header states, so no header may state more than the bytes given can hold; lists nest, so
  their length is limited too.
- Arrays are views: of the bytes that msgpack made or, if they are large, of the bytes given.
- Without a type, bytes in ``.npy`` form are read as arrays; bytes that only look like it stay bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import lru_cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, cast
from uuid import uuid4

import msgpack
import numpy as np

from catalog.errors import DataError, InvalidArray, InvalidSample, MissingExtra
from catalog.samples.annotations import plan_of
from catalog.samples.array_formats import decode, encode
from catalog.samples.arrays import Buffer, encode_array
from catalog.samples.conversions import conversion
from catalog.samples.fast_decode import Layout, Unusual, layout, read_any
from catalog.samples.media import ImageBytes, image_bytes
from catalog.samples.scalars import scalar_step, write_scalar
from catalog.samples.storable import check_nested, is_missing
from catalog.samples.validation import explained, fits_array, misfit
from catalog.samples.zero_copy import LARGE, without_large
from catalog.schema import Array, Field, FieldType, List, Scalar, Unknown, type_text
from catalog.shards import limits

if TYPE_CHECKING:
    from catalog.samples.annotations import Entry, Plan
    from catalog.shards.formats import Format

T = TypeVar("T")

_LAYOUTS: Final = 64
_SHOWN: Final = 20
"""Fields that an error lists."""
_ANY: Final = Unknown(schema="{}")
_COMPOSITE: Final = frozenset({bytes, list, dict})
"""The types of stored values that may be, or hold, arrays."""

_BAD_MSGPACK: Final = (
    ValueError, TypeError, MemoryError, RecursionError, OverflowError, BufferError, msgpack.UnpackException,
)  # fmt: skip


class DictSample(dict[str, Any]):
    """A sample without a type: wire name → value. Values in ``.npy`` form are arrays, others unchanged.

    A field is an item and an attribute: ``sample["label"]``, ``sample.label``. Names that are methods of ``dict``
    (``items``) or no identifiers are items only. ``__key__`` is its key in its shard.
    """

    __key__ = ""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - samples hold anything
        """Return the field ``name``. Raises AttributeError with the fields that the sample has."""
        try:
            return self[name]
        except KeyError:
            fields = ", ".join(map(repr, islice(self, _SHOWN))) + (", …" if len(self) > _SHOWN else "")
            raise AttributeError(f"the sample has no field {name!a}; its fields are {fields}") from None

    def _repr_html_(self) -> str:
        from catalog.samples.preview import as_html

        return as_html(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Return a sample of unpacked values: bytes in ``.npy`` form become arrays."""
        return cast("Self", _build_dict(cls, dict(data)))

    @classmethod
    def from_bytes(cls, raw: Buffer, *, key: str = "") -> Self:
        """Return the sample in msgpack bytes; see :func:`unpack`."""
        return unpack(cls, raw, key=key)

    def to_dict(self) -> dict[str, Any]:
        """Return a copy of the sample as a ``dict``."""
        return dict(self)

    @property
    def packed(self) -> bytes:
        """The sample as msgpack bytes."""
        return pack(self)

    @property
    def as_wds(self) -> dict[str, Any]:
        """The sample for WebDataset writers; see :attr:`PackableSample.as_wds`."""
        return as_wds(self)


def as_wds(sample: Any) -> dict[str, Any]:  # noqa: ANN401 - of any packable class, or a dict
    """Return a sample for WebDataset writers: ``{"__key__": …, "msgpack": …}``; without a key it gets a random one."""
    return {"__key__": getattr(sample, "__key__", "") or str(uuid4()), "msgpack": pack(sample)}


# --- writing -------------------------------------------------------------------------------------------------


def pack(sample: object) -> bytes:
    """Return a sample (of a packable class, or a dict) as msgpack bytes: a flat map of wire name → value.

    Optional fields that are ``None`` are nil: readers without defaults need every name. Raises :class:`InvalidSample`
    if a value doesn't match its field, including the dtype and shape of arrays, or can't be read again, and
    :class:`~catalog.errors.MissingExtra`.
    """
    key = getattr(sample, "__key__", "")
    values: dict[Any, Any] = sample if isinstance(sample, dict) else wire_values(sample, key)
    for name, value in values.items():
        if isinstance(value, list | tuple | dict):
            check_nested(name, value, key)
    try:
        packed: bytes = msgpack.packb(values, use_bin_type=True, default=_write_any)
        if isinstance(sample, dict):
            _check_names(values, key)
    except _BAD_VALUES as error:
        raise _unpackable(values, key, error) from error
    return packed


def wire_values(sample: object, key: str) -> dict[str, Any]:
    """Return wire name → value of a typed sample, in stored form. Raises the errors of :func:`pack`."""
    values: dict[str, Any] = {}
    for entry in plan_of(type(sample)).entries:
        value = getattr(sample, entry.attribute)
        field = entry.field
        if field.optional and _is_absent(field.type, value):
            value = None
        values[field.name] = None if value is None and field.optional else _write(field.type, value, key, entry)
    return values


_BAD_VALUES: Final = (ValueError, TypeError, OverflowError, RecursionError, DataError)


def _unpackable(values: dict[Any, Any], key: str, error: Exception) -> InvalidSample:
    """Return the error for a sample that can't be packed, with the first field to blame."""
    for name, value in values.items():
        try:
            msgpack.packb(value, use_bin_type=True, default=_write_any)
        except _BAD_VALUES as found:
            what, hint = (found.what, found.hint) if isinstance(found, DataError) else (str(found), None)
            return InvalidSample(f"field {name!a:.200} can't be packed: {what}", where=key or None, hint=hint)
    return InvalidSample(f"the sample can't be packed: {error}", where=key or None)


def _write_any(value: Any) -> Any:  # noqa: ANN401 - samples hold anything
    """Convert a value for msgpack that it doesn't know."""
    if isinstance(value, np.ndarray):
        return encode_array(value)
    if is_missing(value):  # pandas' NaT and NA
        return None
    if isinstance(value, np.generic) and value.dtype.kind not in "mMV":
        plain = value.item()
        if isinstance(plain, bool | int | float) and plain is not value:
            return plain
    if type(value) is int:
        raise InvalidSample("an integer of more than 64 bits can't be stored", hint="str(value)")
    raise InvalidSample(f"a value of type {type(value).__name__} can't be stored", hint=conversion(value))


def _write(type_: FieldType, value: Any, key: str, entry: Entry) -> Any:  # noqa: ANN401
    if isinstance(value, np.generic):
        value = value.item()
    match type_:
        case Array() if entry.as_bytes:
            if isinstance(value, bytes):
                return value
        case Array() if fits_array(type_, value):
            try:
                _check_truth(type_, value)
                return encode(type_, value)
            except (InvalidArray, MissingExtra) as error:
                raise explained(error, key, entry.field) from error
        case List() if isinstance(value, list | tuple):
            return [_write(type_.item, item, key, entry) for item in value]
        case Scalar():
            return _write_scalar(type_, value, key, entry)
        case Unknown():
            return value
    raise misfit(type_, value, key, entry.field)


def _check_truth(type_: Array, value: Any) -> None:  # noqa: ANN401
    """Refuse an array of truth values that Arrow would give back as numbers."""
    if type_.format == "arrowTensor" and type_.dtype != "bool" and value.dtype == np.bool_:
        hint = 'name its dtype: Array(dtype="bool", format="arrowTensor")'
        raise InvalidArray("an Arrow tensor of truth values is read as uint8", hint=hint)


def _is_absent(type_: FieldType, value: object) -> bool:
    """Return whether the value of an optional field is a missing one: ``None``; NaN, if the type isn't of numbers."""
    if value is None:
        return True
    numeric = isinstance(type_, Unknown) or (isinstance(type_, Scalar) and type_.kind == "float")
    return not (numeric and isinstance(value, float)) and is_missing(value)


def _write_scalar(type_: Scalar, value: Any, key: str, entry: Entry) -> Any:  # noqa: ANN401
    try:
        return write_scalar(type_, value, entry)
    except (InvalidSample, MissingExtra) as error:
        raise explained(error, key, entry.field) from error
    except (TypeError, OverflowError):
        raise misfit(type_, value, key, entry.field) from None


# --- reading: the careful way --------------------------------------------------------------------------------


def unpack(cls: type[T], raw: Buffer, *, key: str = "", validate: bool = False) -> T:
    """Return the sample of class ``cls`` in msgpack bytes; unknown wire names are ignored.

    ``validate`` checks the dtype and shape of every array against the class. Raises :class:`InvalidSample`
    with sample key, field, expected and found, and :class:`~catalog.errors.MissingExtra`.
    """
    return unpacker(cls, validate=validate)(raw, key)


def _unpack_map(raw: Buffer, key: str) -> dict[Any, Any]:
    """Return the map in msgpack bytes; by msgpack's defaults everything in it is bounded by the length of ``raw``."""
    try:
        if len(raw) <= limits.MAX_LIST:
            values = msgpack.unpackb(raw, strict_map_key=False)
        else:
            values = msgpack.unpackb(raw, strict_map_key=False, max_array_len=limits.MAX_LIST)
    except _BAD_MSGPACK as error:
        raise InvalidSample(f"the sample is not msgpack: {str(error)[:200]}", where=key or None) from error
    if type(values) is not dict:
        raise InvalidSample("the sample is not a map of field names", where=key or None)
    return values


def unpack_values(raw: Buffer, key: str) -> dict[Any, Any]:
    """Return wire name → stored value of a sample in msgpack bytes; arrays are bytes. Raises :class:`InvalidSample`.

    Names may be other values than text, which belong to no field.
    """
    if len(raw) <= limits.MAX_LIST:
        try:
            values = _UNPACK(raw)
        except _BAD_MSGPACK:
            return _unpack_map(raw, key)
        if type(values) is dict:
            return values
    return _unpack_map(raw, key)


_UNPACK: Final = msgpack.unpackb


def _read_carefully(cls: type[T], plan: Plan, values: dict[Any, Any], key: str, *, validate: bool) -> T:
    _check_names(values, key)
    arguments: dict[str, Any] = {}
    for entry in plan.entries:
        field = entry.field
        value = values.get(field.name, dataclasses.MISSING)
        if value is dataclasses.MISSING and entry.has_default:
            continue
        if field.optional and (value is dataclasses.MISSING or _is_absent(field.type, value)):
            arguments[entry.attribute] = None
        else:
            arguments[entry.attribute] = _read(field.type, value, key, entry, validate=validate)
    return _constructed(cls, arguments, key)


def _constructed(cls: type[T], arguments: dict[str, Any], key: str) -> T:
    made = cls(**arguments)
    if key:
        with suppress(AttributeError):  # a class with __slots__ can't have one
            object.__setattr__(made, "__key__", key)
    return made


def _check_names(values: dict[Any, Any], key: str) -> None:
    if not all(isinstance(name, str) for name in values):
        raise InvalidSample("the sample is not a map of field names", where=key or None)


def _read(type_: FieldType, value: Any, key: str, entry: Entry, *, validate: bool) -> Any:  # noqa: ANN401
    match type_:
        case Array() if isinstance(value, bytes):
            return value if entry.as_bytes else _read_array(type_, value, key, entry.field, validate=validate)
        case Array() if isinstance(value, np.ndarray) and not (
            entry.as_bytes or (validate and not fits_array(type_, value))
        ):
            return value  # decoded already, by another format than msgpack
        case List() if isinstance(value, list):
            return [_read(type_.item, item, key, entry, validate=validate) for item in value]
        case Scalar():
            return _read_scalar(type_, value, key, entry, validate=validate)
        case Unknown() if value is not dataclasses.MISSING:
            try:
                return read_any(value)
            except MissingExtra as error:
                raise explained(error, key, entry.field) from error
    raise misfit(type_, value, key, entry.field)


def _read_scalar(type_: Scalar, value: Any, key: str, entry: Entry, *, validate: bool) -> Any:  # noqa: ANN401
    kind, reader = scalar_step(type_, entry, validate=validate)
    if kind is float and type(value) is int:
        return _as_float(value, key, entry.field)
    if type_.kind == "datetime" and isinstance(value, datetime):  # of a table
        return value
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise misfit(type_, value, key, entry.field)
    try:
        return value if reader is None else reader(value)
    except (InvalidSample, MissingExtra) as error:
        raise explained(error, key, entry.field) from error
    except ValueError:
        what = f"field {entry.field.name!a}: expected {type_text(type_)}, found the text {str(value)[:40]!a}"
        raise InvalidSample(what, where=key or None, hint="ISO 8601 with a time zone") from None


def _read_array(type_: Array, value: bytes, key: str, field: Field, *, validate: bool) -> Any:  # noqa: ANN401
    try:
        found = decode(type_, value)
    except (InvalidArray, MissingExtra) as error:
        raise explained(error, key, field) from error
    if validate and not fits_array(type_, found):
        raise misfit(type_, found, key, field)
    return found


def _as_float(value: float, key: str, field: Field) -> float:
    try:
        return float(value)
    except OverflowError:
        raise misfit(field.type, value, key, field) from None


# --- reading: the fast way -----------------------------------------------------------------------------------


_FALLBACK_ERRORS: Final = (Unusual, DataError, MissingExtra, *_BAD_MSGPACK)


def unpacker(cls: type[T], *, validate: bool = False) -> Callable[[Buffer, str], T]:
    """Return the function that reads samples of class ``cls`` from msgpack bytes and key; see :func:`unpack`.

    Compiled once for each class. Raises :class:`~catalog.errors.InvalidSchema` for a class that isn't packable.
    """
    if issubclass(cls, dict):
        return cast("Callable[[Buffer, str], T]", partial(_read_dict, cls))
    plan = plan_of(cls)
    found = plan.compiled.get(validate)
    if found is None:
        found = plan.compiled[validate] = _compiled(cls, plan, validate=validate)
    return cast("Callable[[Buffer, str], T]", found)


def _read_dict(cls: type[dict[str, Any]], raw: Buffer, key: str = "") -> dict[str, Any]:
    values = _unpack_map(raw, key)
    _check_names(values, key)
    return _build_dict(cls, values, key)


def _build_dict(cls: type[dict[str, Any]], values: dict[str, Any], key: str = "") -> dict[str, Any]:
    for name, value in values.items():
        if type(value) in _COMPOSITE:
            try:
                values[name] = read_any(value)
            except MissingExtra as error:
                raise explained(error, key, Field(name=name, type=_ANY)) from error
    made = cls(values)
    if key:
        made.__key__ = key  # type: ignore[attr-defined] # DictSample has it
    return made


def _compiled(cls: type[T], plan: Plan, *, validate: bool) -> Callable[[Buffer, str], T]:
    # The publisher chooses the names: the number of layouts, and of names in each, is limited.
    longest = 2 * len(plan.entries) + 16
    layout_of = lru_cache(maxsize=max(2, min(_LAYOUTS, 20_000 // longest)))(partial(layout, plan, validate=validate))
    unpackb, plain, new = msgpack.unpackb, plan.plain, object.__new__
    nil: list[tuple[str, ...]] = [()]  # the names that were nil in the sample before: most have the same

    def read(raw: Buffer, key: str = "") -> T:
        try:
            split = without_large(raw) if len(raw) > LARGE else None
            values = unpackb(raw if split is None else split[0])
            if type(values) is not dict or len(values) > longest:
                raise Unusual
            picked, kinds, readers, renamed, absent, arrays = layout_of(tuple(values), nil[0])
            if tuple(map(type, picked(values))) != kinds:
                readers, renamed, absent, arrays = _layout_with_nil(layout_of, values, nil)
            if split is not None:
                _put_large(values, split, arrays)
            for name, reader in readers:
                values[name] = reader(values[name])
        except _FALLBACK_ERRORS:
            return _read_carefully(cls, plan, _unpack_map(raw, key), key, validate=validate)
        state = values if renamed is None else {attribute: values[name] for attribute, name in renamed}
        if absent is not None:
            absent(state)
        if not plain:
            return _constructed(cls, state, key)
        if key:
            state["__key__"] = key
        made = new(cls)
        made.__dict__ = state
        return made

    return read


def _layout_with_nil(
    layout_of: Callable[..., Layout], values: dict[str, Any], before: list[tuple[str, ...]]
) -> tuple[Any, ...]:
    """Return what a layout says after its check of the types, for values of which others are nil than ``before``."""
    nil = tuple(name for name, value in values.items() if value is None)
    if nil == before[0]:
        raise Unusual
    picked, kinds, *rest = layout_of(tuple(values), nil)
    if tuple(map(type, picked(values))) != kinds:
        raise Unusual
    before[0] = nil
    return tuple(rest)


def _put_large(values: dict[str, Any], split: tuple[bytes, dict[str, memoryview], int], arrays: frozenset[str]) -> None:
    """Insert the large byte strings: views for arrays, bytes for other fields."""
    _, large, count = split
    if len(values) != count or len(raw_names := values.keys() & large.keys()) != len(large):
        raise Unusual
    for name in raw_names:
        values[name] = large[name] if name in arrays else bytes(large[name])


# --- reading other formats than msgpack ----------------------------------------------------------------------


def reader(form: Format, cls: type[T], *, validate: bool = False) -> Callable[[Any, str], T]:
    """Return the function that reads samples of class ``cls`` as they are stored in a format, and their key.

    Raises as :func:`unpacker` does.
    """
    decode = form.decoder(None if issubclass(cls, dict) else plan_of(cls).sample_type)
    if decode is None:
        return unpacker(cls, validate=validate)
    build = builder(cls, validate=validate)

    def read(raw: Any, key: str = "") -> T:  # noqa: ANN401 - see formats.Raw
        return build(decode(raw, key), key)

    return read


def reader_of_shard(form: Format, cls: type[T], url: str, *, validate: bool = False) -> Callable[[Any, str], T]:
    """Return :func:`reader` for the shard at ``url``: the images that it reads know their place.

    A sample without a type has images where a file of an image is a field of its own: not in msgpack.
    """
    read = reader(form, cls, validate=validate)
    if issubclass(cls, dict):
        if form.name == "msgpack":
            return read
        return partial(_read_untyped, read, url)
    images = [
        (entry.attribute, entry.field.name) for entry in plan_of(cls).entries if _has_images(entry.field.type, entry)
    ]
    return partial(_read_placed, read, images, url) if images else read


def _has_images(type_: FieldType, entry: Entry) -> bool:
    if isinstance(type_, List):
        return _has_images(type_.item, entry)
    return isinstance(type_, Scalar) and entry.decodes is None and (type_.media or "").startswith("image/")


def _read_untyped(read: Callable[[Any, str], Any], url: str, raw: Any, key: str = "") -> Any:  # noqa: ANN401
    sample: dict[str, Any] = read(raw, key)
    for name, value in sample.items():
        if type(value) is bytes and type(found := image_bytes(value)) is ImageBytes:
            found.place = (url, key, name)
            sample[name] = found
    return sample


def _read_placed(
    read: Callable[[Any, str], T],
    images: list[tuple[str, str]],
    url: str,
    raw: Any,  # noqa: ANN401 - see formats.Raw
    key: str = "",
) -> T:
    sample = read(raw, key)
    for attribute, name in images:
        _place(getattr(sample, attribute, None), (url, key, name))
    return sample


def _place(value: object, place: tuple[str, str, str]) -> None:
    if type(value) is ImageBytes:
        value.place = place
    elif isinstance(value, list):
        for item in value:
            _place(item, place)


def builder(cls: type[T], *, validate: bool = False) -> Callable[[dict[str, Any], str], T]:
    """Return the function that makes samples of class ``cls`` from a dict of wire name → value, and the key.

    The values are checked as those of msgpack are; an array is a NumPy array or its bytes. The dict may become the
    state of the sample: it must be a new one for each. Compiled once for each class; raises as :func:`unpacker` does.
    """
    if issubclass(cls, dict):
        return cast("Callable[[dict[str, Any], str], T]", partial(_build_dict, cls))
    plan = plan_of(cls)
    found = plan.compiled.get(("build", validate))
    if found is None:
        found = plan.compiled["build", validate] = _compiled_builder(cls, plan, validate=validate)
    return cast("Callable[[dict[str, Any], str], T]", found)


def _compiled_builder(cls: type[T], plan: Plan, *, validate: bool) -> Callable[[dict[str, Any], str], T]:
    longest = 2 * len(plan.entries) + 16
    known = lru_cache(maxsize=max(2, min(_LAYOUTS, 20_000 // longest)))(
        partial(layout, plan, validate=validate, decoded=True)
    )

    def build(values: dict[str, Any], key: str = "") -> T:
        try:
            if len(values) > longest:
                raise Unusual
            picked, kinds, readers, renamed, absent, _ = known(tuple(values))
            if tuple(map(type, picked(values))) != kinds:
                raise Unusual
            read = {name: step(values[name]) for name, step in readers}
        except _FALLBACK_ERRORS:
            return _read_carefully(cls, plan, values, key, validate=validate)
        values.update(read)
        state = values if renamed is None else {attribute: values[name] for attribute, name in renamed}
        if absent is not None:
            absent(state)
        if not plan.plain:
            return _constructed(cls, state, key)
        if key:
            state["__key__"] = key
        made = object.__new__(cls)
        made.__dict__ = state
        return made

    return build
