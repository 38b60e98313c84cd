"""Sample types: a name, a version, and typed fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from catalog.errors import InvalidSchema
from catalog.sanitize import html_table, one_line

ScalarKind = Literal["str", "int", "float", "bool", "bytes", "map", "datetime"]
ArrayFormat = Literal["ndarrayBytes", "sparseBytes", "structuredBytes", "arrowTensor", "safetensors"]

NPY_FORMATS: Final[tuple[ArrayFormat, ...]] = ("ndarrayBytes", "structuredBytes")
"""The array formats that are .npy, which numpy alone reads."""

MAX_FIELDS: Final = 10_000
MAX_NESTING: Final = 16
MAX_DIMENSIONS: Final = 64
"""The limit of numpy on the number of dimensions."""

SCALAR_KINDS: Final[tuple[ScalarKind, ...]] = ("str", "int", "float", "bool", "bytes", "map", "datetime")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """A scalar: text, integer, float, boolean, bytes, a ``map`` (any JSON object) or a ``datetime`` with its time zone.

    ``media`` is the media type of bytes, such as ``image/jpeg`` or ``image/*``; ``None`` if it isn't stated.
    """

    kind: ScalarKind
    media: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """An n-dimensional array; ``None`` means any.

    ``shape`` has one entry per dimension, ``None`` for a variable length. ``dimensions`` are the names in the same
    order. ``format`` is the encoding of the array in a sample.
    """

    dtype: str | None = None
    shape: tuple[int | None, ...] | None = None
    dimensions: tuple[str, ...] | None = None
    format: ArrayFormat = "ndarrayBytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class List:
    """A list of values of one type."""

    item: FieldType


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """An unrecognised type, kept unchanged: ``schema`` is its JSON Schema as JSON text."""

    schema: str


FieldType: TypeAlias = Scalar | Array | List | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of a sample. ``name`` is the wire name: any text."""

    name: str
    type: FieldType
    optional: bool = False
    description: str | None = None

    def types(self) -> Iterator[FieldType]:
        """The type, and the types of the items of lists."""
        type_ = self.type
        yield type_
        while isinstance(type_, List):
            type_ = type_.item
            yield type_


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignSchema:
    """The schema of a record in another language than JSON Schema, such as ``avro``. ``text`` is its body as JSON."""

    language: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleType:
    """A name, a version (semver text) and the fields in their order.

    The fields of a ``foreign`` schema are not known, and ``fields`` is empty.
    """

    name: str
    version: str
    fields: tuple[Field, ...]
    description: str | None = None
    foreign: ForeignSchema | None = None

    def require_fields(self) -> None:
        """Raise :class:`InvalidSchema` if the fields are not known."""
        if self.foreign is not None:
            language = one_line(self.foreign.language)
            what = f"the schema {one_line(self.name)!r} is in the language {language!r}; only JSON Schema is understood"
            raise InvalidSchema(what, hint="its samples can be read as dicts: Dataset.from_atproto(uri, DictSample)")

    def field(self, name: str) -> Field | None:
        """The field with that wire name."""
        return next((field for field in self.fields if field.name == name), None)

    def types(self) -> Iterator[FieldType]:
        """The types of all fields, and of the items of lists."""
        for field in self.fields:
            yield from field.types()

    def _repr_html_(self) -> str:
        return html_table(f"{self.name} {self.version}", FIELD_HEAD, field_rows(self), note=self.description or "")


FIELD_HEAD: Final = ("field", "type", "description")
"""The head of a table of fields in a notebook."""


def field_rows(sample_type: SampleType) -> list[tuple[str, str, str]]:
    """Return name, type and description of each field, for tables of notebooks."""
    return [
        (field.name, type_text(field.type, optional=field.optional), field.description or "")
        for field in sample_type.fields
    ]


def type_text(type_: FieldType, *, optional: bool = False) -> str:
    """Return the short form of a type, ``unknown`` for an unknown one: the inverse of ``parse_type``."""
    mark = "?" if optional else ""
    match type_:
        case Scalar():
            return f"{type_.kind}[{type_.media}]{mark}" if type_.media is not None else type_.kind + mark
        case List():
            return f"list[{type_text(type_.item)}]{mark}"
        case Unknown():
            return f"unknown{mark}"
        case Array():
            if type_.dtype is None and type_.shape is None:
                return f"array{mark}"
            parts = [type_.dtype or "*", *("*" if dim is None else str(dim) for dim in type_.shape or ())]
            return f"array[{', '.join(parts)}]{mark}"
