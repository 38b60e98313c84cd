"""Sample types: the schema of a dataset's samples, and the three encodings of a schema record.

*Sample type*: a name, a semantic version and an ordered list of fields. *Field*: a wire name and a type; an
optional field may be absent. *Type*: a scalar, an array, a list, or an unknown one. *Scalar*: text, a number, a
boolean, bytes (with or without a media type), a map (any JSON object) or a datetime.

A schema record's body is JSON Schema (draft-07) in one of three encodings. All are read; the body that is written
satisfies every known reader::

    flattened   {$type, type, properties, required, …}           written by the Python client
    nested      {$type, schemaBody: {type, properties, …}}       legacy
    envelope    {$type, draft, content: {type, properties, …}}   the newest lexicon

- DAG-CBOR sorts map keys, so ``properties`` loses its order on the network. ``propertyOrder`` keeps it; where it
  is absent, ``required`` (a list) gives the order of its fields and the others follow in map order.
- A *substring* of the ``$ref`` selects the array format, tried in a fixed order. Any other ``$ref`` may point to a
  definition in the same schema; nothing is ever fetched.
- Property names are untrusted: any string, also ``class``, ``a b`` or the empty one.
"""

from __future__ import annotations

from catalog.schema.compatibility import Bump, Change, Comparison, Verdict, check_fit, compare
from catalog.schema.dtypes import DTYPES, ML_DTYPES, is_dtype
from catalog.schema.json_schema import read_body, write_body
from catalog.schema.short_form import parse_type
from catalog.schema.types import (
    MAX_FIELDS,
    Array,
    ArrayFormat,
    Field,
    FieldType,
    ForeignSchema,
    List,
    SampleType,
    Scalar,
    ScalarKind,
    Unknown,
    type_text,
)

__all__ = [
    "DTYPES",
    "MAX_FIELDS",
    "ML_DTYPES",
    "Array",
    "ArrayFormat",
    "Bump",
    "Change",
    "Comparison",
    "Field",
    "FieldType",
    "ForeignSchema",
    "List",
    "SampleType",
    "Scalar",
    "ScalarKind",
    "Unknown",
    "Verdict",
    "check_fit",
    "compare",
    "is_dtype",
    "parse_type",
    "read_body",
    "type_text",
    "write_body",
]
