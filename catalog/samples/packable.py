"""Typed samples: a class with fields ⇄ a sample type.

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
``Optional[…]`` of one, ``Any`` for whatever comes; as text, too. :mod:`~catalog.samples.array_formats` has the
annotations of the other array forms.

Tricky bits
-----------
- Annotations are resolved when first needed, so what they name must be there at run time, at module level.
- A field may hide a method of the base class (``packed``); the functions of this module don't use the methods.
- On writing, an array must have the dtype and shape it promises. On reading that is checked on request.
- A field with ``init=False`` is no field of the sample: your constructor makes it.
- Equal sample types give one class. It pickles as its sample type, and its samples with it, so both travel between
  processes that never met.
"""

from __future__ import annotations

import copyreg
import dataclasses
import inspect
from dataclasses import dataclass
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, cast, dataclass_transform, overload
from weakref import WeakValueDictionary

import numpy as np

from catalog.errors import InvalidSchema
from catalog.samples.annotations import KEPT, MADE_FROM, WIRE, Identity, Kept, annotation, plan_of
from catalog.samples.packing import DictSample, pack, unpack
from catalog.schema.identifiers import attribute_names, class_name
from catalog.syntax import AtUri

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from catalog.samples.arrays import Buffer
    from catalog.samples.publishing import PublishingClient
    from catalog.schema import SampleType

__all__ = [
    "DictSample", "PackableSample", "class_from", "fields_of", "pack", "packable", "readable", "sample_type",
    "schema_uri", "unpack", "wire",
]  # fmt: skip

T = TypeVar("T")
V = TypeVar("V")

_GIVEN: Final = ("packed", "as_wds", "from_bytes", "publish_to_atproto", "__key__")
"""What :class:`PackableSample` gives, besides equality."""


def wire(name: str, **options: Any) -> Any:  # noqa: ANN401 - as dataclasses.field
    """A field whose wire name is not its attribute name; ``options`` are those of :func:`dataclasses.field`."""
    return dataclasses.field(metadata={WIRE: name}, **options)


class _Derived(Generic[V]):
    """A property that a field of the same name hides; the built-in one would refuse to be set."""

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
    """The base of typed samples. A subclass is a keyword-only dataclass by itself.

    ``name`` and ``version`` are those of its sample type; the name of the class and 1.0.0 when not given. ``schema`` is
    the at:// URI of the record it was written after. Two samples are equal when they are of one class and all their
    fields are, arrays by value.
    """

    __key__ = ""
    """The sample's key in its shard; empty for one that was never in a shard."""

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        version: str | None = None,
        schema: str | None = None,
        **rest: Any,  # noqa: ANN401 - other bases may want them
    ) -> None:
        super().__init_subclass__(**rest)
        _make(cls, name, version, schema)

    __hash__ = None  # type: ignore[assignment] # samples are compared by value, and may change

    def __eq__(self, other: object) -> bool:
        return _equal(self, other)

    def __repr__(self) -> str:
        return _shown(self)

    @_Derived
    def packed(self) -> bytes:
        """The sample as msgpack bytes."""
        return pack(self)

    @_Derived
    def as_wds(self) -> dict[str, Any]:
        """The sample as WebDataset writers take it: ``{"__key__": …, "msgpack": …}``."""
        return {"__key__": self.__key__, "msgpack": pack(self)}

    @classmethod
    def from_bytes(cls, raw: Buffer, *, key: str = "", validate: bool = False) -> Self:
        """The sample in ``raw``; see :func:`~catalog.samples.packing.unpack`."""
        return unpack(cls, raw, key=key, validate=validate)

    @classmethod
    def publish_to_atproto(
        cls,
        client: PublishingClient,
        *,
        license: str | None = None,  # noqa: A002 - as records spell it
        tags: Sequence[str] = (),
    ) -> AtUri:
        """Publish the class as a schema record of the client's account, and answer its address.

        A version that is there and the same stays as it is; one that says anything else is refused. Raises what
        :meth:`Client.publish_schema` does.
        """
        from catalog.samples.publishing import Place

        place = None if MADE_FROM in cls.__dict__ else Place.of(cls)
        return client.publish_schema(sample_type(cls), license=license, tags=tags, place=place)


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
    """Make an ordinary class a typed sample; it gets what :class:`PackableSample` has, where it has none itself.

    With or without arguments, which are those of :class:`PackableSample`'s subclasses.
    """
    if cls is None:
        return lambda decorated: _decorated(decorated, name, version, schema)
    return _decorated(cls, name, version, schema)


