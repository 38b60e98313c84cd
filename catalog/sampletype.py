"""Sample types: what one sample of a dataset holds, and the three ways a schema record spells it.

Terminology
-----------
*Sample type*: a name, a semantic version and an ordered list of fields. *Field*: a wire name and a type; an
optional field may be absent. *Type*: a scalar, an array, a list, or something this project doesn't know.

A schema record's body is JSON Schema (draft-07) in one of three encodings; all are read, and one object that
every known reader opens is written::

    flattened   {$type, type, properties, required, …}           what the Python client writes
    nested      {$type, schemaBody: {type, properties, …}}       legacy
    envelope    {$type, draft, content: {type, properties, …}}   the newest lexicon

Tricky bits
-----------
- DAG-CBOR sorts map keys, so ``properties`` loses its order on the network. ``propertyOrder`` keeps it; where it
  is absent ``required`` (a list) gives the order of its fields, the others follow as they come.
- The kind of an array is told by a *substring* of its ``$ref``, tried in a fixed order.
- Property names are somebody else's text: any string, also ``class``, ``a b`` or ````.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from catalog.errors import InvalidSchema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from catalog.datamodel import Json

__all__ = [
    "DTYPES",
    "MAX_FIELDS",
    "Array",
    "ArrayFormat",
    "Field",
    "FieldType",
    "List",
    "SampleType",
    "Scalar",
    "ScalarKind",
    "Unknown",
    "parse_type",
    "read_body",
    "type_text",
    "write_body",
]

ScalarKind = Literal["str", "int", "float", "bool", "bytes"]
ArrayFormat = Literal["ndarrayBytes", "sparseBytes", "structuredBytes", "arrowTensor", "safetensors"]

MAX_FIELDS: Final = 10_000
MAX_NESTING: Final = 16
MAX_DIMENSIONS: Final = 64
"""numpy's own limit on the number of dimensions."""

DTYPES: Final = (
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
)
"""The dtypes that can be written; when reading any short dtype-like text is kept."""

_DTYPE_LIKE: Final = re.compile(r"[A-Za-z0-9_<>|=\[\]]{1,64}")

NDARRAY_REF: Final = "https://alt.science/schemas/atdata-ndarray-bytes/1.0.0#/$defs/ndarray"

_REF_KINDS: Final[tuple[tuple[str, ArrayFormat | None], ...]] = (
    ("ndarray", "ndarrayBytes"),
    ("sparse", "sparseBytes"),
    ("structured", "structuredBytes"),
    ("safetensors", "safetensors"),
    ("arrow", "arrowTensor"),
    ("tensor", "arrowTensor"),
    ("dataframe", None),
)
"""Substrings of ``$ref``, in the order existing readers try them."""

_FORMAT_REFS: Final[Mapping[ArrayFormat, str]] = {
    "ndarrayBytes": NDARRAY_REF,
    "sparseBytes": "https://alt.science/schemas/atdata-sparse-bytes/1.0.0#/$defs/sparse",
    "structuredBytes": "https://alt.science/schemas/atdata-structured-bytes/1.0.0#/$defs/structured",
    "arrowTensor": "https://alt.science/schemas/atdata-arrow-tensor/1.0.0#/$defs/arrowtensor",
    "safetensors": "https://alt.science/schemas/atdata-safetensors/1.0.0#/$defs/safetensors",
}

