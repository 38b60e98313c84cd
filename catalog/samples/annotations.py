"""Annotations of a class ⇄ fields of a sample type, and the plan for packing and unpacking a class, made once and kept
on it.
"""

from __future__ import annotations

import dataclasses
import inspect
import operator
import types
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias, Union, get_args, get_origin

import numpy as np

from catalog.errors import InvalidSchema
from catalog.samples.array_formats import ARRAYS
from catalog.samples.media import Media, is_image_class
from catalog.schema import Array, Field, FieldType, List, SampleType, Scalar, Unknown
from catalog.schema.identifiers import field_attributes

if TYPE_CHECKING:
    from catalog.syntax import AtUri

WIRE: Final = "catalog.wire"
"""The key of a wire name in the metadata of a dataclass field."""

MADE_FROM: Final = "__made_from__"
"""The attribute of a class made at run time: its sample type and the URI of the record, or None."""

KEPT: Final = "__packable_kept__"
_SCALARS: Final[Mapping[type, Scalar]] = {
    str: Scalar(kind="str"), int: Scalar(kind="int"), float: Scalar(kind="float"), bool: Scalar(kind="bool"),
    bytes: Scalar(kind="bytes"), datetime: Scalar(kind="datetime"),
}  # fmt: skip
_MAP: Final = Scalar(kind="map")
PYTHON: Final[Mapping[str, type]] = {**{scalar.kind: kind for kind, scalar in _SCALARS.items()}, "map": dict}
Form: TypeAlias = Literal["bytes", "image", "pixels"]
"""The Python form of a value where there are several: the bytes of an array or image, a PIL image, its pixels."""

