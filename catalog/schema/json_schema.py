"""The body of a schema record: JSON Schema (draft-07), in three encodings; see :mod:`catalog.schema`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import unquote

from catalog.errors import InvalidSchema
from catalog.schema.media_types import media_type
from catalog.schema.types import (
    MAX_DIMENSIONS,
    MAX_FIELDS,
    MAX_NESTING,
    Array,
    ArrayFormat,
    Field,
    FieldType,
    List,
    SampleType,
    Scalar,
    ScalarKind,
    Unknown,
)

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json

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
"""Substrings of ``$ref`` and their array formats, in the order that existing readers try them."""

_FORMAT_REFS: Final[Mapping[ArrayFormat, str]] = {
    "ndarrayBytes": NDARRAY_REF,
    "sparseBytes": "https://alt.science/schemas/atdata-sparse-bytes/1.0.0#/$defs/sparse",
    "structuredBytes": "https://alt.science/schemas/atdata-structured-bytes/1.0.0#/$defs/structured",
    "arrowTensor": "https://alt.science/schemas/atdata-arrow-tensor/1.0.0#/$defs/arrowtensor",
    "safetensors": "https://alt.science/schemas/atdata-safetensors/1.0.0#/$defs/safetensors",
}

_JSON_SCALARS: Final[Mapping[str, ScalarKind]] = {
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
    "map": {"type": "object"},
    "datetime": {"type": "string", "format": "date-time"},
}
_OPEN_OBJECT: Final = frozenset({"type", "title", "description", "additionalProperties"})
"""The keys of an object without properties of its own: a map. With others it is a type that isn't known here."""


def write_body(sample_type: SampleType) -> dict[str, Json]:
    """The body of a schema record without its ``$type``: envelope keys and flattened keys in one object.

    Raises :class:`InvalidSchema` for a schema in another language.
    """
    sample_type.require_fields()
    content = _object_schema(sample_type)
    has_array = any(isinstance(type_, Array) for type_ in sample_type.types())
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
            schema = dict(_SCALAR_JSON[type_.kind])
            return schema if type_.media is None else {**schema, "contentMediaType": type_.media}
        case List():
            return {"type": "array", "items": _type_schema(type_.item)}
        case Unknown():
            kept = json.loads(type_.schema)
            return kept if isinstance(kept, dict) else {}
        case Array():
            schema = {"$ref": _FORMAT_REFS[type_.format]}
            if type_.dtype is not None:
                schema["dtype"] = type_.dtype
            if type_.shape is not None:
                schema["shape"] = list(type_.shape)
            if type_.dimensions is not None:
                schema["dimensionNames"] = list(type_.dimensions)
            return schema


def read_body(body: Json) -> tuple[Field, ...]:
    """Return the fields of a schema record's body in any of the three encodings.

    An unrecognised type becomes :class:`Unknown`. Raises :class:`InvalidSchema` if there are no ``properties`` or
    more than ``MAX_FIELDS`` of them.
    """
    schema = _content(body)
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        raise InvalidSchema("the schema has no 'properties' object", hint="is it a JSON Schema of type object?")
    if len(properties) > MAX_FIELDS:
        raise InvalidSchema(f"the schema has {len(properties)} fields; the maximum is {MAX_FIELDS}")
    required = [name for name in _list(schema.get("required")) if isinstance(name, str)]
    order = [name for name in _list(schema.get("propertyOrder")) if isinstance(name, str)]
    names = [name for name in dict.fromkeys((*order, *required, *properties)) if name in properties]
    needed = set(required)
    return tuple(_read_field(name, properties[name], schema, needed=name in needed) for name in names)


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


def _read_field(name: str, schema: Json, root: dict[str, Json], *, needed: bool) -> Field:
    bare, nullable = _without_null(schema)
    description = schema.get("description") if isinstance(schema, dict) else None
    return Field(
        name=name,
        type=_read_type(bare, root, depth=0),
        optional=nullable or not needed,
        description=description if isinstance(description, str) and description else None,
    )


def _without_null(schema: Json) -> tuple[Json, bool]:
    """Return the schema without its "or null", and True if it had one: either spelling means optional."""
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


def _read_type(schema: Json, root: dict[str, Json], *, depth: int) -> FieldType:  # noqa: PLR0911 - a rule a line
    """The type of a property. ``depth`` counts lists and references, so that cycles end."""
    if not isinstance(schema, dict) or depth > MAX_NESTING:
        return _unknown(schema)
    ref = schema.get("$ref")
    if isinstance(ref, str):
        return _read_reference(ref, schema, root, depth=depth)
    kind = schema.get("type")
    if kind == "string":
        return _read_text(schema)
    if kind == "object" and schema.keys() <= _OPEN_OBJECT and schema.get("additionalProperties", True) in (True, {}):
        return Scalar(kind="map")
    if kind == "array" and isinstance(schema.get("items"), dict):
        return List(item=_read_type(schema["items"], root, depth=depth + 1))
    if isinstance(kind, str) and kind in _JSON_SCALARS:
        return Scalar(kind=_JSON_SCALARS[kind])
    return _unknown(schema)


def _read_text(schema: dict[str, Json]) -> Scalar:
    """Return the type of a JSON string: text, bytes in base64 or a datetime."""
    if schema.get("format") == "byte" or schema.get("contentEncoding") == "base64":
        media = schema.get("contentMediaType")
        return Scalar(kind="bytes", media=media_type(media) if isinstance(media, str) else None)
    return Scalar(kind="datetime" if schema.get("format") == "date-time" else "str")


def _read_reference(ref: str, schema: dict[str, Json], root: dict[str, Json], *, depth: int) -> FieldType:
    """An array, or the type of the referenced definition in the same schema."""
    found = _read_array(ref, schema)
    target = _local(ref, root) if isinstance(found, Unknown) else None
    resolved = found if target is None else _read_type(target, root, depth=depth + 1)
    return found if isinstance(resolved, Unknown) else resolved


def _local(ref: str, root: dict[str, Json]) -> Json:
    """Resolve ``#/definitions/…`` or ``#/$defs/…`` in the same schema; ``None`` if it has no target."""
    match ref.split("/"):
        case ["#", ("definitions" | "$defs") as section, name]:
            definitions = root.get(section)
            wanted = unquote(name).replace("~1", "/").replace("~0", "~")  # JSON pointer, as a URI's fragment
            return definitions.get(wanted) if isinstance(definitions, dict) else None
    return None


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