_JSON_SCALARS: Final[Mapping[str, ScalarKind]] = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
}
_SCALAR_JSON: Final[Mapping[ScalarKind, dict[str, Json]]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "bytes": {"type": "string", "format": "byte", "contentEncoding": "base64"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """One plain value: text, whole number, float, truth value or bytes."""

    kind: ScalarKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """An n-dimensional array; ``None`` means "anything".

    ``shape`` has one entry a dimension, ``None`` for a length that varies. ``dimensions`` names them in the same
    order. ``format`` says how its bytes are written in a sample.
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
    """A type we don't know, kept as it came: ``schema`` is its JSON Schema as JSON text."""

    schema: str


FieldType: TypeAlias = Scalar | Array | List | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A named part of a sample. ``name`` is the wire name: any text."""

    name: str
    type: FieldType
    optional: bool = False
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleType:
    """A name, a version (semver text) and the fields in their order."""

    name: str
    version: str
    fields: tuple[Field, ...]
    description: str | None = None

    def field(self, name: str) -> Field | None:
        """The field of that wire name."""
        return next((field for field in self.fields if field.name == name), None)


# --- the short form of manifests -----------------------------------------------------------------------------

_TYPE_TEXT = re.compile(r"(?P<head>[A-Za-z]+)\s*(?:\[(?P<inner>.*)\])?", re.DOTALL)
_SHOWN = 60
_TYPE_HELP = (
    "known types: str, int, float, bool, bytes, array, array[dtype, dim, …], list[type]; ? at the end: optional"
)


def parse_type(text: str) -> tuple[FieldType, bool]:
    """A type from its short form: ``array[uint8, 8, *]``, ``list[float]``, ``str?``.

    Returns the type and whether it is optional (a trailing ``?``). Raises :class:`InvalidSchema`, with a
    suggestion for a near miss.
    """
    stripped = text.strip()
    optional = stripped.endswith("?")
    return _parse(stripped.removesuffix("?").rstrip(), depth=0), optional


def _parse(text: str, *, depth: int) -> FieldType:
    match = _TYPE_TEXT.fullmatch(text)
    if match is None or depth > MAX_NESTING:
        raise _unknown_type(text)
    head, inner = match["head"], match["inner"]
    if head == "array":
        return Array() if inner is None else _parse_array(inner)
    if head == "list" and inner is not None:
        if inner.strip().endswith("?"):
            what = f"{text!r}: the items of a list can't be optional"
            raise InvalidSchema(what, hint="put the ? behind the list, or leave missing items out")
        return List(item=_parse(inner.strip(), depth=depth + 1))
    kind = next((kind for kind in _SCALAR_JSON if kind == head), None)
    if kind is not None and inner is None:
        return Scalar(kind=kind)
    raise _unknown_type(text)


def _parse_array(inner: str) -> Array:
    dtype, *dims = (part.strip() for part in inner.split(","))
    if dtype != "*" and dtype not in DTYPES:
        raise InvalidSchema(f"unknown dtype {dtype!r}", hint=_suggest(dtype, DTYPES) or f"known: {', '.join(DTYPES)}")
    if len(dims) > MAX_DIMENSIONS:
        raise InvalidSchema(f"an array of {len(dims)} dimensions; the most is {MAX_DIMENSIONS}")
    shape = tuple(None if dim == "*" else _dimension(dim) for dim in dims)
    return Array(dtype=None if dtype == "*" else dtype, shape=shape or None)


def _dimension(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", text, re.ASCII):
        raise InvalidSchema(f"{text!r} is not a dimension", hint="a whole number, or * for any length")
    return int(text)


def _unknown_type(text: str) -> InvalidSchema:
    head = text.split("[", 1)[0].strip()
    aliases = {
        "string": "str", "integer": "int", "number": "float", "boolean": "bool", "text": "str", "ndarray": "array",
        "double": "float", "tensor": "array", "binary": "bytes",
    }  # fmt: skip
    near = aliases.get(head.lower())
    hint = f"did you mean {near!r}?" if near else _suggest(head, (*_SCALAR_JSON, "array", "list"))
    shown = text[:_SHOWN] + "…" * (len(text) > _SHOWN)
    return InvalidSchema(f"unknown field type {shown!r}", hint=hint or _TYPE_HELP)


def _suggest(word: str, known: Iterable[str]) -> str | None:
    from difflib import get_close_matches

    near = get_close_matches(word[:40], list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else None


def type_text(type_: FieldType, *, optional: bool = False) -> str:
    """The short form of a type; what :func:`parse_type` reads. An unknown type shows as ``unknown``."""
    mark = "?" if optional else ""
    match type_:
        case Scalar():
            return type_.kind + mark
        case List():
            return f"list[{type_text(type_.item)}]{mark}"
        case Unknown():
            return f"unknown{mark}"
        case Array():
            if type_.dtype is None and type_.shape is None:
                return f"array{mark}"
            parts = [type_.dtype or "*", *("*" if dim is None else str(dim) for dim in type_.shape or ())]
            return f"array[{', '.join(parts)}]{mark}"


# --- JSON Schema: writing ------------------------------------------------------------------------------------


def write_body(sample_type: SampleType) -> dict[str, Json]:
    """The body of a schema record without its ``$type``: envelope keys and flattened keys in one object."""
    content = _object_schema(sample_type)
    has_array = any(_holds_array(field.type) for field in sample_type.fields)
    versions: dict[str, Json] = {"arrayFormatVersions": {"ndarrayBytes": "1.0.0"}} if has_array else {}
    return {**content, "draft": "draft-07", "content": content, **versions}


def _object_schema(sample_type: SampleType) -> dict[str, Json]:
    names: list[Json] = [field.name for field in sample_type.fields]
    schema: dict[str, Json] = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "title": sample_type.name,
        "properties": {field.name: _property(field) for field in sample_type.fields},
        "required": [field.name for field in sample_type.fields if not field.optional],
        "propertyOrder": names,
    }
    if sample_type.description is not None:
        schema["description"] = sample_type.description
    return schema


def _property(field: Field) -> dict[str, Json]:
    schema = _type_schema(field.type)
    return schema if field.description is None else {**schema, "description": field.description}


def _type_schema(type_: FieldType) -> dict[str, Json]:
    match type_:
        case Scalar():
            return dict(_SCALAR_JSON[type_.kind])
        case List():
            return {"type": "array", "items": _type_schema(type_.item)}
        case Unknown():
            kept = json.loads(type_.schema)
            return kept if isinstance(kept, dict) else {}
        case Array():
            schema: dict[str, Json] = {"$ref": _FORMAT_REFS[type_.format]}
            if type_.dtype is not None:
                schema["dtype"] = type_.dtype
            if type_.shape is not None:
                schema["shape"] = list(type_.shape)
            if type_.dimensions is not None:
                schema["dimensionNames"] = list(type_.dimensions)
            return schema


def _holds_array(type_: FieldType) -> bool:
    return isinstance(type_, Array) or (isinstance(type_, List) and _holds_array(type_.item))


# --- JSON Schema: reading ------------------------------------------------------------------------------------


def read_body(body: Json) -> tuple[Field, ...]:
    """The fields of a schema record's body, in whichever encoding it comes.

    Tolerant: what it doesn't know becomes :class:`Unknown`. Raises :class:`InvalidSchema` when there are no
    ``properties`` to read, or more than ``MAX_FIELDS``.
    """
    schema = _content(body)
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        raise InvalidSchema("the schema has no 'properties' object", hint="is it a JSON Schema of type object?")
    if len(properties) > MAX_FIELDS:
        raise InvalidSchema(f"the schema has {len(properties)} fields; the most is {MAX_FIELDS}")
    required = [name for name in _list(schema.get("required")) if isinstance(name, str)]
    order = [name for name in _list(schema.get("propertyOrder")) if isinstance(name, str)]
    names = [name for name in dict.fromkeys((*order, *required, *properties)) if name in properties]
    needed = set(required)
    return tuple(_read_field(name, properties[name], needed=name in needed) for name in names)


def _content(body: Json) -> dict[str, Json]:
    if not isinstance(body, dict):
        raise InvalidSchema("the schema is not an object")
    for key in ("content", "schemaBody"):
        inner = body.get(key)
        if isinstance(inner, dict):
            return inner
    return body


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _read_field(name: str, schema: Json, *, needed: bool) -> Field:
    bare, nullable = _without_null(schema)
    description = schema.get("description") if isinstance(schema, dict) else None
    return Field(
        name=name,
        type=_read_type(bare, depth=0),
        optional=nullable or not needed,
        description=description if isinstance(description, str) and description else None,
    )


def _without_null(schema: Json) -> tuple[Json, bool]:
    """The schema without its "or null", and whether it had one: two spellings of optional."""
    if not isinstance(schema, dict):
        return schema, False
    kinds = schema.get("type")
    if isinstance(kinds, list) and "null" in kinds:
        rest = [kind for kind in kinds if kind != "null"]
        return {**schema, "type": rest[0] if len(rest) == 1 else rest}, True
    for key in ("anyOf", "oneOf"):
        options = schema.get(key)
        if isinstance(options, list) and {"type": "null"} in options:
            kept = [option for option in options if option != {"type": "null"}]
            return (kept[0], True) if len(kept) == 1 else ({**schema, key: kept}, True)
    return schema, False


def _read_type(schema: Json, *, depth: int) -> FieldType:
    if not isinstance(schema, dict) or depth > MAX_NESTING:
        return _unknown(schema)
    ref = schema.get("$ref")
    if isinstance(ref, str):
        return _read_array(ref, schema)
    kind = schema.get("type")
    if kind == "string" and (schema.get("format") == "byte" or schema.get("contentEncoding") == "base64"):
        return Scalar(kind="bytes")
    if kind == "array" and isinstance(schema.get("items"), dict):
        return List(item=_read_type(schema["items"], depth=depth + 1))
    if isinstance(kind, str) and kind in _JSON_SCALARS:
        return Scalar(kind=_JSON_SCALARS[kind])
    return _unknown(schema)


def _read_array(ref: str, schema: dict[str, Json]) -> FieldType:
    lowered = ref.lower()
    format_ = next((form for part, form in _REF_KINDS if part in lowered), None)
    if format_ is None:
        return _unknown(schema)
    dtype = schema.get("dtype")
    return Array(
        dtype=dtype if isinstance(dtype, str) and _DTYPE_LIKE.fullmatch(dtype) else None,
        shape=_read_shape(schema.get("shape")),
        dimensions=_read_dimensions(schema.get("dimensionNames")),
        format=format_,
    )


def _read_shape(value: Json) -> tuple[int | None, ...] | None:
    if not isinstance(value, list) or not value or len(value) > MAX_DIMENSIONS:
        return None
    dims = [_read_dim(item) for item in value]
    return None if "bad" in dims else tuple(dim for dim in dims if not isinstance(dim, str))


def _read_dim(item: Json) -> int | Literal["bad"] | None:
    if item is None:
        return None
    if isinstance(item, bool) or not isinstance(item, int) or item < 0:
        return "bad"
    return item


def _read_dimensions(value: Json) -> tuple[str, ...] | None:
    if not isinstance(value, list) or not value or len(value) > MAX_DIMENSIONS:
        return None
    names = tuple(name for name in value if isinstance(name, str))
    return names if len(names) == len(value) else None


def _unknown(schema: Json) -> Unknown:
    return Unknown(schema=json.dumps(schema, sort_keys=True, ensure_ascii=False))
