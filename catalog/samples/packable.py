"""Typed samples: a class with fields ⇄ a flat msgpack map ⇄ a sample type.

::

    class Digit(PackableSample):                        @packable
        image: NDArray[np.uint8]                        class Digit: …          # the same, without the base
        label: int
        writer: str | None = None
        kind: str = wire("class")                       # wire name "class"

    raw = Digit(image=…, label=7, kind="x").packed      # msgpack bytes
    Digit.from_bytes(raw)

Such a class is a keyword-only dataclass, so optional fields may stand before required ones. An annotation is ``str``,
``int``, ``float``, ``bool``, ``bytes``, an array (``NDArray``, ``NDArray[np.float32]``, ``np.ndarray``, or
``Annotated[NDArray[np.uint8], Array(shape=(8, 8), dimensions=("y", "x"))]``), ``list[…]`` of one, ``… | None`` or
``Optional[…]`` of one, ``Any`` for whatever comes; as text, too.

Tricky bits
-----------
- Annotations are resolved when first needed, so what they name must be there at run time, at module level.
- A field may hide a method of the base class (``packed``); the functions of this module don't use the methods.
- On writing, an array must have the dtype and shape it promises. On reading that is checked on request.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, Union, dataclass_transform, get_args, get_origin

import msgpack
import numpy as np

from catalog.errors import InvalidArray, InvalidSample, InvalidSchema
from catalog.identifiers import attribute_names, class_name
from catalog.samples.arrays import MAGIC, decode_array, encode_array
from catalog.sampletype import Array, Field, FieldType, List, SampleType, Scalar, Unknown, type_text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DictSample", "PackableSample", "class_from", "pack", "packable", "sample_type", "unpack", "wire",
]  # fmt: skip

T = TypeVar("T")

MAX_LIST: Final = 1 << 20
"""Items of one list. msgpack makes room for as many as a header claims, and lists nest: the cap bounds that."""

_WIRE: Final = "catalog.wire"
_PLAN: Final = "__packable_plan__"
_SCALARS: Final[Mapping[type, Scalar]] = {
    str: Scalar(kind="str"), int: Scalar(kind="int"), float: Scalar(kind="float"), bool: Scalar(kind="bool"),
    bytes: Scalar(kind="bytes"),
}  # fmt: skip
_PYTHON: Final[Mapping[str, type]] = {scalar.kind: kind for kind, scalar in _SCALARS.items()}
_ARRAY_BYTES: Final = ("ndarrayBytes", "structuredBytes")
"""The array forms read as arrays; the others stay bytes."""


def wire(name: str, **options: Any) -> Any:  # noqa: ANN401 - as dataclasses.field
    """A field whose wire name is not its attribute name; ``options`` are those of :func:`dataclasses.field`."""
    return dataclasses.field(metadata={_WIRE: name}, **options)


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(dataclasses.field, wire))
class PackableSample:
    """The base of typed samples. A subclass is a keyword-only dataclass by itself.

    ``name`` and ``version`` are those of its sample type; the name of the class and 1.0.0 when not given. Two samples
    are equal when they are of one class and all their fields are, arrays by value.
    """

    __key__ = ""
    """The sample's key in its shard; empty for one that was never in a shard."""

    def __init_subclass__(cls, *, name: str | None = None, version: str | None = None, **rest: Any) -> None:  # noqa: ANN401
        super().__init_subclass__(**rest)
        _make(cls, name, version)

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return _equal(self, other)

    @property
    def packed(self) -> bytes:
        """The sample as msgpack bytes."""
        return pack(self)

    @property
    def as_wds(self) -> dict[str, Any]:
        """The sample as WebDataset writers take it: ``{"__key__": …, "msgpack": …}``."""
        return {"__key__": self.__key__, "msgpack": pack(self)}

    @classmethod
    def from_bytes(cls, raw: bytes, *, key: str = "", validate: bool = False) -> typing.Self:
        """The sample in ``raw``; see :func:`unpack`."""
        return unpack(cls, raw, key=key, validate=validate)


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(dataclasses.field, wire))
def packable(cls: type[T]) -> type[T]:
    """Make an ordinary class a typed sample; it gets what :class:`PackableSample` has, where it has none itself."""
    if not issubclass(cls, PackableSample):
        for attribute in ("packed", "as_wds", "from_bytes", "__key__"):
            if attribute not in cls.__dict__ and attribute not in inspect.get_annotations(cls):
                setattr(cls, attribute, PackableSample.__dict__[attribute])
        cls.__eq__ = _equal  # type: ignore[method-assign]
        cls.__hash__ = None  # type: ignore[assignment]
        _make(cls, None, None)
    return cls


