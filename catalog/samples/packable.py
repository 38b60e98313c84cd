"""Typed samples: a class with fields ⇄ a sample type.

::

    class Digit(PackableSample):                        @packable
        image: NDArray[np.uint8]                        class Digit: …          # the same, without the base
        label: int
        writer: str | None = None
        kind: str = wire("class")                       # wire name "class"

    raw = Digit(image=…, label=7, kind="x").packed      # msgpack bytes
    Digit.from_bytes(raw)

Such a class is a dataclass. Optional fields may precede required ones; then its constructor takes keywords only. An
annotation is ``str``, ``int``, ``float``, ``bool``, ``bytes``, ``datetime.datetime``, ``dict`` or ``dict[str, Any]`` (a
map of JSON values), an array
(``NDArray``, ``NDArray[np.float32]``, ``np.ndarray``, or ``Annotated[NDArray[np.uint8], Array(shape=(8, 8),
dimensions=("y", "x"))]``), ``list[…]`` of one, ``… | None`` or ``Optional[…]`` of one, ``Any`` for any value; as text,
too. :mod:`~catalog.samples.media` has the annotations of images, :mod:`~catalog.samples.array_formats` those of the
other array forms.

- Annotations are resolved when first needed, so their names must exist at run time, at module level.
- A field may hide a method of the base class (``packed``), so the functions of this module don't use the methods.
- When written, an array must have the dtype and shape of its field. When read, that is checked on request.
- A field with ``init=False`` is no field of the sample.
- Equal sample types give one class at run time. It is pickled as its sample type, so the class and its samples can be
  unpickled in any process.
"""

from __future__ import annotations

import copyreg
import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, cast, dataclass_transform, overload
from weakref import WeakValueDictionary

import numpy as np

from catalog.errors import InvalidSchema, PublishError
from catalog.samples.annotations import KEPT, MADE_FROM, WIRE, Identity, Kept, annotation, fields_of, plan_of
from catalog.samples.media import is_image
from catalog.samples.packing import DictSample, as_wds, builder, pack, unpack
from catalog.schema.dtypes import ML_DTYPES
from catalog.schema.identifiers import class_name, field_attributes
from catalog.syntax import AtUri

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from catalog.atproto.sdk import SdkClient
    from catalog.samples.arrays import Buffer
    from catalog.samples.clients import CatalogClient
    from catalog.schema import SampleType

__all__ = [
    "DictSample", "PackableSample", "SchemaSample", "class_from", "fields_of", "pack", "packable", "readable",
    "sample_type",
    "schema_to_publish", "schema_uri", "unpack", "wire",
]  # fmt: skip

T = TypeVar("T")
V = TypeVar("V")

_ADDED: Final = ("packed", "as_wds", "from_bytes", "from_data", "publish_to_atproto", "_repr_html_", "__key__")
"""Attributes of :class:`PackableSample` that ``packable`` adds, besides equality."""


def wire(name: str, **options: Any) -> Any:  # noqa: ANN401 - as dataclasses.field
    """Define a field whose wire name differs from its attribute; ``options`` are those of :func:`dataclasses.field`."""
    return dataclasses.field(metadata={WIRE: name}, **options)