def _decorated(cls: type[T], name: str | None, version: str | None, schema: str | None) -> type[T]:
    if not issubclass(cls, PackableSample):
        for attribute in _GIVEN:
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
        what = f"{cls.__name__}.__key__ is a sample's place in its shard, not a field"
        raise InvalidSchema(what, hint='give the field another name: key: str = wire("__key__")')
    for field in own:
        if field not in cls.__dict__ and field in _GIVEN:  # or dataclass() takes what it hides for its default
            setattr(cls, field, dataclasses.field())
    identity = Identity(
        name=name or cls.__name__,
        version=version or "1.0.0",
        description=cls.__doc__,  # dataclass() makes one up where there is none
        uri=None if schema is None else _record_uri(schema),
        own_init="__init__" in cls.__dict__,
    )
    # Not repr, and init only where it is wanted: dataclass() compiles text for each, of 10,000 fields for a second.
    dataclass(kw_only=True, eq=False, repr=False, init=not identity.own_init)(cls)
    cls.__packable__ = identity  # type: ignore[attr-defined] # the mark of a packable class
    setattr(cls, KEPT, Kept(cls))


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


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401 - samples hold anything
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        numbers = one.dtype.kind in "fc"
        return one.dtype == other.dtype and bool(np.array_equal(one, other, equal_nan=numbers))
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if hasattr(one, "tocoo"):  # scipy's sparse arrays; never made dense, their shape is no measure of their size
        return (one.shape, one.dtype) == (other.shape, other.dtype) and _same(_elements(one), _elements(other))
    return bool(one == other)


def _elements(sparse: Any) -> list[NDArray[Any]]:  # noqa: ANN401 - scipy has no types
    """Where a sparse array isn't zero, and what it is there, in one order."""
    listed = sparse.tocoo(copy=True)
    listed.sum_duplicates()
    listed.eliminate_zeros()
    return [*(indices.astype(np.int64) for indices in listed.coords), listed.data]


# --- class ⇄ sample type -------------------------------------------------------------------------------------


def readable(cls: type[Any] | None) -> type[Any]:
    """A class that samples can be read as: dicts for ``None``. Raises :class:`InvalidSchema` for one that is none."""
    if cls is None:
        return DictSample
    if isinstance(cls, type) and (issubclass(cls, DictSample) or "__packable__" in cls.__dict__):
        return cls
    shown = cls.__name__ if isinstance(cls, type) else f"an object of {type(cls).__name__}"
    raise InvalidSchema(
        f"{shown} is not a packable class", hint="use @packable or PackableSample; for dicts, leave it out"
    )


def sample_type(cls: type) -> SampleType:
    """The sample type of a packable class. Raises :class:`InvalidSchema` for annotations that are none of ours."""
    return plan_of(cls).sample_type


def schema_uri(cls: type) -> AtUri | None:
    """The schema record that the class was made from, or says it was written after (``schema="at://…"``)."""
    identity: Identity | None = cls.__dict__.get("__packable__")
    return None if identity is None else identity.uri


def fields_of(sample: object) -> Mapping[str, Any]:
    """Wire name → value of a sample, in the order of its fields. Not packed: arrays are arrays."""
    if isinstance(sample, dict):
        return sample
    return {entry.field.name: getattr(sample, entry.attribute) for entry in plan_of(type(sample)).entries}


class _MadeClass(type):
    """The class of classes made at run time, by which pickle knows them."""


_made: WeakValueDictionary[tuple[SampleType, AtUri | None], type[PackableSample]] = WeakValueDictionary()


def class_from(wanted: SampleType, *, uri: AtUri | None = None) -> type[PackableSample]:
    """The class for a sample type, at run time; names that Python can't have are mapped, wire names kept.

    ``uri`` is the schema record it comes from. The same arguments give the same class, as long as that is in use.
    """
    found = _made.get((wanted, uri))
    if found is None:
        found = _made[wanted, uri] = _class_from(wanted, uri)
    return found


def _class_from(wanted: SampleType, uri: AtUri | None) -> type[PackableSample]:
    namespace: dict[str, Any] = {
        "__doc__": wanted.description,
        "__module__": __name__,
        MADE_FROM: (wanted, uri),
    }
    names = attribute_names(field.name for field in wanted.fields)
    required = frozenset(names[field.name] for field in wanted.fields if not field.optional)
    namespace["__init__"] = _constructor(required, frozenset(names.values()) - required)
    namespace["__annotations__"] = {names[field.name]: annotation(field) for field in wanted.fields}
    for field in wanted.fields:
        options = {"default": None} if field.optional else {}
        namespace[names[field.name]] = wire(field.name, **options)
    made = cast("type[PackableSample]", _MadeClass(class_name(wanted.name), (PackableSample,), namespace))
    identity = Identity(
        name=wanted.name, version=wanted.version, description=wanted.description, uri=uri, own_init=False
    )
    made.__packable__ = identity  # type: ignore[attr-defined] # as in _make
    return made


def _constructor(required: frozenset[str], optional: frozenset[str]) -> Callable[..., None]:
    nothing = dict.fromkeys(optional)

    def __init__(self: object, /, **values: Any) -> None:  # noqa: ANN401, N807 - it becomes that of a class
        missing, unknown = required - values.keys(), values.keys() - required - optional
        if missing or unknown:
            name, what = (min(missing), "misses") if missing else (min(unknown), "has no")
            raise TypeError(f"{type(self).__name__} {what} field {name!a}")
        self.__dict__ |= nothing | values

    return __init__


def _reduce_class(cls: type) -> str | tuple[Callable[..., type], tuple[SampleType, AtUri | None]]:
    made = cls.__dict__.get(MADE_FROM)
    return cls.__qualname__ if made is None else (_class_again, made)  # somebody's subclass of one has a name


def _class_again(wanted: SampleType, uri: AtUri | None) -> type[PackableSample]:
    return class_from(wanted, uri=uri)


copyreg.pickle(_MadeClass, _reduce_class)  # type: ignore[arg-type] # typeshed doesn't know that a name may come back