class DictSample(dict[str, Any]):
    """A sample without a type: wire name → value. Values in ``.npy`` form are arrays, others as they came.

    ``__key__`` is its key in its shard.
    """

    __key__ = ""


def _make(cls: type, name: str | None, version: str | None) -> None:
    own_text = cls.__doc__  # dataclass() makes one up where there is none
    dataclass(kw_only=True, eq=False)(cls)
    cls.__packable__ = (name or cls.__name__, version or "1.0.0", own_text)  # type: ignore[attr-defined]


def _equal(self: object, other: object) -> bool:
    if type(self) is not type(other):
        return NotImplemented  # type: ignore[no-any-return] # the protocol of __eq__
    names = (entry.attribute for entry in _plan(type(self)).entries)
    return all(_same(getattr(self, name), getattr(other, name)) for name in names)


def _same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        numbers = one.dtype.kind in "fc"
        return one.dtype == other.dtype and bool(np.array_equal(one, other, equal_nan=numbers))
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    return type(one) is type(other) and bool(one == other)


# --- class ⇄ sample type -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Entry:
    """One field of a class. ``silent``: its ``None`` is left out, because absent reads as ``None`` again."""

    attribute: str
    field: Field
    has_default: bool
    silent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """How to pack and unpack one class."""

    sample_type: SampleType
    entries: tuple[_Entry, ...]


def sample_type(cls: type) -> SampleType:
    """The sample type of a packable class. Raises :class:`InvalidSchema` for annotations that are none of ours."""
    return _plan(cls).sample_type


def class_from(wanted: SampleType) -> type[PackableSample]:
    """A class for a sample type, at run time; names that Python can't have are mapped, wire names kept."""
    names = attribute_names(field.name for field in wanted.fields)
    namespace: dict[str, Any] = {"__doc__": wanted.description, "__module__": __name__}
    namespace["__annotations__"] = {names[field.name]: _annotation(field) for field in wanted.fields}
    for field in wanted.fields:
        options = {"default": None} if field.optional else {}
        namespace[names[field.name]] = wire(field.name, **options)
    made = type(class_name(wanted.name), (PackableSample,), namespace)
    entries = tuple(_Entry(names[field.name], field, field.optional, field.optional) for field in wanted.fields)
    setattr(made, _PLAN, _Plan(sample_type=wanted, entries=entries))
    return made


def _annotation(field: Field) -> Any:  # noqa: ANN401 - a type form
    inner = _python_type(field.type)
    return inner | None if field.optional and inner is not Any else inner


def _python_type(type_: FieldType) -> Any:  # noqa: ANN401 - a type form
    match type_:
        case Scalar():
            return _PYTHON[type_.kind]
        case List():
            return list.__class_getitem__(_python_type(type_.item))
        case Array():
            return Annotated[np.ndarray if type_.format in _ARRAY_BYTES else bytes, type_]
        case Unknown():
            return Any


def _plan(cls: type) -> _Plan:
    found = cls.__dict__.get(_PLAN)
    if found is None:
        found = _read_class(cls)
        setattr(cls, _PLAN, found)
    plan: _Plan = found
    return plan


def _read_class(cls: type) -> _Plan:
    if "__packable__" not in cls.__dict__:
        raise InvalidSchema(f"{cls.__name__} is not a packable class", hint="use @packable or PackableSample")
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except Exception as error:
        what = f"the annotations of {cls.__name__} can't be resolved: {error}"
        raise InvalidSchema(what, hint="import the names they use at module level, not under TYPE_CHECKING") from error
    entries = tuple(_read_attribute(cls, field, hints[field.name]) for field in dataclasses.fields(cls))
    name, version, text = cls.__packable__  # type: ignore[attr-defined]
    fields = tuple(entry.field for entry in entries)
    if len({field.name for field in fields}) < len(fields):
        raise InvalidSchema(f"{cls.__name__} has two fields of one wire name")
    return _Plan(sample_type=SampleType(name=name, version=version, fields=fields, description=text), entries=entries)