class _Derived(Generic[V]):
    """A property that a field of the same name can hide; the built-in one can't be set."""

    def __init__(self, read: Callable[[Any], V]) -> None:
        self._read = read
        self.__doc__ = read.__doc__

    @overload
    def __get__(self, sample: None, owner: type) -> Self: ...

    @overload
    def __get__(self, sample: object, owner: type) -> V: ...

    def __get__(self, sample: object | None, owner: type) -> Self | V:
        return self if sample is None else self._read(sample)


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(dataclasses.field, wire))
class PackableSample:
    """Base class of typed samples. A subclass becomes a dataclass.

    ``name`` and ``version`` are those of its sample type; by default the name of the class and 1.0.0. ``schema`` is the
    at:// URI of the record it was written for. Two samples are equal if they are of one class and all their fields are
    equal, arrays by value.
    """

    __key__ = ""
    """The sample's key in its shard; empty if it isn't from a shard."""

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        version: str | None = None,
        schema: str | None = None,
        **rest: Any,  # noqa: ANN401 - other bases may want them
    ) -> None:
        super().__init_subclass__(**rest)
        if cls.__eq__ is PackableSample.__eq__:
            cls.__eq__ = PackableSample.__eq__  # type: ignore[method-assign] # or @dataclass, once more, replaces it
        _make(cls, name, version, schema)

    __hash__ = None  # type: ignore[assignment] # samples are compared by value, and may change

    def __eq__(self, other: object) -> bool:
        return _equal(self, other)

    def __repr__(self) -> str:
        return _shown(self)

    def _repr_html_(self) -> str:
        """Return the fields as a table, for notebooks."""
        from catalog.samples.preview import as_html

        return as_html(self)

    @_Derived
    def packed(self) -> bytes:
        """The sample as msgpack bytes."""
        return pack(self)

    @_Derived
    def as_wds(self) -> dict[str, Any]:
        """The sample for WebDataset writers: ``{"__key__": …, "msgpack": …}``; without a key it gets a random one."""
        return as_wds(self)

    @classmethod
    def from_bytes(cls, raw: Buffer, *, key: str = "", validate: bool = False) -> Self:
        """Return the sample in ``raw``; see :func:`~catalog.samples.packing.unpack`."""
        return unpack(cls, raw, key=key, validate=validate)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Return the sample of unpacked values by wire name; an array may be its bytes. Raises as ``from_bytes``."""
        return builder(cls)(dict(data), "")

    @classmethod
    def publish_to_atproto(
        cls,
        client: CatalogClient | SdkClient,
        *,
        license: str | None = None,  # noqa: A002 - as records spell it
        tags: Sequence[str] = (),
    ) -> AtUri:
        """Publish the class as a schema record of the client's account, and return its URI.

        ``client`` is a :class:`catalog.Client` or a logged-in ``atproto.Client``, whose session is used and renewed.
        An identical published version is left unchanged; another one under the same version is refused. Raises what
        :meth:`Client.publish_schema` does.
        """
        from catalog.samples.clients import Place, open_publisher

        place = None if MADE_FROM in cls.__dict__ else Place.of(cls)
        with open_publisher(client) as publisher:
            return publisher.publish_schema(sample_type(cls), license=license, tags=tags, place=place)


@overload
def packable(cls: type[T], /) -> type[T]: ...


@overload
def packable(
    *, name: str | None = None, version: str | None = None, schema: str | None = None
) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(dataclasses.field, wire))
def packable(
    cls: type[Any] | None = None,
    /,
    *,
    name: str | None = None,
    version: str | None = None,
    schema: str | None = None,
) -> Any:
    """Make a class a typed sample, with the attributes of :class:`PackableSample` that it doesn't define itself.

    With or without arguments: those of subclasses of :class:`PackableSample`.
    """
    if cls is None:
        return lambda decorated: _decorated(decorated, name, version, schema)
    return _decorated(cls, name, version, schema)


def _decorated(cls: type[T], name: str | None, version: str | None, schema: str | None) -> type[T]:
    if not issubclass(cls, PackableSample):
        for attribute in _ADDED:
            if attribute not in cls.__dict__ and attribute not in inspect.get_annotations(cls):
                setattr(cls, attribute, PackableSample.__dict__[attribute])
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = _shown  # type: ignore[method-assign] # a decorator changes its class
        cls.__eq__ = _equal  # type: ignore[method-assign] # as above
        cls.__hash__ = None  # type: ignore[assignment] # as above
        _make(cls, name, version, schema)
    return cls


def _make(cls: type, name: str | None, version: str | None, schema: str | None) -> None:
    own = inspect.get_annotations(cls)
    if "__key__" in own:
        what = f"{cls.__name__}.__key__ is a sample's key in its shard, not a field"
        raise InvalidSchema(what, hint="name the field otherwise; each sample that is read has the attribute __key__")
    for field in own:
        if field not in cls.__dict__ and field in _ADDED:  # or it would be the field's default
            setattr(cls, field, dataclasses.field())
    identity = Identity(
        name=name or cls.__name__,
        version=version or "1.0.0",
        description=cls.__doc__,  # dataclass() generates one if there is none
        uri=None if schema is None else _record_uri(schema),
        own_init="__init__" in cls.__dict__,
    )
    # No repr, and init only if needed: dataclass() compiles source for each, with 10,000 fields for a second.
    kw_only = not _in_positional_order(cls)
    dataclass(kw_only=kw_only, eq=False, repr=False, init=not identity.own_init)(cls)
    cls.__packable__ = identity  # type: ignore[attr-defined] # the mark of a packable class
    setattr(cls, KEPT, Kept(cls))


def _in_positional_order(cls: type) -> bool:
    """Return whether no required field follows one with a default, so that the constructor can take positions."""
    inherited = [vars(base).get("__dataclass_fields__", {}) for base in reversed(cls.__mro__[1:])]
    fields: dict[str, object] = {name: field for one in inherited for name, field in one.items()}
    for name, hint in inspect.get_annotations(cls).items():
        if "ClassVar" not in str(hint):
            fields[name] = cls.__dict__.get(name, dataclasses.MISSING)
    defaults = [_has_default(field) for field in fields.values() if _takes_position(field)]
    return defaults == sorted(defaults)


def _takes_position(field: object) -> bool:
    return not isinstance(field, dataclasses.Field) or (field.init and field.kw_only is not True)


def _has_default(field: object) -> bool:
    if not isinstance(field, dataclasses.Field):
        return field is not dataclasses.MISSING
    return any(one is not dataclasses.MISSING for one in (field.default, field.default_factory))


def _record_uri(text: str) -> AtUri:
    uri = AtUri.parse(text)
    if uri.rkey is None:
        raise InvalidSchema(f"{text[:200]!a} is not the address of a record", hint="at://…/collection/key")
    return uri


@recursive_repr()
def _shown(self: Any) -> str:  # noqa: ANN401 - of any packable class
    fields = (field.name for field in dataclasses.fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in fields)})"


def _equal(self: object, other: object) -> bool:
    if type(self) is not type(other):
        return NotImplemented  # type: ignore[no-any-return] # the protocol of __eq__
    names = (entry.attribute for entry in plan_of(type(self)).entries)
    return all(_same(getattr(self, name), getattr(other, name)) for name in names)


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401, PLR0911 - samples hold anything; a kind of value a line
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and bool(np.array_equal(one, other, equal_nan=_has_nan(one.dtype)))
    if isinstance(one, bytes | datetime) and isinstance(other, bytes | datetime):
        return bool(one == other)  # also of classes of their own: ImageBytes, pandas' Timestamp
    if is_image(one) and is_image(other):  # whichever format they were read from
        return (one.mode, one.size, one.tobytes()) == (other.mode, other.size, other.tobytes())
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if hasattr(one, "tocoo"):  # scipy's sparse arrays; never made dense: that could take any amount of memory
        return (one.shape, one.dtype) == (other.shape, other.dtype) and _same(_elements(one), _elements(other))
    return bool(one == other)


def _has_nan(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "fcmM" or (dtype.name in ML_DTYPES and "int" not in dtype.name)


def _elements(sparse: Any) -> list[NDArray[Any]]:  # noqa: ANN401 - scipy has no types
    """Return the indices and values of a sparse array's non-zero elements, in a canonical order."""
    listed = sparse.tocoo(copy=True)
    listed.sum_duplicates()
    listed.eliminate_zeros()
    return [*(indices.astype(np.int64) for indices in listed.coords), listed.data]


