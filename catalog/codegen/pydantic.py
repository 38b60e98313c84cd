"""A sample type as a pydantic model that decodes and encodes samples with only msgpack and numpy."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catalog.codegen.layout import WIDTH, Group
from catalog.codegen.python import NUMPY, SCALARS, PythonField, docstring, python_field
from catalog.codegen.templates import rendered
from catalog.codegen.text import literal, notes, one_line, origin, summary
from catalog.schema import Array, Field, FieldType, List, SampleType, Scalar, Unknown
from catalog.schema.identifiers import class_name, field_attributes
from catalog.schema.types import NPY_FORMATS

if TYPE_CHECKING:
    from catalog.codegen.layout import Source

SHARED: Final = "_samples"
"""The module of a package that defines the base class."""

_RESERVED: Final = frozenset({
    # attributes of BaseModel
    "construct", "copy", "dict", "from_orm", "json", "model_computed_fields", "model_config", "model_construct",
    "model_copy", "model_dump", "model_dump_json", "model_extra", "model_fields", "model_fields_set",
    "model_json_schema", "model_parametrized_name", "model_post_init", "model_rebuild", "model_validate",
    "model_validate_json", "model_validate_strings", "parse_file", "parse_obj", "parse_raw", "schema", "schema_json",
    "update_forward_refs", "validate",
    # attributes of our base class, and names in annotations
    "to_bytes", "from_bytes", "AwareDatetime", "Field", "Npy", "PlainSerializer",
})  # fmt: skip
_RESERVED_CLASSES: Final = frozenset({
    "AwareDatetime", "BaseModel", "ConfigDict", "Field", "GetCoreSchemaHandler", "Literal", "Npy", "PackedModel",
    "PlainSerializer", "Self", "core_schema", "dataclass", "decoded", "encoded", "math", "struct",
})  # fmt: skip

_ISO: Final = "PlainSerializer(lambda value: value.isoformat())"
"""The serializer of a datetime."""

_MSGPACK: Final = "import msgpack  # type: ignore[import-untyped, unused-ignore]"


def pydantic_module(
    sample_type: SampleType, *, uri: str | None, cid: str | None, templates: Path | None = None, shared: bool = False
) -> str:
    """Return the module. With ``shared``, it imports the base class from the package's module ``_samples``."""
    names = field_attributes(sample_type.fields, reserved=_RESERVED)
    fields = tuple(_field(names[field.name], field) for field in sample_type.fields)
    arrays = any("Npy(" in field.annotation for field in fields)
    return rendered(
        "pydantic",
        templates=templates,
        origin=tuple(origin(uri, cid)),
        imports=tuple(_imports(fields, arrays=arrays, shared=shared)),
        name=model_name(sample_type.name),
        wire_name=literal(sample_type.name),
        version=literal(sample_type.version),
        docstring=(*docstring(summary(sample_type), []), *([""] if fields else [])),
        fields=fields,
        arrays=arrays,
        shared=shared,
    )


def shared_module(*, templates: Path | None = None) -> str:
    """Return the module that the others of a package import from."""
    imports = tuple(_base_imports(arrays=True, typing={"Any"}))
    return rendered("pydantic_shared", templates=templates, imports=imports, arrays=True)


def model_name(text: str) -> str:
    """Return the name of the class for a sample type."""
    name = class_name(text)
    return f"{name}_" if name in _RESERVED_CLASSES else name


def _imports(fields: tuple[PythonField, ...], *, arrays: bool, shared: bool) -> list[str]:
    hints = " ".join(field.annotation for field in fields)
    typing = {name for name in ("Annotated", "Any") if name in hints}
    used = {name for name in ("Field",) if any(f"{name}(" in field.declaration for field in fields)}
    used |= {"AwareDatetime", "PlainSerializer"} if "AwareDatetime" in hints else set()
    if not shared:
        return _base_imports(arrays=arrays, typing=typing, pydantic=used)
    names = ["Npy", "PackedModel"] if arrays else ["PackedModel"]
    third = [
        *(["import numpy as np"] if "np." in hints else []),
        *(["from numpy.typing import NDArray"] if arrays else []),
        *([_from_pydantic(used)] if used else []),
    ]
    return [
        *([f"from typing import {', '.join(sorted(typing))}", ""] if typing else []),
        *([*third, ""] if third else []),
        f"from .{SHARED} import {', '.join(names)}",
    ]


def _from_pydantic(names: Iterable[str]) -> str:
    line = f"from pydantic import {', '.join(sorted(names))}"
    return (
        line
        if len(line) <= WIDTH
        else "\n".join(("from pydantic import (", *(f"    {n}," for n in sorted(names)), ")"))
    )


def _base_imports(*, arrays: bool, typing: set[str], pydantic: Iterable[str] = ()) -> list[str]:
    named = {"Self", *typing} | ({"Any", "Literal"} if arrays else set())
    pydantic = {"BaseModel", "ConfigDict", *pydantic} | ({"GetCoreSchemaHandler"} if arrays else set())
    return [
        *(["import io", "import math", "import struct", "from dataclasses import dataclass"] if arrays else []),
        f"from typing import {', '.join(sorted(named))}",
        "",
        _MSGPACK,
        *(["import numpy as np", "from numpy.typing import NDArray"] if arrays else []),
        _from_pydantic(pydantic),
        *(["from pydantic_core import core_schema"] if arrays else []),
    ]


def _field(name: str, field: Field) -> PythonField:
    alias = Group("Field(", (*(["default=None"] if field.optional else []), f"alias={literal(field.name)}"), ")")
    text = notes(field) if any(map(_needs_note, field.types())) else one_line((field.description or "").strip())
    return python_field(name, field, annotation=_annotation(field.type), alias=alias, text=text)


def _needs_note(type_: FieldType) -> bool:
    """Return True if the annotation loses part of the type."""
    if not isinstance(type_, Array):
        return isinstance(type_, Unknown) or (isinstance(type_, Scalar) and type_.media is not None)
    return type_.dimensions is not None or type_.format != "ndarrayBytes" or type_.dtype not in (None, *NUMPY)


def _annotation(type_: FieldType) -> Source:
    match type_:
        case Scalar(kind="datetime"):
            return Group("Annotated[", ("AwareDatetime", "Field(strict=False)", _ISO), "]")
        case Scalar():
            return SCALARS.get(type_.kind, type_.kind)
        case List():
            return Group("list[", (_annotation(type_.item),), "]")
        case Unknown():
            return "Any"
        case Array():
            if type_.format not in NPY_FORMATS:
                return "bytes"
            return Group("Annotated[", (f"NDArray[{NUMPY.get(type_.dtype or '', 'Any')}]", _npy(type_)), "]")


def _npy(array: Array) -> Source:
    arguments: list[Source] = [f'dtype="{array.dtype}"'] if array.dtype in NUMPY else []
    if array.shape is not None:
        arguments.append(Group("shape=(", tuple(str(dim) for dim in array.shape), ")"))
    return Group("Npy(", tuple(arguments), ")")