_MAPS: Final = ((), (str, Any), (str, object))
_FIELD_TYPES: Final = (
    "str, int, float, bool, bytes, datetime.datetime, dict, PIL.Image.Image, NDArray, list[…], … | None"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Name, version and description of a packable class. ``own_init``: it defines a constructor."""

    name: str
    version: str
    description: str | None
    uri: AtUri | None
    own_init: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One field of a class. ``as_bytes``: the bytes of an array aren't decoded.

    ``decodes`` is the form to which the bytes of an image are decoded, ``None`` for bytes.
    ``has_default``: the constructor needs no value; it uses ``default``, or calls ``factory``.
    """

    attribute: str
    field: Field
    as_bytes: bool = False
    decodes: Literal["image", "pixels"] | None = None
    has_default: bool = False
    default: Any = None
    factory: Callable[[], Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan for packing and unpacking one class. ``plain``: its constructor only sets the fields."""

    sample_type: SampleType
    entries: tuple[Entry, ...]
    plain: bool

    @cached_property
    def by_name(self) -> Mapping[str, Entry]:
        """Wire name → entry, in their order."""
        return {entry.field.name: entry for entry in self.entries}

    @cached_property
    def compiled(self) -> dict[object, Any]:
        """The functions that :mod:`~catalog.samples.packing` compiles from the plan."""
        return {}

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the compiled functions."""
        return {name: self.__dict__[name] for name in ("sample_type", "entries", "plain")}


class Kept:
    """Holds the plan of a class, as an attribute of the class.

    A class pickled by value (cloudpickle: the classes of scripts and notebooks) takes its plan along, which is made now
    if necessary: the other process can't resolve the names in the annotations.
    """

    __slots__ = ("owner", "plan")

    def __init__(self, owner: type | None, plan: Plan | None = None) -> None:
        self.owner = owner
        self.plan = plan

    def __reduce__(self) -> tuple[type[Kept], tuple[None, Plan | None]]:
        plan = self.plan
        if plan is None and self.owner is not None:
            with suppress(InvalidSchema):  # raised again when the class is used
                plan = plan_of(self.owner)
        return Kept, (None, plan)


def plan_of(cls: type) -> Plan:
    """Return the plan of a packable class. Raises :class:`InvalidSchema` for annotations that aren't field types."""
    kept: Kept | None = cls.__dict__.get(KEPT)
    if kept is not None and kept.plan is not None:
        return kept.plan
    identity = cls.__dict__.get("__packable__")
    if identity is None:
        raise InvalidSchema(f"{cls.__name__} is not a packable class", hint="use @packable or PackableSample")
    plan = _from_sample_type(cls) if MADE_FROM in cls.__dict__ else _from_annotations(cls, identity)
    setattr(cls, KEPT, Kept(cls, plan))
    return plan


def fields_of(sample: object) -> Mapping[str, Any]:
    """Return wire name → value of a sample, in the order of its fields. Arrays stay arrays."""
    if isinstance(sample, dict):
        return sample
    return {entry.field.name: getattr(sample, entry.attribute) for entry in plan_of(type(sample)).entries}


def _from_sample_type(cls: type) -> Plan:
    wanted: SampleType = getattr(cls, MADE_FROM)[0]
    names = field_attributes(wanted.fields)
    entries = tuple(
        Entry(attribute=names[field.name], field=field, has_default=field.optional) for field in wanted.fields
    )
    return Plan(sample_type=wanted, entries=entries, plain=True)


def _from_annotations(cls: type, identity: Identity) -> Plan:
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except Exception as error:  # annotations are code of the user, which may raise anything
        what = f"the annotations of {cls.__name__} can't be resolved: {error}"
        raise InvalidSchema(what, hint="import the names they use at module level, not under TYPE_CHECKING") from error
    attributes = [attribute for attribute in dataclasses.fields(cls) if attribute.init]
    entries = tuple(_entry(cls, attribute, hints[attribute.name]) for attribute in attributes)
    fields = tuple(entry.field for entry in entries)
    if len({field.name for field in fields}) < len(fields):
        raise InvalidSchema(f"{cls.__name__} has two fields of one wire name")
    found = SampleType(name=identity.name, version=identity.version, fields=fields, description=identity.description)
    return Plan(sample_type=found, entries=entries, plain=not identity.own_init and _is_plain(cls))


def _is_plain(cls: type) -> bool:
    """Return whether an instance is only its ``__dict__``: no code runs when it is made, nothing hides its fields."""
    ours = ("__new__", "__setattr__", "__post_init__")
    theirs = [getattr(object, name, None) for name in ours]
    if [getattr(cls, name, None) for name in ours] != theirs or not cls.__dictoffset__:
        return False
    if any("__call__" in base.__dict__ for base in inspect.getmro(type(cls))[:-2]):  # the last two are type and object
        return False
    names = {attribute.name for attribute in dataclasses.fields(cls)}
    code = cls.__init__.__code__  # type: ignore[misc] # dataclass() made it: its arguments are fields and InitVars
    if set(code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]) != names:
        return False
    return not any(hasattr(base.__dict__.get(name), "__set__") for base in cls.__mro__ for name in names)


def _entry(cls: type, attribute: dataclasses.Field[Any], hint: object) -> Entry:
    inner, optional = _without_none(hint)
    try:
        type_, form = _field_type(inner)
    except InvalidSchema as error:
        raise error.within(f"{cls.__name__}.{attribute.name}") from None
    factory: Any = attribute.default_factory
    return Entry(
        attribute=attribute.name,
        field=Field(name=attribute.metadata.get(WIRE, attribute.name), type=type_, optional=optional),
        as_bytes=form == "bytes",
        decodes=None if form == "bytes" else form,
        has_default=not (_is_missing(attribute.default) and _is_missing(factory)),
        default=None if _is_missing(attribute.default) else attribute.default,
        factory=None if _is_missing(factory) else factory,
    )


def _is_missing(value: object) -> bool:
    """Return whether a value is ``dataclasses.MISSING``, or its copy in a class pickled by value."""
    return type(value) is type(dataclasses.MISSING)


def _unaliased(hint: Any) -> Any:  # noqa: ANN401 - a type form
    """Return the type behind ``type X = …``, which numpy's ``NDArray`` may be, and behind aliases of aliases."""
    while hasattr(hint, "__value__"):
        origin = get_origin(hint)
        hint = hint.__value__ if origin is None else origin.__value__[get_args(hint)]
    return hint


def _without_none(hint: object) -> tuple[object, bool]:
    """Return the hint without its ``| None``, and whether it had one, also inside ``Annotated``."""
    hint = _unaliased(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        rest = [option for option in arguments if option is not type(None)]
        if len(rest) == 1 and len(rest) < len(arguments):
            return rest[0], True
    if origin is Annotated:
        inner, optional = _without_none(arguments[0])
        if optional:
            return operator.getitem(Annotated, (inner, *arguments[1:])), True
    return hint, False


def _field_type(hint: Any) -> tuple[FieldType, Form | None]:  # noqa: ANN401, PLR0911 - a kind of annotation a line
    """Return the field type of an annotation, and the form of its values if it isn't the usual one."""
    hint = _unaliased(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _annotated_type(_unaliased(arguments[0]), arguments[1:])
    if _is_array(hint):
        return Array(dtype=_dtype_name(arguments)), None
    if origin is list and len(arguments) == 1:
        item, form = _field_type(arguments[0])
        return List(item=item), form
    if hint is Any:
        return Unknown(schema="{}"), None
    if hint is dict or (origin is dict and arguments in _MAPS):
        return _MAP, None
    if is_image_class(hint):
        return Scalar(kind="bytes", media="image/*"), "image"
    if isinstance(hint, type) and hint in _SCALARS:
        return _SCALARS[hint], None
    raise InvalidSchema(f"{hint} is not a field type", hint=_hint(hint))


def _hint(hint: object) -> str:
    if hint is date:
        return "datetime.datetime, or str for value.isoformat()"
    return "dict for a map of JSON values" if get_origin(hint) is dict else _FIELD_TYPES


def _annotated_type(hint: Any, extras: tuple[object, ...]) -> tuple[FieldType, Form | None]:  # noqa: ANN401
    array = next((extra for extra in extras if isinstance(extra, Array)), None)
    if array is not None:
        return _described_array(array, hint)
    media = next((extra for extra in extras if isinstance(extra, Media)), None)
    if media is None:
        return _field_type(hint)
    form: Form | None = "image" if is_image_class(hint) else "pixels" if _is_array(hint) else None
    if form is None and hint is not bytes:
        raise InvalidSchema(f"{hint} has no media type", hint="bytes, PIL.Image.Image, or NDArray[np.uint8] for pixels")
    if form is not None and not media.type.startswith("image/"):
        raise InvalidSchema(f"{media.type} is not decoded", hint="annotate the field as bytes")
    return Scalar(kind="bytes", media=media.type), form


def _described_array(given: Array, hint: Any) -> tuple[FieldType, Form | None]:  # noqa: ANN401 - a type form
    if hint is bytes:
        return given, "bytes"
    if _is_array(hint):
        return dataclasses.replace(given, dtype=given.dtype or _dtype_name(get_args(hint))), None
    if hint is Any or (given.format not in ARRAYS and hint not in _SCALARS and get_origin(hint) is not list):
        return given, None
    raise InvalidSchema(f"{hint} is not an array", hint="NDArray[…], or bytes for the bytes as they are")


def _is_array(hint: object) -> bool:
    return hint is np.ndarray or get_origin(hint) is np.ndarray


def _dtype_name(arguments: tuple[object, ...]) -> str | None:
    """Return the dtype in ``np.ndarray[shape, np.dtype[np.float32]]``, to which ``NDArray[np.float32]`` expands."""
    scalar = get_args(arguments[1])[:1] if len(arguments) > 1 else ()
    kind = scalar[0] if scalar else None
    concrete = isinstance(kind, type) and issubclass(kind, np.generic) and not _is_abstract(kind)
    return np.dtype(kind).name if concrete else None


def _is_abstract(kind: type[np.generic]) -> bool:
    """Return whether a numpy class is the base of several dtypes (``np.floating``) and has no dtype itself."""
    return kind.__module__ == "numpy" and any(sub.__module__ == "numpy" for sub in kind.__subclasses__())


def annotation(field: Field) -> Any:  # noqa: ANN401 - a type form
    """Return the annotation that a class has for the field."""
    inner = _python_type(field.type)
    return inner | None if field.optional and inner is not Any else inner


def _python_type(type_: FieldType) -> Any:  # noqa: ANN401 - a type form
    match type_:
        case Scalar(kind="map"):
            return dict[str, Any]
        case Scalar(media=str() as media):
            return operator.getitem(Annotated, (bytes, Media(media)))
        case Scalar():
            return PYTHON[type_.kind]
        case List():
            return list.__class_getitem__(_python_type(type_.item))
        case Array():
            bare = {"sparseBytes": Any, "safetensors": dict[str, np.ndarray]}.get(type_.format, np.ndarray)
            return operator.getitem(Annotated, (bare, type_))
        case Unknown():
            return Any