def readable(cls: type[Any] | None) -> type[Any]:
    """Return the class to read samples as: dicts for ``None``. Raises :class:`InvalidSchema` if it isn't packable."""
    if cls is None:
        return DictSample
    if isinstance(cls, type) and (issubclass(cls, DictSample) or "__packable__" in cls.__dict__):
        return cls
    shown = cls.__name__ if isinstance(cls, type) else f"an object of {type(cls).__name__}"
    raise InvalidSchema(
        f"{shown} is not a packable class", hint="use @packable or PackableSample; for dicts, leave it out"
    )


def sample_type(cls: type) -> SampleType:
    """Return the sample type of a packable class. Raises :class:`InvalidSchema` for other annotations."""
    return plan_of(cls).sample_type


def schema_uri(cls: type) -> AtUri | None:
    """Return the URI of the schema record that a class was made from or names (``schema="at://…"``)."""
    identity: Identity | None = cls.__dict__.get("__packable__")
    return None if identity is None else identity.uri


def schema_to_publish(given: AtUri | SampleType | type | str) -> AtUri | SampleType:
    """Return the URI of a schema, or the sample type to publish as one.

    A class that was made from a published schema gives its URI. Raises :class:`PublishError` for dicts.
    """
    if isinstance(given, str):
        return AtUri.parse(given)
    if not isinstance(given, type):
        return given
    if issubclass(given, DictSample):
        raise PublishError("samples without a class have no schema to publish", hint="give schema=…")
    return schema_uri(given) or sample_type(given)


