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
- The kind of an array is told by a *substring* of its ``$ref``, tried in a fixed order. A ``$ref`` that is no array may
  lead to a definition in the same schema; nothing is ever fetched.
- Property names are somebody else's text: any string, also ``class``, ``a b`` or ````.
"""

from __future__ import annotations

from catalog.schema.compatibility import Bump, Change, Comparison, Verdict, check_fit, compare
from catalog.schema.json_schema import read_body, write_body
from catalog.schema.short_form import parse_type, type_text
from catalog.schema.types import (
    DTYPES,
    MAX_FIELDS,
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

__all__ = [
    "DTYPES",
    "MAX_FIELDS",
    "Array",
    "ArrayFormat",
    "Bump",
    "Change",
    "Comparison",
    "Field",
    "FieldType",
    "List",
    "SampleType",
    "Scalar",
    "ScalarKind",
    "Unknown",
    "Verdict",
    "check_fit",
    "compare",
    "parse_type",
    "read_body",
    "type_text",
    "write_body",
]