def _read_attribute(cls: type, attribute: dataclasses.Field[Any], hint: object) -> _Entry:
    inner, optional = _without_none(hint)
    try:
        type_ = _field_type(inner)
    except InvalidSchema as error:
        raise error.within(f"{cls.__name__}.{attribute.name}") from None
    field = Field(name=attribute.metadata.get(_WIRE, attribute.name), type=type_, optional=optional)
    has_default = not (attribute.default is attribute.default_factory is dataclasses.MISSING)
    return _Entry(attribute.name, field, has_default, optional and (attribute.default is None or not has_default))


def _without_none(hint: object) -> tuple[object, bool]:
    if get_origin(hint) in (Union, types.UnionType):
        rest = [option for option in get_args(hint) if option is not type(None)]
        if len(rest) == 1:
            return rest[0], True
    return hint, False


def _field_type(hint: object) -> FieldType:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        given = next((extra for extra in arguments[1:] if isinstance(extra, Array)), None)
        bare = _field_type(arguments[0])
        if given is None:
            return bare
        return dataclasses.replace(given, dtype=given.dtype or getattr(bare, "dtype", None))
    if hint in _SCALARS:
        return _SCALARS[hint]  # type: ignore[index]
    if hint is Any:
        return Unknown(schema="{}")
    if hint is np.ndarray or origin is np.ndarray:
        return Array(dtype=_dtype_name(arguments))
    if origin is list and len(arguments) == 1:
        return List(item=_field_type(arguments[0]))
    raise InvalidSchema(f"{hint} is not a field type", hint="str, int, float, bool, bytes, NDArray, list[…], … | None")


def _dtype_name(arguments: tuple[object, ...]) -> str | None:
    """The dtype in ``np.ndarray[shape, np.dtype[np.float32]]``, which is what ``NDArray[np.float32]`` means."""
    scalar = get_args(arguments[1])[:1] if len(arguments) > 1 else ()
    kind = scalar[0] if scalar else None
    concrete = isinstance(kind, type) and issubclass(kind, np.generic) and not _is_abstract(kind)
    return np.dtype(kind).name if concrete else None


def _is_abstract(kind: type[np.generic]) -> bool:
    """Whether numpy's class stands for several dtypes (``np.floating``): it has no dtype of its own."""
    return kind.__module__ == "numpy" and any(sub.__module__ == "numpy" for sub in kind.__subclasses__())


# --- sample ⇄ bytes ------------------------------------------------------------------------------------------


def pack(sample: object) -> bytes:
    """A sample (of a packable class, or a mapping) as msgpack bytes: a flat map of wire name → value.

    Optional fields that are ``None`` are left out. Raises :class:`InvalidSample` when a value isn't what its field
    promises, arrays with their dtype and shape included.
    """
    key = getattr(sample, "__key__", "")
    if isinstance(sample, dict):
        values = {name: _write_any(value) for name, value in sample.items()}
    else:
        values = {}
        for entry in _plan(type(sample)).entries:
            value = getattr(sample, entry.attribute)
            field = entry.field
            if value is not None or not field.optional:
                values[field.name] = _write(field.type, value, key, field)
            elif not entry.silent:
                values[field.name] = None
    try:
        packed: bytes = msgpack.packb(values, use_bin_type=True)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidSample(f"the sample can't be packed: {error}", where=key or None) from error
    return packed


def _write_any(value: Any) -> Any:  # noqa: ANN401 - samples hold anything
    if isinstance(value, np.ndarray):
        return encode_array(value)
    return value.item() if isinstance(value, np.generic) else value


def _write(type_: FieldType, value: Any, key: str, field: Field) -> Any:  # noqa: ANN401
    if isinstance(value, np.generic):
        value = value.item()
    match type_:
        case Array():
            if type_.format not in _ARRAY_BYTES and isinstance(value, bytes):
                return value
            _check_array(type_, value, key, field)
            return encode_array(value)
        case List() if isinstance(value, list | tuple):
            return [_write(type_.item, item, key, field) for item in value]
        case Scalar() if _fits(type_.kind, value):
            return float(value) if type_.kind == "float" else value
        case Unknown():
            return _write_any(value)
    raise _misfit(type_, value, key, field)