class _MadeClass(type):
    """Metaclass of classes made at run time, by which pickle recognises them."""


class SchemaSample(PackableSample):
    """Base class of the classes that are made from schema records; a type checker takes any attribute of it."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...  # noqa: ANN401 - the fields are known at run time


_made: WeakValueDictionary[tuple[SampleType, AtUri | None], type[SchemaSample]] = WeakValueDictionary()


def class_from(wanted: SampleType, *, uri: AtUri | None = None) -> type[SchemaSample]:
    """Make the class for a sample type; field names that aren't valid in Python are mapped, wire names are kept.

    ``uri`` is that of its schema record. Equal arguments give the same class, as long as that is in use.
    """
    found = _made.get((wanted, uri))
    if found is None:
        found = _made[wanted, uri] = _class_from(wanted, uri)
    return found


def _class_from(wanted: SampleType, uri: AtUri | None) -> type[SchemaSample]:
    namespace: dict[str, Any] = {
        "__doc__": wanted.description,
        "__module__": __name__,
        MADE_FROM: (wanted, uri),
    }
    names = field_attributes(wanted.fields)
    namespace["__init__"] = _constructor({names[field.name]: not field.optional for field in wanted.fields})
    namespace["__annotations__"] = {names[field.name]: annotation(field) for field in wanted.fields}
    for field in wanted.fields:
        options = {"default": None} if field.optional else {}
        namespace[names[field.name]] = wire(field.name, **options)
    made = cast("type[SchemaSample]", _MadeClass(class_name(wanted.name), (SchemaSample,), namespace))
    identity = Identity(
        name=wanted.name, version=wanted.version, description=wanted.description, uri=uri, own_init=False
    )
    made.__packable__ = identity  # type: ignore[attr-defined] # as in _make
    return made


def _constructor(fields: Mapping[str, bool]) -> Callable[..., None]:
    """Return the constructor for attributes, by name: whether it is required."""
    required = frozenset(name for name, needed in fields.items() if needed)
    nothing = dict.fromkeys(fields.keys() - required)
    names = tuple(fields)

    def __init__(self: object, /, *given: Any, **values: Any) -> None:  # noqa: ANN401, N807 - it becomes that of a class
        if given:
            if len(given) > len(names) or not values.keys().isdisjoint(names[: len(given)]):
                raise TypeError(f"{type(self).__name__} takes each field once, in the order {', '.join(names[:20])}")
            values = dict(zip(names, given, strict=False)) | values
        missing, unknown = required - values.keys(), values.keys() - fields.keys()
        if missing or unknown:
            name, what = (min(missing), "misses") if missing else (min(unknown), "has no")
            raise TypeError(f"{type(self).__name__} {what} field {name!a}")
        self.__dict__ |= nothing | values

    return __init__


def _reduce_class(cls: type) -> str | tuple[Callable[..., type], tuple[SampleType, AtUri | None]]:
    made = cls.__dict__.get(MADE_FROM)
    return cls.__qualname__ if made is None else (_class_again, made)  # a user's subclass is pickled by name


def _class_again(wanted: SampleType, uri: AtUri | None) -> type[PackableSample]:
    return class_from(wanted, uri=uri)


copyreg.pickle(_MadeClass, _reduce_class)  # type: ignore[arg-type] # typeshed doesn't know that a name may come back
