"""A sample type as a Rust module: a serde struct, decoded and encoded by ``rmp-serde``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from catalog.codegen.layout import RUSTFMT
from catalog.codegen.templates import rendered
from catalog.codegen.text import is_numeric, notes, origin, summary, wrapped
from catalog.schema import Array, Field, FieldType, List, SampleType, Scalar, Unknown
from catalog.schema.identifiers import distinct, pascal_case, snake_case

SHARED: Final = "ndarray"
"""The module of a package that defines arrays."""

_SCALARS: Final[Mapping[str, str]] = {
    "str": "String", "int": "i64", "float": "f64", "bool": "bool", "bytes": "ByteBuf",
    "map": "BTreeMap<String, rmpv::Value>", "datetime": "String",
}  # fmt: skip

_RAW: Final = frozenset({
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn", "else", "enum",
    "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move",
    "mut", "override", "priv", "pub", "ref", "return", "static", "struct", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
})  # fmt: skip
"""Keywords of any edition that are valid identifiers with the prefix ``r#``."""
_NEVER_RAW: Final = frozenset({"crate", "self", "super"})

_RESERVED_TYPES: Final = frozenset({
    "Self", "Option", "Vec", "String", "Result", "Ok", "Err", "Some", "None", "Box", "Clone", "Debug", "PartialEq",
    "Eq", "From", "Into", "TryFrom", "TryInto", "Sized", "Send", "Sync", "Copy", "Drop", "Fn", "FnMut", "FnOnce",
    "Iterator", "IntoIterator", "Extend", "Default", "Ord", "PartialOrd", "AsRef", "AsMut", "ToOwned", "ToString",
    "FromIterator", "Serialize", "Deserialize", "ByteBuf", "NdArray", "ArrayError", "Item", "Value",
    "BTreeMap", "DoubleEndedIterator", "ExactSizeIterator", "Unpin",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldView:
    """One field; ``attributes`` are the lines of serde attributes, ``wire`` is a string literal."""

    name: str
    wire: str
    optional: bool
    type: str
    doc: tuple[str, ...]
    attributes: tuple[str, ...]

    @property
    def declaration(self) -> str:
        """The field in the struct, on two lines if it is too long for one."""
        line = f"{RUSTFMT.step}pub {self.name}: {self.type},"
        return line if len(line) <= RUSTFMT.width else f"{RUSTFMT.step}pub {self.name}:\n{2 * RUSTFMT.step}{self.type},"


def rust_module(
    sample_type: SampleType, *, uri: str | None, cid: str | None, templates: Path | None = None, shared: bool = False
) -> str:
    """Return the module. With ``shared``, it imports arrays from the package's module ``ndarray``."""
    names = distinct((field.name for field in sample_type.fields), _field_name)
    fields = tuple(_field(names[field.name], field) for field in sample_type.fields)
    types = " ".join(field.type for field in fields)
    arrays = "NdArray" in types
    with_bytes = "ByteBuf" in types or (arrays and not shared)
    return rendered(
        "rust",
        templates=templates,
        origin=tuple(origin(uri, cid)),
        crates=", ".join(
            [
                "serde (feature derive), rmp-serde",
                *(["serde_bytes"] if arrays or with_bytes else []),
                *(["rmpv (feature with-serde)"] if "rmpv::" in types else []),
            ]
        ),
        uses=(
            *([f"use super::{SHARED}::NdArray;"] if arrays and shared else []),
            "use serde::{Deserialize, Serialize};",
            *(["use serde_bytes::ByteBuf;"] if with_bytes else []),
            *(["use std::collections::BTreeMap;"] if "BTreeMap" in types else []),
        ),
        name=struct_name(sample_type.name),
        wire_name=_literal(sample_type.name),
        version=_literal(sample_type.version),
        doc=tuple(_doc(summary(sample_type), "")),
        fields=fields,
        arrays=arrays,
        shared=shared,
    )


def shared_module(*, templates: Path | None = None) -> str:
    """Return the module that the others of a package import from."""
    return rendered("rust_shared", templates=templates)


def struct_name(text: str) -> str:
    """Return the name of the struct for a sample type."""
    name = pascal_case(text) or "Sample"
    return f"{name}Type" if name in _RESERVED_TYPES else name


def _field_name(wire: str) -> str:
    name = snake_case(wire) or "field"
    if name[0].isdigit() or name in _NEVER_RAW:
        return f"field_{name}"
    return f"r#{name}" if name in _RAW else name


def _field(name: str, field: Field) -> FieldView:
    wire = _literal(field.name)
    type_ = _type(field.type)
    attributes = [] if name.removeprefix("r#") == field.name else _rename(wire)
    if field.optional:
        attributes.append('    #[serde(skip_serializing_if = "Option::is_none")]')
    text = notes(field)
    if any("\ud800" <= char <= "\udfff" for char in field.name):
        text = f"{text} Its name has a lone surrogate, which no sample can hold.".strip()
    return FieldView(
        name=name,
        wire=wire,
        optional=field.optional,
        type=f"Option<{type_}>" if field.optional else type_,
        doc=tuple(_doc(text, RUSTFMT.step)),
        attributes=tuple(attributes),
    )


def _rename(wire: str) -> list[str]:
    inner = f"rename = {wire}"
    if len(inner) <= 70:  # rustfmt's attr_fn_like_width
        return [f"    #[serde({inner})]"]
    return ["    #[serde(", f"        {inner}", "    )]"]


def _type(type_: FieldType) -> str:
    match type_:
        case Scalar():
            return _SCALARS[type_.kind]
        case List():
            return f"Vec<{_type(type_.item)}>"
        case Unknown():
            return "rmpv::Value"
        case Array():
            return "NdArray" if is_numeric(type_) else "ByteBuf"


def _literal(text: str) -> str:
    """A string literal. A lone surrogate, which Rust strings can't contain, becomes U+FFFD."""
    return f'"{"".join(map(_character, text))}"'


def _character(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if "\ud800" <= char <= "\udfff":
        return "\\u{fffd}"
    return char if char.isprintable() else f"\\u{{{ord(char):x}}}"


def _doc(text: str, indent: str) -> list[str]:
    return [f"{indent}/// {line}" for line in wrapped(text, RUSTFMT.width - len(indent) - 4)]