def unpack(cls: type[T], raw: bytes, *, key: str = "", validate: bool = False) -> T:
    """The sample of class ``cls`` in msgpack bytes; unknown wire names are ignored.

    ``validate`` checks the dtype and shape of every array against the class. Raises :class:`InvalidSample`, naming
    sample key, field, what was expected and what was found.
    """
    values = unpack_map(raw, key=key)
    if issubclass(cls, DictSample):
        made: Any = cls((name, _read_any(value)) for name, value in values.items())
    else:
        arguments: dict[str, Any] = {}
        for entry in _plan(cls).entries:
            field = entry.field
            value = values.get(field.name, dataclasses.MISSING)
            if value is dataclasses.MISSING and entry.has_default:
                continue
            if field.optional and (value is None or value is dataclasses.MISSING):
                arguments[entry.attribute] = None
            else:
                arguments[entry.attribute] = _read(field.type, value, key, field, validate=validate)
        made = cls(**arguments)
    if key:
        made.__key__ = key
    instance: T = made
    return instance


def unpack_map(raw: bytes, *, key: str = "") -> dict[str, Any]:
    """The flat map in msgpack bytes. Raises :class:`InvalidSample` for anything else, bombs included."""
    try:
        values = msgpack.unpackb(raw, raw=False, strict_map_key=False, max_array_len=min(len(raw), MAX_LIST))
    except (ValueError, TypeError, MemoryError, RecursionError, OverflowError, msgpack.UnpackException) as error:
        raise InvalidSample(f"the sample is not msgpack: {str(error)[:200]}", where=key or None) from error
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise InvalidSample("the sample is not a map of field names", where=key or None)
    return values


def _read_any(value: Any) -> Any:  # noqa: ANN401 - samples hold anything
    if not isinstance(value, bytes) or value[:6] != MAGIC:
        return value
    try:
        return decode_array(value)
    except InvalidArray:
        return value  # bytes that only look like an array; without a type nobody can say


def _read(type_: FieldType, value: Any, key: str, field: Field, *, validate: bool) -> Any:  # noqa: ANN401
    match type_:
        case Array() if isinstance(value, bytes):
            return _read_array(type_, value, key, field, validate=validate)
        case List() if isinstance(value, list):
            return [_read(type_.item, item, key, field, validate=validate) for item in value]
        case Scalar() if _fits(type_.kind, value):
            return _as_float(value, key, field) if type_.kind == "float" else value
        case Unknown():
            return _read_any(value)
    raise _misfit(type_, value, key, field)


def _read_array(type_: Array, value: bytes, key: str, field: Field, *, validate: bool) -> Any:  # noqa: ANN401
    if type_.format not in _ARRAY_BYTES:
        return value
    try:
        array = decode_array(value)
    except InvalidArray as error:
        raise InvalidSample(f"field {field.name!a}: {error.what}", where=key or None, hint=error.hint) from error
    if validate:
        _check_array(type_, array, key, field)
    return array


def _as_float(value: float, key: str, field: Field) -> float:
    try:
        return float(value)
    except OverflowError:
        raise _misfit(field.type, value, key, field) from None


def _fits(kind: str, value: object) -> bool:
    if kind in ("int", "float") and isinstance(value, bool):
        return False
    return isinstance(value, int | float) if kind == "float" else isinstance(value, _PYTHON[kind])


def _check_array(type_: Array, value: object, key: str, field: Field) -> None:
    if not isinstance(value, np.ndarray) or not _dtype_fits(type_.dtype, value.dtype):
        raise _misfit(type_, value, key, field)
    shape = type_.shape
    if shape is not None and not (
        len(shape) == value.ndim and all(want in (None, have) for want, have in zip(shape, value.shape, strict=True))
    ):
        raise _misfit(type_, value, key, field)


def _dtype_fits(wanted: str | None, found: np.dtype[Any]) -> bool:
    """Whether the dtype is the one promised; byte order doesn't matter, nor does a promise numpy can't read."""
    if wanted is None or wanted == found.name:
        return True
    try:
        return np.dtype(wanted).newbyteorder("=") == found.newbyteorder("=")
    except (TypeError, ValueError):
        return True


def _misfit(type_: FieldType, value: object, key: str, field: Field) -> InvalidSample:
    if value is dataclasses.MISSING:
        found = "nothing"
    elif isinstance(value, np.ndarray):
        found = type_text(Array(dtype=value.dtype.name, shape=value.shape or None))
    else:
        found = type(value).__name__
    what = f"field {field.name!a}: expected {type_text(type_, optional=field.optional)}, found {found}"
    return InvalidSample(what, where=key or None)
